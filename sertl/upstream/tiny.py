# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Tiny encoders with random weights but the real classes and file formats.

They stand in for checkpoints of hundreds of megabytes in tests and in dry runs without a network.
Their features mean nothing.
"""

import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import WhisperConfig, WhisperModel

from sertl.upstream.hf import KINDS
from sertl.upstream.s3prl import submodule
from sertl.upstream.side_effects import quiet, same_randomness

BLOCKS, SIZE, HEADS, FFN, CHANNELS = 3, 32, 4, 64, 16
GROUPS = 2  # 16 channels each; with 8, torch 2.11's bf16 convolution on a CPU gives wrong results
CONVOLUTIONS = f"[({CHANNELS},10,5)] + [({CHANNELS},3,2)] * 4 + [({CHANNELS},2,2)] * 2"
SIZES = ("base", "large")  # group norm and post-norm blocks | layer norm and pre-norm blocks

TWO_SIZES = ("hubert", "wav2vec2", "wavlm", "unispeech-sat", "wav2vec2-conformer")
HF_CONFIGS = {kind: one.model.replace("Model", "Config") for kind, one in KINDS.items()}


def native_config(kind: str) -> dict:
    """The part of a model config that S3PRL's four native families share."""
    return {
        "extractor_mode": "default" if kind == "base" else "layer_norm",
        "layer_norm_first": kind == "large",
        "conv_bias": kind == "large",
        "conv_feature_layers": CONVOLUTIONS,
        "encoder_layers": BLOCKS,
        "encoder_embed_dim": SIZE,
        "encoder_ffn_embed_dim": FFN,
        "encoder_attention_heads": HEADS,
        "conv_pos": 16,
        "conv_pos_groups": GROUPS,
        "encoder_layerdrop": 0.1,
    }


def save_hubert(path: str | Path, kind: str = "base") -> None:
    """Write a checkpoint for S3PRL's `hubert_local`."""
    m = submodule("upstream.hubert.hubert_model")

    task = {"normalize": kind == "large", "sample_rate": 16000}
    config = {**native_config(kind), "label_rate": 50.0, "final_dim": 16}
    symbols = [[str(i) for i in range(10)]]
    model = m.HubertModel(m.HubertConfig(**config), m.HubertPretrainingConfig(**task), symbols)
    _save(path, task, config, model, dictionaries_symbols=symbols)


def save_wav2vec2(path: str | Path, kind: str = "large") -> None:
    """Write a checkpoint for S3PRL's `wav2vec2_local`, with its quantiser."""
    m = submodule("upstream.wav2vec2.wav2vec2_model")

    config = {**native_config(kind), "quantize_targets": True, "latent_vars": 8, "final_dim": 16}
    model = m.Wav2Vec2Model(m.Wav2Vec2Config(**config))
    _save(path, {"normalize": kind == "large"}, config, model)


def save_data2vec(path: str | Path, kind: str = "large") -> None:
    """Write a checkpoint for S3PRL's `data2vec_local`: five stacked positional convolutions."""
    m = submodule("upstream.data2vec.data2vec_model")

    # The released base model has layer norm in the convolutions and post-norm blocks.
    config = {**native_config(kind), "layer_norm_first": False, "pos_conv_depth": 5, "conv_pos": 20}
    model = m.Data2VecAudioModel(m.Data2VecAudioConfig(**config))
    model.remove_pretraining_modules()
    weights = {**_lively(model).state_dict(), "_ema": torch.zeros(1)}
    torch.save(
        {"task_cfg": {"normalize": True}, "model_cfg": config, "model_weight": weights}, path
    )


def save_wavlm(path: str | Path, kind: str = "base") -> None:
    """Write a checkpoint for S3PRL's `wavlm_local`."""
    m = submodule("upstream.wavlm.WavLM")

    config = {
        **native_config(kind),
        "normalize": kind == "large",
        "relative_position_embedding": True,
        "num_buckets": 32,
        "max_distance": 80,
        "gru_rel_pos": True,
    }
    model = m.WavLM(m.WavLMConfig(config))
    torch.save({"cfg": config, "model": _lively(model).state_dict()}, path)


