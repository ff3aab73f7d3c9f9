# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""HuBERT and wav2vec 2.0 from a Hugging Face folder, as S3PRL's `hf_*_custom`.

Same model, same scaling of the waveform and same frames as those entries give for a clip alone,
computed as in native.py. Calling the blocks directly leaves out the SpecAugment masks and the layer
drop that the folder's config would apply in training. The last hidden state of a "large" (pre-norm)
model comes after the final layer norm, as in S3PRL's native format and as transformers'
`last_hidden_state`; the last of transformers' `hidden_states`, and so S3PRL's, comes before it.
"""

import json
import math
from pathlib import Path

import torch
from torch import nn
from transformers import HubertModel, Wav2Vec2Model

from sertl.errors import SertlError
from sertl.upstream.blocks import hf_block
from sertl.upstream.encoder import set_dropout
from sertl.upstream.native import STRIDE, FrameUpstream, standard

MODELS = {"hf_hubert": HubertModel, "hf_wav2vec2": Wav2Vec2Model}
TYPES = {"hf_hubert": "hubert", "hf_wav2vec2": "wav2vec2"}  # model_type of config.json
UNUSED = {"masked_spec_embed"}  # the only tensor that may be missing: hidden states never see it


class HFUpstream(FrameUpstream):
    """transformers' HubertModel or Wav2Vec2Model.

    Args:
        model: The model.
        normalize: Whether each waveform is brought to zero mean and unit variance.
    """

    def __init__(self, model: nn.Module, normalize: bool, dtype: str, dropout: float):
        config = model.config
        super().__init__(config.num_hidden_layers + 1, config.hidden_size, STRIDE, dtype)
        self.model = model
        self.normalize = normalize
        set_dropout(model, 0.0)
        set_dropout(model.encoder.layers, dropout)
        self.freeze()

    def normalise(self, clip):
        if not self.normalize:
            return clip
        return (clip - clip.mean()) / (clip.var(unbiased=False) + 1e-7).sqrt()

    def normalise_equal(self, wavs):
        return standard(wavs, 1e-7) if self.normalize else wavs

    def blocks(self):
        stable = self.model.config.do_stable_layer_norm
        return [hf_block(b, stable, "hf") for b in self.model.encoder.layers]

    def final_norm(self):
        return self.model.encoder.layer_norm if self.model.config.do_stable_layer_norm else None

    def mask_embedding(self):
        return getattr(self.model, "masked_spec_embed", None)  # absent where it was not trained

    def project(self, features):
        projected = self.model.feature_projection(features)
        return projected[0] if isinstance(projected, tuple) else projected

    def transform(self, x, padding, layers):
        encoder = self.model.encoder
        x = x + encoder.pos_conv_embed(x)
        if not self.model.config.do_stable_layer_norm:
            x = encoder.layer_norm(x)
        return self.run_blocks(x, padding, layers, 0)

    def run_blocks(self, x, padding, layers, first):
        encoder, stable = self.model.encoder, self.model.config.do_stable_layer_norm
        attended = None
        if padding is not None:
            attended = ~padding[:, None, None, :].expand(-1, 1, x.shape[1], -1)  # (B, 1, T, T)
        states = {}
        for i in range(first, max(layers) + 1):
            if i > first:
                x = self.run(encoder.layers[i - 1], x, attention_mask=attended)
            if i in layers:
                states[i] = x
        top = self.num_layers - 1
        if stable and top in states:
            states[top] = encoder.layer_norm(states[top])
        return states


def build_hf(family: str, folder: str, dtype: str, dropout: float) -> HFUpstream | None:
    """Load a folder made by save_pretrained; None if its model is of a kind not known here.

    Raises:
        SertlError: If preprocessor_config.json or a tensor is missing, or the folder holds another
            kind of model. S3PRL would take another model's preprocessor from the network, and
            transformers would draw the tensor at random, or leave out what the other kind has.
    """
    _check_type(family, Path(folder) / "config.json")
    path = Path(folder) / "preprocessor_config.json"
    if not path.is_file():
        raise SertlError(
            f"{folder}: no preprocessor_config.json, which says how the waveform is normalised; "
            "copy it from the model's page or save its feature extractor into the folder"
        )
    preprocessor = json.loads(path.read_text(encoding="utf-8"))
    if preprocessor.get("sampling_rate", 16000) != 16000:
        raise SertlError(f"{path}: sampling_rate {preprocessor['sampling_rate']}, expected 16000")
    model, info = MODELS[family].from_pretrained(
        folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
    )
    missing = sorted(set(info["missing_keys"]) - UNUSED)
    if missing:
        raise SertlError(
            f"{folder}: {len(missing)} tensors are not in its weights, e.g. {missing[0]}; it is "
            f"no {MODELS[family].__name__}, or incomplete"
        )
    config = model.config
    if math.prod(config.conv_stride) != STRIDE or getattr(config, "conv_pos_batch_norm", False):
        return None
    return HFUpstream(model, bool(preprocessor.get("do_normalize", True)), dtype, dropout)


def _check_type(family: str, path: Path) -> None:
    """Refuse a folder of another kind, such as WavLM's, which has all tensors of HuBERT's."""
    if not path.is_file():
        raise SertlError(f"{path}: no such file; a Hugging Face folder is made by save_pretrained")
    try:
        found = json.loads(path.read_text(encoding="utf-8")).get("model_type")
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise SertlError(f"{path}: not valid JSON: {error}") from error
    if found != TYPES[family]:
        raise SertlError(
            f"{path}: model_type is {found!r}, and {family}_custom loads {TYPES[family]!r}; choose "
            "the upstream of that kind (--upstream), or give its checkpoint in S3PRL's format"
        )
