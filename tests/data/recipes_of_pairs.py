# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Two tiny recipes and a pair of them, as stage 1 of adaptation finds them."""

from dataclasses import replace

import yaml

from sertl.data.datadir import Utterance, read_data_dir, write_data_dir
from sertl.data.pairs import load_pair

ONE = ["angry", "calm", "glad", "odd"]
TWO = ["ang", "bored", "hap", "neu"]
MAP = {"angry": "ang", "calm": "neu", "glad": "hap", "odd": None}


def utterances(speakers, labels, number=2, **more):
    """number utterances of each speaker and label; wavs relative to the recipe."""
    return [
        Utterance(
            f"{spk}-{emo}{n}", spk, f"wav/{spk}-{emo}{n}.wav", 1.0, emo=emo, gender="f", **more
        )
        for spk in speakers
        for emo in labels
        for n in range(number)
    ]


def write_recipe(root, name, utts, labels, vad_range=None, **conf):
    """root/<name>/{data/all,conf/corpus.yaml}."""
    write_data_dir(root / name / "data/all", utts, labels, vad_range)
    corpus = {
        **{"name": name, "release": "1", "language": name, "licence": "none", "cite": "nobody"},
        "labels": labels,
        **({"vad_range": list(vad_range)} if vad_range else {}),
        **conf,
    }
    (root / name / "conf").mkdir(exist_ok=True)
    (root / name / "conf/corpus.yaml").write_text(yaml.safe_dump(corpus))


def write_pair(root, source=None, target=None, table=MAP, name="pair"):
    """root/pairs/<name>.yaml."""
    (root / "pairs").mkdir(exist_ok=True)
    conf = {"source": source or {"recipe": "one"}, "target": target or {"recipe": "two"}}
    (root / f"pairs/{name}.yaml").write_text(yaml.safe_dump({**conf, "map": table}))


def pair_of(root, name="pair"):
    """Load it."""
    return load_pair(root / "pairs", name, root)


def data_of(root, pair):
    """Its data directory, as stage 1 writes it."""
    utts = [replace(u, dur_sec=1.5) for u in pair.utts]
    write_data_dir(root / "all", utts, pair.corpus.labels, pair.corpus.vad_range)
    return read_data_dir(root / "all")