def hf_config(family: str, kind: str = "base", **changes) -> transformers.PretrainedConfig:
    """The configuration of a tiny model of a model_type.

    Args:
        family: A key of HF_CONFIGS.
        kind: base | large; of Conformers, whose positions differ: base is relative, large rotary.
        changes: Further keys.
    """
    shape = {
        "hidden_size": SIZE,
        "num_hidden_layers": BLOCKS,
        "num_attention_heads": HEADS,
        "intermediate_size": FFN,
    }
    front = {
        "conv_dim": (CHANNELS,) * 7,
        "conv_kernel": (10, 3, 3, 3, 3, 2, 2),
        "conv_stride": (5, 2, 2, 2, 2, 2, 2),
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": GROUPS,
        "feat_extract_norm": "group" if kind == "base" else "layer",
        "do_stable_layer_norm": kind == "large",
    }
    more = {
        "data2vec-audio": {"num_conv_pos_embeddings": 5, "conv_pos_kernel_size": 5},
        "sew": {"squeeze_factor": 2},
        "wav2vec2-conformer": {
            "position_embeddings_type": "relative" if kind == "base" else "rotary",
            "conv_depthwise_kernel_size": 7,
        },
        "wav2vec2-bert": {
            "position_embeddings_type": "relative_key",
            "feature_projection_input_dim": 160,
            "conv_depthwise_kernel_size": 7,
            "left_max_position_embeddings": 8,
            "right_max_position_embeddings": 4,
        },
    }
    front = {} if family == "wav2vec2-bert" else front
    config = getattr(transformers, HF_CONFIGS[family])
    return config(**{**shape, **front, **more.get(family, {}), **changes})


def save_hf(folder: str | Path, family: str, kind: str = "base", **changes) -> None:
    """Write a Hugging Face folder of a model_type, with preprocessor_config.json."""
    config = hf_config(family, kind, **changes)
    model = getattr(transformers, KINDS[family].model)(config)
    for name, buffer in model.named_buffers():  # batch norm that does something
        if "running" in name:
            buffer.add_(0.1 * torch.rand_like(buffer))
    _lively(model).save_pretrained(folder)
    if family == "wav2vec2-bert":
        transformers.SeamlessM4TFeatureExtractor().save_pretrained(folder)
    else:
        transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)


def save_whisper(folder: str | Path, blocks: int = BLOCKS, mel_bins: int = 80) -> None:
    """Write a Hugging Face folder of a Whisper with encoder and decoder."""
    config = WhisperConfig(
        d_model=SIZE,
        encoder_layers=blocks,
        decoder_layers=1,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        encoder_ffn_dim=FFN,
        decoder_ffn_dim=FFN,
        num_mel_bins=mel_bins,
        vocab_size=64,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
        decoder_start_token_id=0,
    )
    _lively(WhisperModel(config)).save_pretrained(folder)


