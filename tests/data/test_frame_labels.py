# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Frame pseudo-labels in batches: padded, cropped with the audio, complete."""

import shutil

import numpy as np
import pytest
import soundfile

from sertl import fingerprint
from sertl.atomic import write_json
from sertl.data.ark import ArkWriter
from sertl.data.datadir import DataDir, Utterance
from sertl.data.dataset import UttDataset
from sertl.data.frame_labels import FrameLabels, LabelSet
from sertl.errors import SertlError

FRAMES = {"s-a": 25, "s-b": 100}


def write_labels(folder, stride=320, frames=FRAMES, ids=("s-a", "s-b")):
    """Two label sets: the number of the frame, and 1000 more."""
    fingerprint.begin(folder, {"made": "by hand"})
    for number, label_set in enumerate((LabelSet(6, 64), LabelSet(9, 512))):
        with ArkWriter(folder / label_set.name / "labels") as writer:
            for utt, count in frames.items():
                writer.write(utt, (np.arange(count) + 1000 * number).astype(np.int32))
    clustering = {"n": len(ids), "hash": fingerprint.ids_hash(ids)}
    write_json(
        folder / "run.json",
        {
            "label_sets": [{"layer": 6, "clusters": 64}, {"layer": 9, "clusters": 512}],
            "stride": stride,
            "seen_ids": {"clustering": clustering},
        },
    )
    fingerprint.finish(folder)
    return FrameLabels(folder)


@pytest.fixture
def data(tmp_path):
    """Clips of 0.5 s and 2 s whose samples count up."""
    utts = {}
    for name, seconds in (("a", 0.5), ("b", 2.0)):
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, np.arange(int(16000 * seconds)) / 65536, 16000, subtype="FLOAT")
        utts[f"s-{name}"] = Utterance(f"s-{name}", "s", str(path), seconds, emo="sad")
    return DataDir(tmp_path, utts, ["sad"], None)


def test_read_and_padded(data, tmp_path):
    labels = write_labels(tmp_path / "labels")
    assert [s.clusters for s in labels.sets] == [64, 512] and labels.stride == 320
    batch = UttDataset(data, {"emo": data.labels}, pseudo=labels).batch([0, 1])
    assert batch.pseudo.shape == (2, 2, 100)
    assert batch.pseudo[0, 1].tolist() == list(range(1000, 1025)) + [-1] * 75
    assert UttDataset(data, {"emo": data.labels}).batch([0]).pseudo is None


def test_a_copy_reads_its_own_labels(tmp_path):
    """tools/tables share: the original may be made anew, or deleted."""
    before = write_labels(tmp_path / "labels").read("s-a")
    shutil.copytree(tmp_path / "labels", tmp_path / "copy")
    shutil.rmtree(tmp_path / "labels")
    assert np.array_equal(FrameLabels(tmp_path / "copy").read("s-a"), before)


def test_labels_are_cropped_like_the_audio(data, tmp_path):
    """Samples and labels both say where the crop of 1 s begins."""
    labels = write_labels(tmp_path / "labels")
    dataset = UttDataset(data, {"emo": data.labels}, crop_sec=1.0, seed=3, pseudo=labels)
    starts = set()
    for epoch in range(6):
        batch = dataset.batch([0, 1], epoch=epoch)
        first = round(batch.wav[1, 0].item() * 65536) // 320
        assert batch.pseudo[1, 0].tolist() == list(range(first, first + 50))
        assert batch.pseudo[0, 0].tolist() == list(range(25)) + [-1] * 25  # shorter than the crop
        starts.add(first)
    assert len(starts) > 3
    assert dataset.batch([1]).pseudo.shape[2] == 100  # evaluation reads whole clips


def test_labels_of_half_the_stride(data, tmp_path):
    labels = write_labels(tmp_path / "labels", stride=160, frames={"s-a": 50, "s-b": 200})
    dataset = UttDataset(data, {"emo": data.labels}, crop_sec=1.0, seed=3, pseudo=labels)
    batch = dataset.batch([1], epoch=1)
    first = round(batch.wav[0, 0].item() * 65536) // 160
    assert batch.pseudo[0, 0].tolist() == list(range(first, first + 100))


def test_what_does_not_fit_is_refused(data, tmp_path):
    odd = write_labels(tmp_path / "odd", stride=256)
    with pytest.raises(SertlError, match="pseudo-labels every 256 samples do not fit"):
        UttDataset(data, {"emo": data.labels}, crop_sec=1.0, pseudo=odd)
    few = write_labels(tmp_path / "few", frames={"s-a": 25})
    with pytest.raises(SertlError, match=r"lacks labels of 1 of 2 utterances, e.g. \['s-b'\]"):
        UttDataset(data, {"emo": data.labels}, pseudo=few)
    few.check_clustered(["s-b", "s-a"])
    with pytest.raises(SertlError, match="learned from 2 utterances .* not from the 1 of"):
        few.check_clustered(["s-a"])
    fingerprint.begin(tmp_path / "begun", {})
    with pytest.raises(SertlError, match="unfinished"):
        FrameLabels(tmp_path / "begun")
    with ArkWriter(tmp_path / "few" / "layer9_k512" / "labels") as writer:
        writer.write("s-a", np.zeros(24, np.int32))
    with pytest.raises(SertlError, match=r"s-a have \[25, 24\] frames"):
        FrameLabels(tmp_path / "few").read("s-a")
