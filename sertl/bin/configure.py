# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Resolve an experiment's configuration and tell run.sh what it needs, as key=value lines."""

import argparse
from pathlib import Path

from sertl.cli import run
from sertl.config import load_method
from sertl.lock import alone
from sertl.stages.experiment import (
    check_tag,
    dtype_of,
    dump_name,
    make_tag,
    other_data,
    paths_read,
    resolve,
    save_experiment,
    shorthands,
)
from sertl.stages.rehearsal import rehearse
from sertl.stages.training_data import dump_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conf-dir", required=True, help="folder of upstream/ and method/")
    parser.add_argument("--upstream", required=True, help="a file in conf/upstream, without .yaml")
    parser.add_argument("--method", required=True, help="a file in conf/method, without .yaml")
    parser.add_argument("--ckpt", default="", help="local weights of the upstream")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="overrides")
    parser.add_argument("--unlabelled", default="", help="data directories of phase pretrain")
    parser.add_argument("--init-wap", default="", help="experiment with a trained WAP adapter")
    parser.add_argument("--speaker-norm", default="", help="none, offline or online")
    parser.add_argument("--pool", default="", help="statistics of frames that stage 3 stores")
    parser.add_argument("--data", default="data", help="folder of the folds")
    parser.add_argument("--dump", default="dump", help="folder of all dumps")
    parser.add_argument("--exp", default="exp", help="folder of all experiments")
    parser.add_argument("--tag", default="", help="folder below it (default: made of the options)")
    parser.add_argument("--variant", default="", help="data variant: policy/protocol")
    parser.add_argument("--command", default="", help="command line to note down")
    parser.add_argument("--save", action="store_true", help="write exp/<tag>/config.yaml")
    parser.add_argument("--redo", action="store_true", help="replace another experiment's config")
    args = parser.parse_args()

    phases = [phase["name"] for phase in load_method(args.conf_dir, args.method)["phases"]]
    options = shorthands(args.unlabelled, args.init_wap, phases, args.speaker_norm)
    settings = [*args.set, *options]
    dump = str(Path(args.dump) / dump_name(args.upstream, args.set))
    ckpt = args.ckpt or None
    tag = (
        check_tag(args.tag)
        if args.tag
        else make_tag(args.upstream, args.method, settings, args.variant)
    )
    before = "" if args.redo else dtype_of(Path(args.exp) / tag)
    conf = resolve(
        *(args.conf_dir, args.upstream, args.method, settings, ckpt),
        *(args.data, dump, args.pool, before),
    )
    rehearse(conf)
    if args.save:
        exp = Path(args.exp) / tag
        with alone(exp / "config", wait=True):
            save_experiment(exp, conf, args.command, args.redo)
    print(f"tag={tag}")
    print(f"dtype={conf['upstream']['dtype']}")
    print(f"dump={conf['dump']}")
    print(f"dumped={'true' if conf['input'] == 'feats' or conf['dump_layers'] else 'false'}")
    print(f"dump_layers={' '.join(map(str, conf['dump_layers']))}")
    print(f"frames={dump}")  # what vectors are pooled from, if it is there
    print(f"pool={','.join(conf['pool'])}")
    normalised = conf["phases"][0]["data_conf"]["normalise"]
    print(f"normalise={'true' if conf['pool'] and normalised else 'false'}")
    print(f"other_data={' '.join(other_data(conf))}")
    for name, path in (("other_dumps", conf["dump"]), ("other_frames", dump)):
        print(f"{name}={' '.join(str(dump_of(s, Path(path))) for s in other_data(conf))}")
    print(f"reads={' '.join(paths_read(conf))}")
    print(f"phases={' '.join(phases)}")
    for part in ("teacher", "pseudo_labels"):  # stages 4 and 5
        print(f"{part}={'true' if part in conf else 'false'}")


if __name__ == "__main__":
    run(main)
