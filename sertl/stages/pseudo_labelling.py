# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stage 5 of one run: the teacher's hidden states, clusters of them, frame labels.

    teacher_feats/   hidden states of train and dev (transductive: of test too), 16 bits a value;
    released_feats/  the same of the encoder before any training, where its labels are asked for too
    pseudo_labels/   codebooks and labels, see cluster/label_sets.py

Nothing reads these states after this stage; they may be deleted to save space.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sertl import fingerprint, provenance
from sertl.atomic import write_json
from sertl.cluster.codebook import Codebook
from sertl.cluster.label_sets import (
    check_settings,
    choose_sets,
    codebook_facts,
    count_frames,
    make_labels,
)
from sertl.data.audio import audio_hash
from sertl.data.datadir import DataDir, Utterance
from sertl.data.folds import FoldDir
from sertl.data.frame_labels import LabelSet
from sertl.errors import SertlError
from sertl.runs import PSEUDO_LABELS, Run
from sertl.seed import derive_seed
from sertl.shard import Shard
from sertl.stages.cross_fitting import dump_each, groups_of, teachers
from sertl.stages.dump import dump_feats
from sertl.stages.inputs import choose_layers
from sertl.stages.label_diagnostics import write_label_diagnostics
from sertl.stages.training_data import training_data
from sertl.train import distributed
from sertl.train.trained import BEST, load_model
from sertl.upstream.build import build_upstream, describe
from sertl.upstream.encoder import Upstream

logger = logging.getLogger(__name__)

UPSTREAM = "the upstream itself"  # in the fingerprint, where the method has no teacher


@dataclass(frozen=True)
class Speech:
    """The utterances of a fold that stage 5 reads.

    Attributes:
        parts: train, and dev if there is one.
        learned_on: Whose frames are clustered.
        labelled: Those and dev.
    """

    parts: dict[str, DataDir]
    learned_on: dict[str, Utterance]
    labelled: dict[str, Utterance]


def label_fold(conf: dict, run: Run, use_gpu: bool, redo: bool, shard: Shard | None = None) -> None:
    """Make the frame labels of a fold and seed, unless they are there.

    Args:
        conf: The experiment's configuration.
        run: The fold and seed.
        use_gpu: Encode and cluster on a GPU.
        redo: Delete what is there.
        shard: Only dump this part of the hidden states that are clustered, nearly all of the work;
            a run without it then dumps what is missing, clusters and labels.

    Raises:
        SertlError: The method has none; an unfinished teacher; layers that do not exist; other
            settings that cannot be; too little speech for any number of clusters.
    """
    begun = time.monotonic()
    fold, wanted = FoldDir(Path(conf["data"]), run.fold), read_settings(conf)
    if shard is not None and wanted["cross_fit"]:
        raise SertlError("pseudo_labels.cross_fit: teachers with few utterances each; no --shard")
    speech = read_speech(fold, conf["transductive"], wanted["also"])
    check_settings(wanted, speech.learned_on)
    made_from, out = inputs_of(conf, run, fold, wanted, speech), run.phase(PSEUDO_LABELS)
    if not redo and fingerprint.progress(out, made_from) is fingerprint.Progress.DONE:
        logger.info("%s: labels are there already", out)
        return
    device, feats = distributed.init(use_gpu), {}
    for source in wanted["sources"]:
        feats[source] = run.phase(f"{source}_feats")
        dump_source(conf, run, fold, wanted, speech.labelled, source, use_gpu, redo, shard)
    if shard is not None:
        return
    num_frames = count_frames(next(iter(feats.values())))
    total = sum(num_frames[utt] for utt in speech.learned_on)
    limits = (wanted["clusters"], total, wanted["min_frames"])
    sets = choose_sets(wanted["layers"], *limits, wanted["sources"])
    fingerprint.begin(out, made_from, redo)
    seed = derive_seed(run.seed, PSEUDO_LABELS, run.fold)
    codebooks = make_labels(
        wanted, sets, feats, speech.learned_on, speech.labelled, out, seed, device
    )
    qualities = write_label_diagnostics(out, codebooks, speech.parts, conf["upstream"]["stride"])
    write_record(conf, out, wanted, made_from, codebooks, qualities, begun)
    fingerprint.finish(out)
    logger.info("%s: %d label sets, %d utts", out, len(codebooks), len(speech.labelled))


def dump_source(
    conf: dict,
    run: Run,
    fold: FoldDir,
    wanted: dict,
    utts: dict[str, Utterance],
    source: str,
    use_gpu: bool,
    redo: bool,
    shard: Shard | None = None,
) -> None:
    """Dump the hidden states that are clustered: of the teacher, or of the released encoder."""
    out, layers = run.phase(f"{source}_feats"), sorted(wanted["layers"])

    def dump(phase: dict | None, own: dict[str, Utterance], folder: Path) -> None:
        dump_feats(
            DataDir(fold.path, own, [], None),
            {**conf["upstream"], "layers": layers},
            folder,
            ngpu=int(use_gpu),
            redo=redo,
            tuned=(encoder(conf, run, phase), teacher_hash(run, phase)),
            shard=shard,
        )

    if source == "released" or "teacher" not in conf:
        dump(None, utts, out)
    elif not wanted["cross_fit"]:
        dump(conf["teacher"], utts, out)
    else:
        dump_each(groups_of(conf, fold, utts), layers, out, dump)


