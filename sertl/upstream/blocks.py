# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""One view of a Transformer block, whatever its library calls its parts."""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Block:
    """The parts of a Transformer block that training may change. The objects are the block's own.

    Attributes:
        module: The block. Its output, or the first of its outputs, is the next hidden state.
        attention: Holds the projections of queries, keys, values and output, see names.
        ffn_in: First linear layer of the feed-forward part.
        ffn_out: Second one; its output is that of the feed-forward part.
        norms: The norms beside the attention and the feed-forward part.
        pre_norm: Whether the norms come before these and the residual stream is not normalised.
        calls: How the attention is called, a key of upstream/attention.py's ATTEND.
        names: Of the attention's layers: "{}_proj" for q_proj, k_proj, v_proj and out_proj.
    """

    module: nn.Module
    attention: nn.Module
    ffn_in: nn.Linear
    ffn_out: nn.Linear
    norms: tuple[nn.LayerNorm, nn.LayerNorm]
    pre_norm: bool
    calls: str
    names: str = "{}_proj"

    @property
    def size(self) -> int:
        """D."""
        return self.ffn_out.out_features

    @property
    def linears(self) -> dict[str, nn.Linear]:
        """The linear layers by short name: q, k, v, out, ffn_in, ffn_out."""
        found = {n: getattr(self.attention, self.names.format(n)) for n in ("q", "k", "v", "out")}
        return {**found, "ffn_in": self.ffn_in, "ffn_out": self.ffn_out}


def fairseq_block(module: nn.Module, pre_norm: bool, calls: str) -> Block:
    """View of a block with fairseq's names: S3PRL's native models and Whisper."""
    norms = (module.self_attn_layer_norm, module.final_layer_norm)
    return Block(module, module.self_attn, module.fc1, module.fc2, norms, pre_norm, calls)


def hf_block(module: nn.Module, pre_norm: bool, calls: str) -> Block:
    """View of a block of transformers' wav2vec 2.0 and what is built like it."""
    ffn, norms = module.feed_forward, (module.layer_norm, module.final_layer_norm)
    return Block(
        module, module.attention, ffn.intermediate_dense, ffn.output_dense, norms, pre_norm, calls
    )


def conformer_block(module: nn.Module) -> Block:
    """View of a block of transformers' Conformers: its second feed-forward part."""
    attention, ffn = module.self_attn, module.ffn2
    norms = (module.self_attn_layer_norm, module.ffn2_layer_norm)
    layers = (ffn.intermediate_dense, ffn.output_dense)
    return Block(module, attention, *layers, norms, True, "conformer", "linear_{}")
