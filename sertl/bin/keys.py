# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Every key that a configuration file or --set may hold, with default, range and meaning.

Words choose the keys whose names hold all of them: python -m sertl.bin.keys data_conf speed
"""

import argparse
from collections.abc import Iterator

from sertl.cli import run
from sertl.models.base import MODELS
from sertl.nn.losses import CLASS_LOSSES, VALUE_LOSSES
from sertl.nn.pooling import POOLINGS
from sertl.nn.wap_transformer import WapTransformer
from sertl.peft.slots import PEFT
from sertl.schema.corpus_keys import CorpusFile, Member, PairFile, Side, UnionFile
from sertl.schema.key_table import Row, as_markdown, as_text, rows_of_callable, rows_of_section
from sertl.schema.method_keys import Method, PseudoLabels
from sertl.schema.training_keys import Phase
from sertl.schema.upstream_keys import Encoder

INTERNAL = {"beside", "chosen"}  # arguments that one part of the code passes to another
HEAD = """# Keys

Every key that a configuration file or `--set` may hold. This page is made from the declarations in
`sertl/schema/` and from the constructors that `model_conf` and its like reach:
`python -m sertl.bin.keys --markdown > docs/keys.md`. In a terminal, `python -m sertl.bin.keys
optim_conf` shows those whose names hold `optim_conf`. A key that is not here is an error.
"""


def tables() -> Iterator[tuple[str, str, list[Row]]]:
    """Title, where the keys stand, and the rows."""
    yield (
        "A training phase",
        "A phase of `conf/method/<name>.yaml`; `--set <key>=…` for all phases, `--set "
        "<phase>.<key>=…` for one.",
        list(rows_of_section(Phase)),
    )
    yield (
        "Frame pseudo-labels",
        "`pseudo_labels` of a method; `--set pseudo_labels.<key>=…`.",
        list(rows_of_section(PseudoLabels, "pseudo_labels.")),
    )
    yield (
        "A method",
        "`conf/method/<name>.yaml`; `like: <other>` starts from another one.",
        list(rows_of_section(Method)),
    )
    yield (
        "An encoder",
        "`conf/upstream/<name>.yaml`; `like: <other>` starts from another one; `--set "
        "upstream.<key>=…`.",
        list(rows_of_section(Encoder, "upstream.")),
    )
    yield (
        "A corpus",
        "`egs/<recipe>/conf/corpus.yaml`. name, release, language, licence, cite and labels are "
        "needed.",
        list(rows_of_section(CorpusFile)),
    )
    yield (
        "A pair of corpora",
        "`egs/adaptation/conf/pairs/<name>.yaml`.",
        list(rows_of_section(PairFile)) + list(rows_of_section(Side, "target.")),
    )
    yield (
        "A union of corpora",
        "`egs/multi/conf/unions/<name>.yaml`.",
        list(rows_of_section(UnionFile)) + list(rows_of_section(Member, "corpora.<name>.")),
    )
    for kind, registry, key, positional in (
        ("model", MODELS, "model_conf", 2),
        ("pooling", POOLINGS, "pooling", 1),
        ("loss of classes", CLASS_LOSSES, "loss_conf", 1),
        ("loss of values", VALUE_LOSSES, "vad_loss", 2),
        ("PEFT module", PEFT, "upstream_conf.peft", 1),
    ):
        for name in registry.names():
            prefix = f"{key}." if kind in ("model", "loss of classes") else f"{key}.{name}."
            found = rows_of_callable(registry.get(name), positional, prefix)
            rows = [row for row in found if row.key.split(".")[-1] not in INTERNAL]
            if rows:
                yield f"The {kind} `{name}`", f"`{key}`.", rows
    yield (
        "The WAP adapter",
        "`model_conf.wap` of `wap` and `local_attributes`.",
        list(rows_of_callable(WapTransformer, 1, "model_conf.wap.")),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", help="parts of the keys' names (default: all keys)")
    parser.add_argument("--markdown", action="store_true", help="print docs/keys.md")
    args = parser.parse_args()
    parts = [HEAD] if args.markdown else []
    for title, where, rows in tables():
        rows = [row for row in rows if all(word in row.key for word in args.words)]
        if args.markdown:
            parts.append(f"## {title}\n\n{where}\n\n{as_markdown(rows)}\n")
        elif rows:
            parts.append(f"# {title.replace('`', '')}: {where.replace('`', '')}\n{as_text(rows)}\n")
    if not parts:
        parser.error(f"no key holds {' and '.join(args.words)}")
    print("\n".join(parts).rstrip("\n"))


if __name__ == "__main__":
    run(main)
