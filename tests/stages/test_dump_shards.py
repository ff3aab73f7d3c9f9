# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Dumps by several machines: the files of a single run, whatever the shards."""

import numpy as np
import pytest

from sertl.data.ark import read_scp
from sertl.data.datadir import read_data_dir
from sertl.errors import SertlError
from sertl.lock import alone
from sertl.shard import Shard
from sertl.stages.dump import dump_feats
from sertl.upstream.build import load_conf

CONF = {"chunk_utts": 3, "pool": ("mean", "std")}


@pytest.fixture
def dump(corpus, tiny, tmp_path, monkeypatch):
    """A function: dump the corpus of noise into a folder of that name, in a folder of its own."""
    from trained_tiny import CONF as CONFS

    data = read_data_dir(corpus / "data/all")
    conf = load_conf("tiny_hubert", CONFS / "upstream", {"ckpt": str(tiny / "hubert_base.pt")})

    def call(name, shard="", **options):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        dump_feats(data, conf, "dump", shard=Shard.parse(shard), **CONF, **options)
        return folder / "dump"

    return call


def content(folder):
    """Every file that a finished dump has."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files if p.suffix != ".lock"}


def test_any_shards_give_the_files_of_one_run(dump):
    whole = content(dump("whole"))
    for number in (2, 1):
        dump("two", f"{number}/2")
    assert content(dump("two", merge=True)) == whole
    for number in (4, 1, 3):
        dump("four", f"{number}/4")
    for number in (2, 1, 3, 4, 5):  # other machines, of which some find nothing left
        dump("four", f"{number}/5")
    assert content(dump("four", merge=True)) == whole
    dump("some", "3/7")
    assert content(dump("some")) == whole  # the next stage 3 makes the rest
    assert {name for name in whole if "shards" in name} == set()


def test_what_is_missing_is_named(dump):
    with pytest.raises(SertlError, match="lacks 10 of 10 chunks, 30 utterances.*no shard has"):
        dump("none", merge=True)
    dump("parts", "1/4")
    dump("parts", "3/4")
    with pytest.raises(SertlError, match=r"lacks 5 of 10 .* of 4 shards: 2/4, 4/4$"):
        dump("parts", merge=True)
    for number in (2, 4):
        dump("parts", f"{number}/4")
    arks = sorted(dump("parts", "2/4").glob("layer*/feats.1.ark"))
    arks[0].write_bytes(arks[0].read_bytes()[:-1])
    with pytest.raises(SertlError, match="lacks 1 of 10 .* parts of finished ones"):
        dump("parts", merge=True)
    dump("parts", "2/4")  # that one alone, again
    scp = read_scp(dump("parts", merge=True) / "layer0/feats.scp")
    assert len(scp) == 30 and np.all(["shards" not in spec for spec in scp.values()])
    dump("parts", "2/4")  # all is there: nothing to do


def test_shards_at_work_keep_out_of_each_other_s_way(dump, tmp_path):
    folder = dump("busy", "1/4")
    with alone(folder / "shards/2of4", wait=False):
        dump("busy", "3/4")
        with pytest.raises(SertlError, match="another process is writing it"):
            dump("busy", "2/4")
        with pytest.raises(SertlError, match="shard 2/4 is at work"):
            dump("busy", "2/3")
    with pytest.raises(SertlError, match="delete .* instead"):
        dump("busy", "2/4", redo=True)
    manifest = folder / "shards/1of4.json"
    manifest.write_text(manifest.read_text().replace('"utts": ', '"utts": 1'))
    with pytest.raises(SertlError, match="is of other utterances; run shard 1/4 again"):
        dump("busy", merge=True)
