# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""S3PRL's upstreams by name: the only module that imports s3prl.

Three paths, one result (what S3PRLUpstream gives for the clip alone, frames ceil(N / stride)):

- wav2vec 2.0, HuBERT, data2vec and WavLM in S3PRL's own format run through native.py;
- Hugging Face folders (`hf_<type>_custom`) run through hf.py;
- everything else (filter-banks, distilled models, ...) runs through S3PRLUpstream itself, one clip
  at a time. Only this path cannot stop below the top layer.
"""

import difflib
import importlib
import logging
import pickle
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError

from sertl.errors import SertlError
from sertl.upstream.build import BACKENDS, note_of
from sertl.upstream.encoder import Upstream, set_dropout
from sertl.upstream.hf import KINDS, build_folder
from sertl.upstream.native import build_native
from sertl.upstream.padding import stack_frames
from sertl.upstream.side_effects import quiet, same_randomness

NATIVE = ("hubert", "wav2vec2", "data2vec", "wavlm")  # folders of s3prl/upstream
HF = {f"hf_{kind}_custom": kind for kind in KINDS}  # S3PRL itself has those of two kinds
CACHE = "~/.cache/s3prl/download"

# What a checkpoint that is cut off, of another kind or of another model makes S3PRL raise.
LOAD_ERRORS = (
    pickle.UnpicklingError,
    RuntimeError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    EOFError,
    OSError,
    SafetensorError,
)


class S3prlUpstream(Upstream):
    """Any S3PRL entry, through S3PRLUpstream, one clip at a time.

    Args:
        model: s3prl.nn.S3PRLUpstream.
        name: Its name, for errors.
    """

    def __init__(self, model: torch.nn.Module, name: str, dtype: str = "float32"):
        sizes, strides = set(model.hidden_sizes), set(model.downsample_rates)
        if len(sizes) > 1 or len(strides) > 1:
            raise SertlError(
                f"S3PRL upstream '{name}' has layers of different sizes or rates "
                f"({model.hidden_sizes}, strides {model.downsample_rates}), which are not supported"
            )
        super().__init__(model.num_layers, sizes.pop(), int(strides.pop()), dtype)
        self.model = model
        self.name = name
        set_dropout(model, 0.0)
        _still(model)
        self.freeze()

    def encode(self, clips, layers, mask=None):
        if mask is not None:
            raise SertlError(
                f"frames inside S3PRL's '{self.name}' cannot be masked; use wav2vec 2.0, HuBERT, "
                "data2vec, WavLM, Whisper or emotion2vec, or train without a mask "
                "(data_conf.time_mask=0, model_conf.mask_prob=0)"
            )
        states = {i: [] for i in layers}
        for clip in clips:
            try:
                hidden, _ = self.model(clip[None], torch.tensor([len(clip)]))
            except AssertionError as error:  # S3PRL's check of the number of frames
                raise SertlError(
                    f"S3PRL's '{self.name}' gives a wrong number of frames ({error}) for a clip of "
                    f"{len(clip)} samples; too short for it?"
                ) from error
            for i in layers:
                states[i].append(hidden[i][0])
        stacked = {i: stack_frames(parts) for i, parts in states.items()}
        frames = next(iter(stacked.values()))[1]
        return {i: x for i, (x, _) in stacked.items()}, frames


def _still(model: torch.nn.Module) -> None:
    """Turn off what changes the frames in training: layer drop, and SpecAugment's masks.

    With a layer left out S3PRL counts fewer hidden states than it declared, and fails.
    """
    for module in model.modules():
        for name in ("layerdrop", "encoder_layerdrop", "layer_drop"):
            for holder in (module, getattr(module, "config", None)):
                if isinstance(getattr(holder, name, None), float):
                    setattr(holder, name, 0.0)
        if hasattr(getattr(module, "config", None), "apply_spec_augment"):
            module.config.apply_spec_augment = False


def build_s3prl(
    name: str,
    ckpt: str | None,
    extra_conf: dict,
    dtype: str = "float32",
    dropout: float = 0.0,
    note: str = "",
) -> Upstream:
    """Build an S3PRL upstream.

    Args:
        name: One of S3PRL's names, e.g. "hubert_base" (downloads) or "hubert_local" (takes ckpt).
        ckpt: Path of a checkpoint file, of a Hugging Face folder for `hf_*`, or None.
        extra_conf: Further arguments of the S3PRL entry; with any, the generic path is taken.
        dtype: float32 | bf16.
        dropout: In the Transformer blocks, when fine-tuned.
        note: Where its weights are to be had, for the message of a failed download.

    Raises:
        SertlError: Unknown name, missing or broken checkpoint, failed download.
    """
    hub = import_hub()
    own = name in HF and name not in hub.options()
    family = None if own else family_of(hub, name)
    if ckpt is None and name not in hub.options(only_registered_ckpt=True):
        raise SertlError(f"S3PRL upstream '{name}' needs a checkpoint; give --ckpt PATH")
    path = None if ckpt is None else str(ckpt)
    upstream = None
    with quiet(), same_randomness():
        if name in HF:
            with explained(name, path, note):
                upstream = build_folder(HF[name], path, dtype, dropout)
        elif family in NATIVE and not extra_conf:
            with explained(name, path, note):
                expert = getattr(hub, name)(**({} if path is None else {"ckpt": path}))
            upstream = build_native(family, expert, dtype, dropout)
        if upstream is None and own:
            raise SertlError(f"{path}: a {HF[name]} whose form is not known here, nor to S3PRL")
        if upstream is None:
            from s3prl.nn import S3PRLUpstream

            with explained(name, path, note):
                model = S3PRLUpstream(name, path_or_url=path, extra_conf=extra_conf)
            upstream = S3prlUpstream(model, name, dtype)
    return upstream


@BACKENDS.register("s3prl")
class S3prlBackend:
    """Any entry of S3PRL's hub."""

    @staticmethod
    def entry(conf: dict) -> str:
        ckpt, note = conf["ckpt"], note_of(conf)
        if ckpt is None:
            if not conf["name"]:
                raise SertlError(f"this upstream has no download; give its --ckpt PATH{note}")
            return conf["name"]
        key = "name_hf" if Path(ckpt).is_dir() else "name_local"
        if not conf[key]:
            kind = "folder" if key == "name_hf" else "file"
            raise SertlError(
                f"checkpoint {ckpt} is a {kind}, and no {key} in this upstream's conf loads "
                f"one{note}"
            )
        return conf[key]

    @staticmethod
    def build(conf: dict) -> Upstream:
        name = S3prlBackend.entry(conf)
        given = conf["ckpt"], conf["extra_conf"], conf["dtype"], conf["dropout"]
        return build_s3prl(name, *given, note_of(conf))


