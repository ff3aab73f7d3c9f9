# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A phase without labels is judged by a head solved on its frozen output."""

from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from fakes import LABELS, build_model, fake_dataset

from sertl.data.datadir import DataDir, Utterance, write_data_dir
from sertl.data.speaker_norm import fit_speaker_norm
from sertl.errors import SertlError
from sertl.models.base import Spec
from sertl.stages.frozen_head import FrozenHead, frozen_head

MODES = ("none", "online", "offline")
SPEC = Spec(labels=LABELS, hidden_size=6, layers=[0, 1])


def judge_of(spread, mode="none", live=True, loud=0.0):
    """With sets in memory; a loud speaker is one whose own mean drowns what is said."""
    parts = [SimpleNamespace(labels=LABELS, data=fake_dataset(n, spread=spread)) for n in (60, 30)]
    for number, part in enumerate(parts):
        for row, utt in enumerate(part.data.utts):
            rng = np.random.default_rng([number, int(utt.spk[1:])])
            part.data.feats.read(utt.utt)[:] += loud * rng.normal(size=6).astype(np.float32)
            if loud and row % 5 == 4:
                part.data.emo[row] = -1  # heard, not labelled
    speakers = {"mode": mode, "prior": 0.0, "scale": False}
    opened = SimpleNamespace(
        phase={"data_conf": {"batch_size": 8, "batch_sec": 1e9, "speaker_norm": speakers}},
        run=SimpleNamespace(seed=1),
        inputs=SimpleNamespace(live=live),
        dataset=lambda part: part.data,
    )
    data = parts[0].data
    fitted = fit_speaker_norm(data.clip_vectors(), [u.spk for u in data.utts], speakers)
    return FrozenHead(opened, *parts, None if live else fitted)


def test_tells_what_the_output_still_holds():
    torch.manual_seed(0)
    conf = {"wap": {"width": 4, "blocks": 1, "ffn": 8}, "centroids": 5}
    model = build_model("local_attributes", SPEC, None, conf)
    device = torch.device("cpu")
    easy = judge_of(0.3).judge(model, device, None)
    assert easy["ua"] > 0.9 and easy["loss"] < 0.6
    with torch.no_grad():  # a teacher that says the same of everything
        for parameter in model.teacher.parameters():
            parameter.zero_()
    dead = judge_of(0.3).judge(model, device, None)
    assert dead["ua"] == pytest.approx(1 / 3, abs=0.05) and dead["loss"] > 1.0


class Means(torch.nn.Module):
    """A model whose output is the mean of its input."""

    needs = ()

    def utterance_vectors(self, batch):
        rows = zip(batch.feats, batch.lens.tolist(), strict=True)
        return torch.stack([frames[:, :n].mean(dim=1).flatten() for frames, n in rows])


@pytest.mark.parametrize("live", [True, False])
def test_speakers_are_normalised_as_in_a_phase_that_classifies(live):
    device, judges = torch.device("cpu"), {mode: judge_of(0.3, mode, live, 20.0) for mode in MODES}
    scores = {mode: judge.judge(Means(), device, None)["ua"] for mode, judge in judges.items()}
    assert scores["none"] < 0.6 and scores["offline"] > 0.95
    assert scores["none"] < scores["online"] < scores["offline"]  # first clips know little


def test_the_speakers_held_out_are_the_judges(tmp_path):
    """Of a training without a group of speakers, in place of the fold's dev set."""
    emos = {"a": "ang", "b": "sad", "c": "ang", "e": "sad"}
    for part, speakers in {"train": "abc", "dev": "e"}.items():
        utts = [Utterance(f"{s}-1", s, "x.wav", 1.0, emo=emos[s]) for s in speakers]
        write_data_dir(tmp_path / "fold1" / part, utts, ["ang", "sad"])
    heard = []

    def dataset(part):
        heard.append("".join(sorted(u.spk for u in part.utts.values())))
        return MagicMock()

    def unlabelled(speakers):
        utts = {f"{s}-1": Utterance(f"{s}-1", s, "x.wav", 1.0) for s in speakers}
        return DataDir(tmp_path, utts, ["ang", "sad"], None)

    opened = SimpleNamespace(
        conf={"data": str(tmp_path)},
        phase={"name": "pretrain", "data_conf": {"speaker_norm": {"mode": "none"}}},
        run=SimpleNamespace(seed=1, fold=1),
        inputs=SimpleNamespace(live=True),
        dataset=dataset,
    )
    assert frozen_head(opened, Means(), None) and heard == ["abc", "e"]
    heard.clear()
    assert frozen_head(opened, Means(), None, unlabelled("ce")) and heard == ["ab", "ce"]
    with pytest.raises(SertlError, match="pretrain, select_conf.folds: the emotions of a group"):
        frozen_head(opened, Means(), None, unlabelled("z"))


def test_vectors_of_the_frame_stage_are_those_of_the_encoder():
    class Encoder(torch.nn.Module):
        hidden_size, frozen = 6, True

        def mask_embedding(self):
            return None

    spec = Spec(labels=LABELS, hidden_size=6, layers=[0, 1], clusters=(4,))
    model = build_model("frame_prediction", spec, Encoder(), {})
    states = torch.randn(3, 2, 5, 6)
    model.hidden = lambda batch: (states, torch.tensor([5, 4, 5]))
    found = model.utterance_vectors(SimpleNamespace())
    assert found.shape == (3, 24)
    torch.testing.assert_close(found[1, :6], states[1, 0, :4].mean(0))