def read_settings(conf: dict) -> dict:
    """The method's pseudo_labels, with layers as a list.

    Raises:
        SertlError: None; layers that do not exist; clusters per gender of held-out speech, or of
            speech whose genders are not read; two sources without a teacher.
    """
    if "pseudo_labels" not in conf:
        raise SertlError(f"method {conf['method']} has no pseudo_labels; stage 5 is not for it")
    wanted, number = {**conf["pseudo_labels"]}, conf["upstream"]["num_layers"]
    wanted["layers"] = choose_layers(
        wanted["layers"], number, list(range(number)), "pseudo_labels.layers"
    )
    if wanted["per_gender"] and conf["transductive"]:
        raise SertlError(
            "pseudo_labels.per_gender: transductive=true brings in audio without labels, and the "
            "gender of a held-out speaker is one; drop one of the two"
        )
    if wanted["per_gender"] and wanted["also"]:
        raise SertlError(
            "pseudo_labels.per_gender needs genders, which are not read of the speech in "
            "pseudo_labels.also; drop one of the two"
        )
    if "released" in wanted["sources"] and "teacher" not in conf:
        raise SertlError(
            "pseudo_labels.sources: without a teacher, its place is taken by the released encoder: "
            "leave [teacher]"
        )
    return wanted


def read_speech(fold: FoldDir, transductive: bool, also: Sequence[str] = ()) -> Speech:
    """What is clustered and labelled in a fold.

    Args:
        fold: Its data.
        transductive: Whether held-out audio is clustered too.
        also: Other data directories to label, without what the fold holds out.
    """
    parts = {
        name: fold.part(name) for name in ("train", "dev") if name == "train" or fold.has(name)
    }
    learned_on = dict(parts["train"].utts)
    if transductive:
        learned_on |= {utt: u for part in fold.held_out() for utt, u in part.utts.items()}
    labelled = {**learned_on, **{u: utt for d in parts.values() for u, utt in d.utts.items()}}
    for source in also:
        labelled |= training_data([source], fold, False, transductive).utts
    return Speech(parts, learned_on, labelled)


def inputs_of(conf: dict, run: Run, fold: FoldDir, wanted: dict, speech: Speech) -> dict:
    """Everything that the labels depend on."""
    labelled = speech.labelled.values()
    return {
        PSEUDO_LABELS: wanted,
        "upstream": describe(conf["upstream"]),
        "teacher": [teacher_hash(run, phase) for phase in teachers(conf)] or UPSTREAM,
        "fold": fold.protocol()["fold_hash"],
        "clustered": fingerprint.ids_hash(speech.learned_on),
        "labelled": fingerprint.ids_hash(f"{u.utt} {u.gender}" for u in labelled),
        "audio": audio_hash(labelled),
        "seed": run.seed,
    }


def teacher_hash(run: Run, phase: dict | None) -> str:
    """Hash of a teacher's checkpoint, or that there is no teacher.

    Raises:
        SertlError: If the teacher is not trained.
    """
    if phase is None:
        return UPSTREAM
    folder = run.phase(phase["name"])
    fingerprint.require_done(folder, "stage 4 (train --phase teacher)")
    return fingerprint.file_hash(folder / BEST)


def encoder(conf: dict, run: Run, phase: dict | None) -> Upstream:
    """A teacher's encoder with its trained weights, or without one the upstream, frozen."""
    if phase is None or conf["input"] != "wav":
        return build_upstream(conf["upstream"])
    return load_model(run.phase(phase["name"])).model.upstream


def write_record(
    conf: dict,
    out: Path,
    wanted: dict,
    made_from: dict,
    codebooks: dict[LabelSet, Codebook],
    qualities: dict,
    begun: float,
) -> None:
    """Write run.json."""
    clustered = next(iter(codebooks.values())).info["ids"]
    write_json(
        out / "run.json",
        {
            "phase": PSEUDO_LABELS,
            "method": conf["method"],
            "input": "wav",
            "upstream": made_from["upstream"],
            "layers": wanted["layers"],
            "label_sets": [asdict(s) for s in codebooks],
            "stride": conf["upstream"]["stride"],
            "per_gender": wanted["per_gender"],
            "seen_ids": {"clustering": {"n": clustered["n"], "hash": made_from["clustered"]}},
            "transductive": conf["transductive"],
            "codebooks": codebook_facts(codebooks),
            "quality": qualities,
            "config_hash": fingerprint.text_hash(str(wanted)),
            "commit": provenance.commit(),
            "environment": provenance.environment(),
            "seconds": round(time.monotonic() - begun, 1),
            "peak_rss_gib": provenance.peak_rss_gib(),
        },
    )