def import_hub() -> types.ModuleType:
    """Import S3PRL's table of upstreams, with what stock s3prl misses in torchaudio >= 2.9.

    Raises:
        SertlError: If s3prl is not installed or does not import.
    """
    import torchaudio

    if not hasattr(torchaudio, "set_audio_backend"):
        torchaudio.set_audio_backend = lambda backend: None
    if "torchaudio.sox_effects" not in sys.modules and not hasattr(torchaudio, "sox_effects"):
        effects = types.ModuleType("torchaudio.sox_effects")
        effects.apply_effects_tensor = _no_sox
        sys.modules["torchaudio.sox_effects"] = torchaudio.sox_effects = effects
    logging.getLogger("s3prl").setLevel(logging.WARNING)  # it logs whole configs and URLs
    try:
        with quiet():
            from s3prl import hub
    except ImportError as error:
        raise SertlError(
            f"s3prl cannot be imported ({error}); run tools/install.sh, or install "
            "espnet-s3prl (not beside s3prl: both have the same import name)"
        ) from error
    return hub


def submodule(name: str) -> types.ModuleType:
    """Import one module of S3PRL, e.g. "upstream.hubert.hubert_model"."""
    import_hub()
    with quiet():
        return importlib.import_module(f"s3prl.{name}")


def _no_sox(*_args, **_kwargs):
    raise RuntimeError("this S3PRL upstream needs torchaudio.sox_effects, gone in torchaudio 2.9")


def family_of(hub: types.ModuleType, name: str) -> str:
    """The folder of s3prl/upstream that defines an entry.

    Raises:
        SertlError: If there is no such entry; the message names the nearest.
    """
    names = hub.options()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise SertlError(
            f"unknown S3PRL upstream '{name}'{hint} "
            "All: python -c 'from s3prl import hub; print(hub.options())'"
        )
    return getattr(hub, name).__module__.split(".")[2]


@contextmanager
def explained(name: str, ckpt: str | Path | None, note: str) -> Iterator[None]:
    """Turn what S3PRL raises while it loads or downloads into a message for the user."""
    try:
        yield
    except LOAD_ERRORS as error:
        first_line = next(iter(str(error).splitlines()), "")
        reason = f"{type(error).__name__}: {first_line}"
        if ckpt is not None:
            raise SertlError(
                f"{ckpt}: not a checkpoint that S3PRL's '{name}' can load, or damaged ({reason})"
            ) from error
        raise SertlError(
            f"S3PRL upstream '{name}' could not be downloaded or loaded ({reason}). Give a local "
            f"checkpoint with --ckpt PATH{note}, or check the network; a damaged file in {CACHE} "
            "has to be deleted first"
        ) from error
