# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Backend `hf`: a Hugging Face folder, read as the kind that its config.json names.

The conf says which kind it expects (`model_type`); a folder of another kind is refused, never read
as that one: WavLM's has all tensors of HuBERT's, and would give other features without a word.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from sertl.errors import SertlError, unknown_name
from sertl.upstream.build import BACKENDS, note_of
from sertl.upstream.encoder import Upstream
from sertl.upstream.hf_conformer import HFBert, HFConformer
from sertl.upstream.hf_models import HFData2vec, HFSew, HFUpstream, HFWavLM
from sertl.upstream.native import STRIDE
from sertl.upstream.side_effects import quiet, same_randomness
from sertl.upstream.whisper import build_whisper

UNUSED = {"masked_spec_embed"}  # the only tensor that may be missing: hidden states never see it


@dataclass(frozen=True)
class Kind:
    """A model_type.

    Attributes:
        model: Its class in transformers.
        upstream: Its class here.
        eager: Whether its attention takes what is added to the scores, which only that form does.
    """

    model: str
    upstream: type[HFUpstream]
    eager: bool = False


KINDS = {
    "wav2vec2": Kind("Wav2Vec2Model", HFUpstream),  # XLS-R, MMS, wav2vec2-large-robust too
    "hubert": Kind("HubertModel", HFUpstream),
    "wavlm": Kind("WavLMModel", HFWavLM),
    "unispeech": Kind("UniSpeechModel", HFUpstream),
    "unispeech-sat": Kind("UniSpeechSatModel", HFUpstream),
    "data2vec-audio": Kind("Data2VecAudioModel", HFData2vec),
    "sew": Kind("SEWModel", HFSew),
    "wav2vec2-conformer": Kind("Wav2Vec2ConformerModel", HFConformer, eager=True),
    "wav2vec2-bert": Kind("Wav2Vec2BertModel", HFBert, eager=True),
}
TYPES = (*KINDS, "whisper")


@BACKENDS.register("hf")
class HFBackend:
    """Folders made by save_pretrained, of the types in TYPES."""

    @staticmethod
    def entry(conf: dict) -> str:
        kind = conf["model_type"]
        if kind not in TYPES:
            raise SertlError(f"backend hf, {unknown_name('model_type', kind, TYPES)}")
        if conf["ckpt"] is None:
            raise SertlError(
                f"an upstream of backend hf needs a local folder; give --ckpt FOLDER{note_of(conf)}"
            )
        if not Path(conf["ckpt"]).is_dir():
            raise SertlError(f"checkpoint {conf['ckpt']} is a file; backend hf reads folders")
        return f"hf:{kind}"

    @staticmethod
    def build(conf: dict) -> Upstream:
        kind, folder = conf["model_type"], str(conf["ckpt"])
        if kind == "whisper":
            return build_whisper(folder, conf["dtype"], conf["pad_to_30s"], conf["dropout"])
        extra = dict(conf["extra_conf"])
        language = extra.pop("lang", None)
        if extra:
            raise SertlError(f"backend hf, extra_conf: {sorted(extra)}; it knows only lang (MMS)")
        with quiet(), same_randomness():
            upstream = build_folder(kind, folder, conf["dtype"], conf["dropout"])
            if upstream is None:
                raise SertlError(
                    f"{folder}: convolutions with a stride other than {STRIDE} samples, or batch "
                    "norm in the positions, which backend hf does not read"
                )
            if language is not None:
                load_language(upstream.model, Path(folder), language)
        return upstream


def build_folder(kind: str, folder: str, dtype: str, dropout: float) -> HFUpstream | None:
    """Load a folder made by save_pretrained; None if its front end is of a form not known here.

    Args:
        kind: A key of KINDS.

    Raises:
        SertlError: If preprocessor_config.json or a tensor is missing, or the folder holds another
            kind of model. S3PRL would take another model's preprocessor from the network, and
            transformers would draw the tensor at random, or leave out what the other kind has.
    """
    import transformers

    _check_type(kind, Path(folder) / "config.json")
    normalize = _normalize(kind, Path(folder) / "preprocessor_config.json")
    attention = {"attn_implementation": "eager"} if KINDS[kind].eager else {}
    model_class = getattr(transformers, KINDS[kind].model)
    model, info = model_class.from_pretrained(
        folder,
        local_files_only=True,
        dtype=torch.float32,
        output_loading_info=True,
        **attention,
    )
    missing = sorted(set(info["missing_keys"]) - UNUSED)
    if missing:
        raise SertlError(
            f"{folder}: {len(missing)} tensors are not in its weights, e.g. {missing[0]}; it is "
            f"no {KINDS[kind].model}, or incomplete"
        )
    strides = getattr(model.config, "conv_stride", [STRIDE])
    if kind == "wav2vec2-bert":
        strides = [STRIDE]  # its config has a default of the others' there
    if math.prod(strides) != STRIDE or getattr(model.config, "conv_pos_batch_norm", False):
        return None
    return KINDS[kind].upstream(model, normalize, dtype, dropout)


def load_language(model: nn.Module, folder: Path, language: str) -> None:
    """Put MMS's adapters of a language, adapter.<language>.safetensors, into the blocks.

    Source:
        Pratap et al., "Scaling Speech Technology to 1,000+ Languages", JMLR 2024.
    """
    path = folder / f"adapter.{language}.safetensors"
    inside = {key for key in model.state_dict() if ".adapter_layer." in key}
    if not inside:
        raise SertlError(f"{folder}: extra_conf.lang, but the model has no adapters of a language")
    if not path.is_file():
        known = sorted(p.name.split(".")[1] for p in folder.glob("adapter.*.safetensors"))
        raise SertlError(f"{folder}: {unknown_name('language', language, known)}")
    tensors = {k.removeprefix("wav2vec2."): t.float() for k, t in load_file(path).items()}
    found = {key: t for key, t in tensors.items() if key in inside}
    if found.keys() != inside:
        raise SertlError(f"{path}: {len(inside - found.keys())} of {len(inside)} tensors missing")
    model.load_state_dict(found, strict=False)


def _normalize(kind: str, path: Path) -> bool:
    """Whether waveforms are brought to zero mean and unit variance."""
    if not path.is_file():
        raise SertlError(
            f"{path.parent}: no preprocessor_config.json, which says how the waveform is "
            "normalised; copy it from the model's page or save its feature extractor into the "
            "folder"
        )
    found = json.loads(path.read_text(encoding="utf-8"))
    if found.get("sampling_rate", 16000) != 16000:
        raise SertlError(f"{path}: sampling_rate {found['sampling_rate']}, expected 16000")
    shape = found.get("num_mel_bins", 80), found.get("stride", 2)
    if kind == "wav2vec2-bert" and shape != (80, 2):
        raise SertlError(f"{path}: expected 80 num_mel_bins and a stride of 2")
    return bool(found.get("do_normalize", True))


def _check_type(kind: str, path: Path) -> None:
    """Refuse a folder of another kind."""
    if not path.is_file():
        raise SertlError(f"{path}: no such file; a Hugging Face folder is made by save_pretrained")
    try:
        found = json.loads(path.read_text(encoding="utf-8")).get("model_type")
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise SertlError(f"{path}: not valid JSON: {error}") from error
    if found != kind:
        raise SertlError(
            f"{path}: model_type is {found!r}, and this upstream is {kind!r}; choose the upstream "
            "of that kind (--upstream), or give its checkpoint in S3PRL's format"
        )
