# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stage 5 of one fold and seed: the teacher's hidden states, clusters of them, frame labels.

    teacher_feats/   hidden states of train and dev (transductive: of test too), 16 bits a value
    pseudo_labels/   codebooks and labels, see cluster/pseudo_labels.py

Nothing reads teacher_feats after this stage; it may be deleted to save space.
"""

import logging
import time
from dataclasses import asdict

from sertl import fingerprint, provenance
from sertl.atomic import write_json
from sertl.cluster.pseudo_labels import (
    check_settings,
    choose_sets,
    codebook_facts,
    count_frames,
    make_labels,
    write_insight,
)
from sertl.data.audio_hash import audio_hash
from sertl.data.datadir import DataDir
from sertl.data.folds import read_protocol
from sertl.errors import SertlError
from sertl.seed import derive_seed
from sertl.train import checkpoint, distributed
from sertl.train.inputs import Inputs, build, choose_layers, phase_data
from sertl.train.place import Place
from sertl.train.training_data import held_out_parts
from sertl.train.transcripts import phase_tokenizer
from sertl.upstream.base import Upstream
from sertl.upstream.build import build_upstream, describe
from sertl.upstream.dump import dump_feats

logger = logging.getLogger(__name__)

PHASE = "pseudo_labels"
UPSTREAM = "the upstream itself"  # in the fingerprint, where the method has no teacher


def label_fold(conf: dict, place: Place, use_gpu: bool, redo: bool) -> None:
    """Make the frame labels of a fold and seed, unless they are there.

    Raises:
        SertlError: The method has none; an unfinished teacher; layers that do not exist; other
            settings that cannot be; too little speech for any number of clusters.
    """
    if "pseudo_labels" not in conf:
        raise SertlError(f"method {conf['method']} has no pseudo_labels; stage 5 is not for it")
    begun = time.monotonic()
    upstream, wanted = conf["upstream"], {**conf["pseudo_labels"]}
    wanted["layers"] = choose_layers(
        wanted["layers"],
        upstream["num_layers"],
        list(range(upstream["num_layers"])),
        "pseudo_labels.layers",
    )
    if wanted["per_gender"] and conf["transductive"]:
        raise SertlError(
            "pseudo_labels.per_gender: transductive=true brings in audio without labels, and the "
            "gender of a held-out speaker is one; drop one of the two"
        )
    parts = {"train": place.part("train")}
    if (place.fold_dir / "dev").is_dir():
        parts["dev"] = place.part("dev")
    learned_on = dict(parts["train"].utts)
    if conf["transductive"]:
        learned_on |= {utt: u for part in held_out_parts(place) for utt, u in part.utts.items()}
    labelled = {**learned_on, **{u: utt for d in parts.values() for u, utt in d.utts.items()}}
    check_settings(wanted, learned_on)
    weights = teacher_hash(conf, place)
    out = place.folder / PHASE
    made_from = {
        PHASE: wanted,
        "upstream": describe(upstream),
        "teacher": weights,
        "fold": read_protocol(place.fold_dir)["fold_hash"],
        "clustered": fingerprint.ids_hash(learned_on),
        "labelled": fingerprint.ids_hash(f"{u.utt} {u.gender}" for u in labelled.values()),
        "audio": audio_hash(labelled.values()),
        "seed": place.seed,
    }
    if not redo and fingerprint.progress(out, made_from) is fingerprint.Progress.DONE:
        logger.info("%s: labels are there already", out)
        return

    device = distributed.init(use_gpu)
    feats = place.folder / "teacher_feats"
    dump_feats(
        DataDir(place.fold_dir, labelled, [], None),
        {**upstream, "layers": sorted(wanted["layers"])},
        feats,
        ngpu=int(use_gpu),
        redo=redo,
        tuned=(encoder(conf, place), weights),
    )
    num_frames = count_frames(feats)
    total = sum(num_frames[utt] for utt in learned_on)
    sets = choose_sets(wanted["layers"], wanted["clusters"], total, wanted["min_frames"])
    fingerprint.begin(out, made_from, redo)
    codebooks = make_labels(
        wanted,
        sets,
        feats,
        learned_on,
        labelled,
        out,
        derive_seed(place.seed, PHASE, place.fold),
        device,
    )
    qualities = write_insight(out, codebooks, parts, upstream["stride"])
    write_json(
        out / "run.json",
        {
            "phase": PHASE,
            "method": conf["method"],
            "input": "wav",
            "upstream": made_from["upstream"],
            "layers": wanted["layers"],
            "label_sets": [asdict(s) for s in codebooks],
            "stride": upstream["stride"],
            "per_gender": wanted["per_gender"],
            "seen_ids": {
                "clustering": {"n": len(learned_on), "hash": made_from["clustered"]},
            },
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
    fingerprint.finish(out)
    logger.info("%s: %d label sets, %d utts", out, len(codebooks), len(labelled))


def teacher_hash(conf: dict, place: Place) -> str:
    """Hash of the teacher's checkpoint, or that there is no teacher.

    Raises:
        SertlError: If the teacher is not trained.
    """
    if "teacher" not in conf:
        return UPSTREAM
    folder = place.folder / conf["teacher"]["name"]
    fingerprint.require_done(folder, "stage 4 (train --phase teacher)")
    return fingerprint.file_hash(folder / "best.pt")


def encoder(conf: dict, place: Place) -> Upstream:
    """The teacher's encoder with its trained weights, or the upstream itself, frozen."""
    if "teacher" not in conf or conf["input"] != "wav":
        return build_upstream(conf["upstream"])
    phase = conf["teacher"]
    train = phase_data(conf, phase, place)
    inputs = Inputs(conf, phase, place)
    tokenizer = phase_tokenizer(place, train)
    index = {label: i for i, label in enumerate(train.labels)}
    classes = [index.get(u.emo, -1) for u in train.utts.values()]
    model = build(phase, inputs, train, classes, tokenizer.size if tokenizer else 0)
    best = place.folder / phase["name"] / "best.pt"
    checkpoint.load_trained(model, checkpoint.load(best)["model"], str(best))
    model.upstream.freeze()
    return model.upstream