def save_all(folder: str | Path, seed: int = 0) -> list[Path]:
    """Write one of each; the same seed gives the same weights.

    Returns:
        The checkpoint files and folders written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    with quiet(), same_randomness():
        torch.manual_seed(seed)
        for name, save in (
            ("hubert", save_hubert),
            ("wav2vec2", save_wav2vec2),
            ("data2vec", save_data2vec),
            ("wavlm", save_wavlm),
        ):
            for kind in SIZES if name != "data2vec" else ("large",):
                made.append(folder / f"{name}_{kind}.pt")
                save(made[-1], kind)
        for family in KINDS:
            for kind in SIZES if family in TWO_SIZES else ("base",):
                made.append(folder / f"hf_{family}_{kind}")
                save_hf(made[-1], family, kind)
        made.append(folder / "whisper")
        save_whisper(made[-1])
        for name, save in (("emotion2vec", save_emotion2vec), ("eat", save_eat)):
            made.append(folder / name)
            save(made[-1])
    return made


def _save(path, task: dict, config: dict, model: torch.nn.Module, **more) -> None:
    weights = _lively(model).state_dict()
    torch.save({"task_cfg": task, "model_cfg": config, "model_weight": weights, **more}, path)


def _lively(model: torch.nn.Module) -> torch.nn.Module:
    """Set biases and norms off their zeros and ones, so that a bug in them can show."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def save_emotion2vec(folder: str | Path, before: int = 1, tokens: int = 3) -> None:
    """Write a folder with the names of FunASR's emotion2vec: model.pt and config.yaml.

    Args:
        before: Of the BLOCKS blocks, how many stand in the context encoder.
        tokens: Before the frames.
    """
    audio, kernel = "modality_encoders.AUDIO.", 5
    shapes = {f"{audio}extra_tokens": (1, tokens, SIZE), f"{audio}alibi_scale": (1, 1, HEADS, 1, 1)}
    for n, (inputs, width) in enumerate([(1, 10)] + [(CHANNELS, 3)] * 4 + [(CHANNELS, 2)] * 2):
        shapes[f"{audio}local_encoder.conv_layers.{n}.0.weight"] = (CHANNELS, inputs, width)
        shapes |= _both(f"{audio}local_encoder.conv_layers.{n}.2.1", CHANNELS)
    shapes |= _both(f"{audio}project_features.1", CHANNELS)
    shapes |= _both(f"{audio}project_features.2", SIZE, CHANNELS)
    shapes |= _both(f"{audio}context_encoder.norm", SIZE)
    for n in range(1, 6):
        place = f"{audio}relative_positional_encoder.{n}.0"
        shapes |= _both(place, SIZE, SIZE // GROUPS, kernel)
    for n in range(BLOCKS):
        place = f"{audio}context_encoder.blocks.{n}" if n < before else f"blocks.{n - before}"
        shapes |= _both(f"{place}.attn.qkv", 3 * SIZE, SIZE) | _both(f"{place}.mlp.fc1", FFN, SIZE)
        shapes |= _both(f"{place}.attn.proj", SIZE, SIZE) | _both(f"{place}.mlp.fc2", SIZE, FFN)
        shapes |= _both(f"{place}.norm1", SIZE) | _both(f"{place}.norm2", SIZE)
    tensors = {name: 0.2 * torch.randn(shape) for name, shape in shapes.items()}
    for name in tensors:
        if "norm" in name and name.endswith("weight"):
            tensors[name] += 1.0
    tensors[f"{audio}alibi_scale"] = torch.rand(shapes[f"{audio}alibi_scale"]) - 0.1  # one is < 0
    Path(folder).mkdir(parents=True, exist_ok=True)
    torch.save({"model": {f"d2v_model.{k}": t for k, t in tensors.items()}}, f"{folder}/model.pt")
    words = "model: Emotion2vec\nmodel_conf:\n  num_heads: {}\n  layer_norm_first: false\n"
    Path(folder, "config.yaml").write_text(words.format(HEADS), encoding="utf-8")


def _both(place: str, *shape: int) -> dict[str, tuple[int, ...]]:
    """Shapes of a weight and its bias."""
    return {f"{place}.weight": shape, f"{place}.bias": shape[:1]}


def save_eat(folder: str | Path, moments: int = 40) -> None:
    """Write a folder with the names of EAT's: model.safetensors and config.json.

    Args:
        moments: For how many there are positions.
    """
    shapes = {"model.extra_tokens": (1, 1, SIZE)}
    shapes["model.fixed_positional_encoder.positions"] = (1, 8 * moments, SIZE)
    shapes |= _both("model.local_encoder.proj", SIZE, 1, 16, 16) | _both("model.pre_norm", SIZE)
    for n in range(BLOCKS):
        place = f"model.blocks.{n}"
        shapes |= _both(f"{place}.attn.qkv", 3 * SIZE, SIZE) | _both(f"{place}.mlp.fc1", FFN, SIZE)
        shapes |= _both(f"{place}.attn.proj", SIZE, SIZE) | _both(f"{place}.mlp.fc2", SIZE, FFN)
        shapes |= _both(f"{place}.norm1", SIZE) | _both(f"{place}.norm2", SIZE)
    tensors = {name: 0.2 * torch.randn(shape) for name, shape in shapes.items()}
    for name in tensors:
        if "norm" in name and name.endswith("weight"):
            tensors[name] += 1.0
    Path(folder).mkdir(parents=True, exist_ok=True)
    save_file(tensors, f"{folder}/model.safetensors")
    conf = {"model_type": "eat", "num_heads": HEADS, "norm_eps": 1e-6, "patch_size": 16}
    Path(folder, "config.json").write_text(json.dumps(conf), encoding="utf-8")
