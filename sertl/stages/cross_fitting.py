# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Teachers that have not seen what they label: pseudo_labels.cross_fit of a method.

A teacher fits its training speakers almost without error, so that clusters of its frames are
classes of emotion there, and say less of others. With cross_fit k the training speakers are dealt
into k groups; k more teachers are trained, each without one group, and the frames of that group are
those of this teacher. All frames are clustered together: the teachers begin at the same encoder.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from sertl.data.ark import merge_scp
from sertl.data.datadir import Utterance, read_table, write_table
from sertl.data.folds import FoldDir
from sertl.errors import SertlError
from sertl.stages.training_data import training_groups


def teachers(conf: dict) -> list[dict]:
    """Phases that stage 4 trains: the teacher, and those that leave out a group each.

    Raises:
        SertlError: cross_fit that is no number of groups, or without a teacher.
    """
    if "teacher" not in conf:
        return []
    groups = conf.get("pseudo_labels", {}).get("cross_fit", 0)
    if groups == 1:
        raise SertlError("pseudo_labels.cross_fit is 1, expected 0 or at least 2 groups")
    teacher = conf["teacher"]
    return [teacher] + [
        {
            **teacher,
            "name": f"{teacher['name']}{number}",
            "data_conf": {**teacher["data_conf"], "leave_out": [number, groups]},
        }
        for number in range(1, groups + 1)
    ]


def groups_of(
    conf: dict, fold: FoldDir, utts: dict[str, Utterance]
) -> list[tuple[dict, dict[str, Utterance]]]:
    """Each teacher with the utterances whose frames are its own.

    The first one has what no other was kept from: dev, other corpora, and all without cross_fit.
    """
    phases = teachers(conf)
    rest, found = dict(utts), []
    for phase in phases[1:]:
        number, count = phase["data_conf"]["leave_out"]
        speakers = set(training_groups(fold, count)[number - 1])
        own = {utt: u for utt, u in rest.items() if u.spk in speakers}
        rest = {utt: u for utt, u in rest.items() if utt not in own}
        found.append((phase, own))
    return [(phases[0], rest), *found]


def join_dumps(parts: Sequence[Path], layers: Sequence[int], out: Path) -> None:
    """Put dumps of different utterances behind one set of scp files.

    Args:
        parts: Their folders.
        layers: Hidden states.
        out: layer<l>/feats.scp and utt2num_frames are written here.
    """
    frames: dict[str, str] = {}
    for part in parts:
        frames |= read_table(part / "utt2num_frames")
    for layer in layers:
        (out / f"layer{layer}").mkdir(parents=True, exist_ok=True)
        scps = [part / f"layer{layer}" / "feats.scp" for part in parts]
        merge_scp(scps, out / f"layer{layer}" / "feats.scp", frames)
    write_table(out / "utt2num_frames", frames)


def dump_each(
    pairs: Sequence[tuple[dict, dict[str, Utterance]]],
    layers: Sequence[int],
    out: Path,
    dump: Callable[[dict, dict[str, Utterance], Path], None],
) -> None:
    """Dump every teacher's own utterances to a folder below out, and join them there.

    Args:
        pairs: From groups_of.
        layers: Hidden states.
        out: Folder of the joined dump.
        dump: Of a teacher, its utterances and a folder.
    """
    parts = []
    for phase, utts in pairs:
        if utts:
            parts.append(out / phase["name"])
            dump(phase, utts, parts[-1])
    join_dumps(parts, layers, out)
