# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A trained model that opens by itself: what best.pt holds, and the model made of it.

Beside the weights, best.pt carries all that they were made for: labels, sizes, layers, tokenizer,
the resolved phase and upstream, and the hash of the encoder. Nothing else is needed but, for a
model that reads audio, the encoder's own checkpoint. Tensors, numbers and strings only; no pickle.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from sertl.data.speaker_norm import SpeakerNorm
from sertl.data.tokenizer import Tokenizer, pack_tokenizer, unpack_tokenizer
from sertl.errors import SertlError
from sertl.fingerprint import differences
from sertl.models.base import MODELS, SERModel, Spec
from sertl.peft.inject import fold_lora
from sertl.peft.tuning import tune
from sertl.run_file import RETRAIN, understanding
from sertl.train import checkpoint
from sertl.upstream.build import build_upstream, describe
from sertl.upstream.side_effects import unlogged

BEST = "best.pt"
FORMAT = 3
KEYS = ("model", "spec", "phase", "input", "upstream", "encoder", "tokenizer", "speaker_norm")


@dataclass(frozen=True)
class Trained:
    """A phase's result.

    Attributes:
        model: In evaluation mode, on the CPU; LoRA is folded into the weights it updates.
        phase: Its resolved configuration.
        input: feats or wav.
        upstream: Resolved configuration of the encoder.
        encoder: Fingerprint of the encoder; of `feats`, that of the dump it was trained on.
        tokenizer: If it has transcripts.
        speaker_norm: How speakers are normalised; None if they are not.
    """

    model: SERModel
    phase: dict
    input: str
    upstream: dict
    encoder: dict
    tokenizer: Tokenizer | None
    speaker_norm: SpeakerNorm | None = None

    @property
    def spec(self) -> Spec:
        """What the model was built for."""
        return self.model.spec


def to_rebuild(
    conf: dict,
    phase: dict,
    spec: Spec,
    encoder: dict,
    tokenizer: Tokenizer | None,
    speaker_norm: SpeakerNorm | None = None,
) -> dict:
    """What a checkpoint carries beside the weights.

    Args:
        conf: The run's configuration.
        phase: The phase's.
        spec: What the model is built for.
        encoder: Fingerprint of the encoder.
        tokenizer: Of the fold, if there is text.
        speaker_norm: As fitted on the training utterances.
    """
    return {
        "format": FORMAT,
        "spec": {**asdict(spec), "classes": {k: list(v) for k, v in spec.classes.items()}},
        "phase": phase,
        "input": conf["input"],
        "upstream": conf["upstream"],
        "encoder": encoder,
        "tokenizer": None if tokenizer is None else pack_tokenizer(tokenizer),
        "speaker_norm": None if speaker_norm is None else asdict(speaker_norm),
    }


def load_model(folder: str | Path, ckpt: str | None = None) -> Trained:
    """Open what a phase has trained.

    Args:
        folder: exp/<tag>/seed<s>/fold<k>/<phase>.
        ckpt: Where the encoder's checkpoint lies now, if not where training found it.

    Raises:
        SertlError: No, a damaged or an older checkpoint; an encoder that is not the one it was
            trained with, naming the differences.
    """
    path = Path(folder) / BEST
    return rebuild(checkpoint.load(path, "model"), str(path), ckpt)


def rebuild(
    saved: dict, source: str, ckpt: str | None = None, known_encoder: bool = False
) -> Trained:
    """The model of what best.pt holds.

    Args:
        saved: That.
        source: Named in errors.
        ckpt: Where the encoder's checkpoint lies now, if not where training found it.
        known_encoder: That is certainly the one it was trained with.

    Raises:
        SertlError: See load_model.
    """
    missing = [key for key in KEYS if key not in saved]
    if missing or saved.get("format") != FORMAT:
        lacks = f" (it lacks {', '.join(missing)})" if missing else ""
        raise SertlError(
            f"{source} does not say how its model is built{lacks}: it was made by another version "
            f"of sertl (format {saved.get('format')}, this one reads {FORMAT}); train the phase "
            "anew (--redo)"
        )
    with understanding(source, RETRAIN):
        return _build(saved, source, ckpt, known_encoder)


def _build(saved: dict, source: str, ckpt: str | None, known_encoder: bool) -> Trained:
    spec = Spec(**saved["spec"])
    phase, upstream, conf = saved["phase"], None, saved["upstream"]
    if ckpt is not None:
        conf = {**conf, "ckpt": ckpt}
    if saved["input"] == "wav":
        if not known_encoder:
            check_encoder(saved["encoder"], conf, source)
        upstream = build_upstream(conf)
        tune(upstream, phase["upstream_conf"], spec.layers, check=False)
    with unlogged():  # training has said what it left out for lack of labels
        model = MODELS.build(phase["model"], spec, upstream, conf=phase["model_conf"])
    checkpoint.load_trained(model, saved["model"], source)
    if upstream is not None:
        fold_lora(upstream)
        upstream.freeze()
    packed = saved["tokenizer"]
    tokenizer = None if packed is None else unpack_tokenizer(packed)
    norm = None if saved["speaker_norm"] is None else SpeakerNorm(**saved["speaker_norm"])
    return Trained(model.eval(), phase, saved["input"], conf, saved["encoder"], tokenizer, norm)


def check_encoder(encoder: dict, conf: dict, source: str) -> None:
    """Refuse a configuration of another encoder than a model was trained with.

    Args:
        encoder: Fingerprint of that encoder, or of its dump.
        conf: Where it is now.
        source: Of the model, named in the error.

    Raises:
        SertlError: Naming the differences.
    """
    now = describe(conf)
    lines = differences({key: encoder.get(key) for key in now}, now)
    if lines:
        raise SertlError(f"{source} was trained on another encoder: " + "; ".join(lines))
