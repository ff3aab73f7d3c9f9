# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The interface of all encoders: waveforms in, hidden states of the asked layers out.

A subclass gets clips already cut to their own samples, so the content of the padding of a batch
cannot reach it; what it must keep is that a clip in a batch gives what it gives alone.
"""

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from sertl.errors import SertlError
from sertl.upstream.blocks import Block
from sertl.upstream.dependence import parameters_of
from sertl.upstream.padding import frame_padding, repeat_last

DTYPES = ("float32", "bf16")


class Upstream(nn.Module):
    """A pretrained encoder, frozen and in evaluation mode until `trainable()` is called.

    Args:
        dtype: bf16 runs under bf16 autocast; float32 adds no autocast to the caller's, if any.
            Hidden states are float32 in both.

    Attributes:
        num_layers: Hidden states there are: 0 is the input of the first block, the last is the
            encoder's output (blocks + 1; 1 for filter-banks).
        hidden_size: D of each of them.
        stride: Samples per frame.
        sample_rate: Of the input, in Hz.
        frozen: Whether the encoder runs without gradient. What is put into the blocks (LoRA,
            adapters; see peft/inject.py) needs one, though the encoder's own tensors may not train.
        tuned: The modules whose own tensors train: only they leave evaluation mode, and so have
            dropout, when the parent trains.
        grad_checkpoint: Keep only the input of each block and compute the rest of it again in the
            backward pass: less memory for one more forward pass.
    """

    def __init__(self, num_layers: int, hidden_size: int, stride: int, dtype: str = "float32"):
        super().__init__()
        if dtype not in DTYPES:
            raise ValueError(f"dtype is {dtype!r}, expected one of {DTYPES}")
        self.num_layers = num_layers
        self.hidden_size = hidden_size
        self.stride = stride
        self.sample_rate = 16000
        self.bf16 = dtype == "bf16"
        self.frozen = True
        self.tuned: list[nn.Module] = []
        self.grad_checkpoint = False

    @abstractmethod
    def encode(
        self,
        clips: list[torch.Tensor],
        layers: set[int],
        mask: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> tuple[dict[int, torch.Tensor], list[int]]:
        """Hidden states of a batch of clips; see forward.

        Args:
            clips: B tensors (N_b,) float32, N_b >= 1, each a whole clip without padding.
            layers: Which hidden states are needed; nothing above the highest is to be computed.
            mask: See forward; padding.replace_frames applies it.

        Returns:
            layer -> (B, T, D), with anything in the padded frames, and B numbers of frames.
        """

    def forward(
        self,
        wavs: torch.Tensor,
        wav_lens: torch.Tensor,
        layers: Sequence[int] | None = None,
        mask: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Encode a padded batch; the result of a clip does not depend on the rest of the batch.

        Args:
            wavs: (B, N) float32 in [-1, 1], padded at the end with anything.
            wav_lens: (B,) int64, samples per clip.
            layers: Hidden states to return, in this order; None for all. Blocks above the highest
                are not computed (one S3PRL path cannot stop early, see upstream/s3prl.py).
            mask: (B, T) bool and a vector (D,): where it is True, the vector takes the place of
                what enters the first block, before positions are added. T may be off by a few.

        Returns:
            len(layers) tensors (B, T, D) float32, zero in padded frames, and (B,) int64 frames.

        Raises:
            ValueError: If a layer or a length is out of range.
        """
        layers = list(range(self.num_layers)) if layers is None else [int(i) for i in layers]
        for layer in layers:
            if not 0 <= layer < self.num_layers:
                raise ValueError(f"layer {layer} asked for, there are 0..{self.num_layers - 1}")
        for row, length in enumerate(wav_lens.tolist()):
            if not 1 <= length <= wavs.shape[1]:
                raise ValueError(f"wav_lens[{row}] is {length}, expected 1..{wavs.shape[1]}")
        clips = [wav[:n].float() for wav, n in zip(wavs, wav_lens.tolist(), strict=True)]
        autocast = nullcontext()
        if self.bf16:
            autocast = torch.autocast(wavs.device.type, dtype=torch.bfloat16)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen), autocast:
            states, frames = self.encode(clips, set(layers), mask)
            padding = frame_padding(frames, wavs.device)  # (B, T)
            hidden = [states[i].float().masked_fill(padding[:, :, None], 0.0) for i in layers]
        return hidden, torch.tensor(frames, device=wavs.device)

    def encode_equal(
        self, wavs: torch.Tensor, layers: Sequence[int]
    ) -> tuple[list[torch.Tensor], int]:
        """What forward gives for clips of one length, in operations that a graph can hold.

        Args:
            wavs: (B, N) float32; B and N may be symbols of a graph, N at least 1.
            layers: Hidden states to return, in this order.

        Returns:
            len(layers) tensors (B, T, D), and T.

        Raises:
            SertlError: If this kind of encoder cannot be exported.
        """
        raise SertlError(
            f"this upstream ({type(self).__name__}) cannot be exported: graphs are made of Whisper "
            "and of encoders that read waveforms by convolutions (wav2vec 2.0, HuBERT, WavLM, …)"
        )

    def windows(self, num_samples: int) -> list[int]:
        """Frames of each stretch of a clip that the blocks see by itself, in their order.

        One stretch, unless the clip is longer than the encoder takes. Without the frames that are
        only repeated at the end.

        Raises:
            SertlError: If this kind of encoder cannot go on from a hidden state.
        """
        raise SertlError(
            f"upstream_conf.from_layer: the inside of this upstream ({type(self).__name__}) is not "
            "known, so that it cannot go on from a hidden state"
        )

    def check_resume(self, first: int) -> None:
        """Refuse to go on from hidden state `first` where resume could not.

        Raises:
            SertlError: As windows, or because blocks need what is not in a hidden state.
        """
        self.windows(1)

    def encode_from(
        self, first: int, stretches: list[torch.Tensor], owner: list[int], layers: set[int]
    ) -> tuple[dict[int, torch.Tensor], list[int]]:
        """What encode returns, from hidden state `first` instead of clips.

        Args:
            first: Below all of layers.
            stretches: W tensors (T_w, D) of that state, see windows.
            owner: W rows of the batch that they belong to, ascending.
            layers: Which hidden states are needed.

        Returns:
            layer -> (B, T, D), and B numbers of frames, the sums of a row's T_w.
        """
        raise NotImplementedError

    def resume(
        self,
        states: torch.Tensor,
        lens: torch.Tensor,
        num_samples: Sequence[int | None],
        first: int,
        layers: Sequence[int],
        mask: torch.Tensor | None = None,
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Go on from a hidden state that was computed before: what forward gives, without audio.

        Args:
            states: (B, T, D) hidden state `first`, padded.
            lens: (B,) its frames.
            num_samples: Samples of each clip; None for a part of one, which is taken as it is.
            first: Its number.
            layers: Hidden states above it to return, in this order.
            mask: (B, T) bool, True where a frame becomes the mean of its stretch.

        Returns:
            As forward.

        Raises:
            SertlError: See check_resume.
        """
        self.check_resume(first)
        stretches, owner = [], []
        for row, (length, number) in enumerate(zip(lens.tolist(), num_samples, strict=True)):
            parts = [length] if number is None else self.windows(number)
            clip = states[row]
            if mask is not None:
                mean = clip[:length].mean(dim=0)
                clip = torch.where(mask[row, : len(clip), None], mean, clip)
            stretches += clip[: sum(parts)].split(parts)
            owner += [row] * len(parts)
        autocast = nullcontext()
        if self.bf16:
            autocast = torch.autocast(states.device.type, dtype=torch.bfloat16)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen), autocast:
            found, frames = self.encode_from(first, stretches, owner, set(layers))
            wanted = lens.tolist()
            padding = frame_padding(wanted, states.device)
            hidden = [
                repeat_last(found[i].float(), frames, wanted).masked_fill(padding[:, :, None], 0.0)
                for i in layers
            ]
        return hidden, lens

    def blocks(self) -> list[Block]:
        """The Transformer blocks, the one that makes hidden state 1 first.

        Raises:
            SertlError: If this kind of encoder has none that are known here.
        """
        raise SertlError(
            f"the inside of this upstream ({type(self).__name__}) is not known: parts, gradient "
            "checkpointing and the tuning of some tensors need S3PRL's wav2vec 2.0, HuBERT, "
            "data2vec or WavLM, a Hugging Face folder of HuBERT or wav2vec 2.0, or Whisper"
        )

    def final_norm(self) -> nn.Module | None:
        """The norm after the last block; None if there is none."""
        return None

    def run(self, block: nn.Module, *args, **kwargs):
        """Call a block, under grad_checkpoint without keeping what is inside."""
        if self.grad_checkpoint and torch.is_grad_enabled():
            return checkpoint(block, *args, use_reentrant=False, **kwargs)
        return block(*args, **kwargs)

    def mask_embedding(self) -> torch.Tensor | None:
        """(D,) the vector that masked frames had in pre-training; None if there is none."""
        return None

    def freeze(self) -> None:
        """Evaluation mode, no gradient: the state after building."""
        self.frozen = True
        self.tuned = []
        self.requires_grad_(False)
        self.eval()

    def trainable(self, layers: Sequence[int] | None = None, first: int | None = None) -> None:
        """Opt in to fine-tuning: give requires_grad to what the hidden states really depend on.

        That leaves out the convolutional front end, which runs without gradient, blocks above the
        highest layer, and pre-training leftovers (mask embedding, quantiser, final projection),
        so the number of trained parameters is true and no process waits for their gradients.

        Args:
            layers: Hidden states that will be used; None for all.
            first: Hidden state from which the encoder goes on; what is below stays frozen.

        Raises:
            SertlError: If nothing can be trained, as in a filter-bank.
        """
        needed = parameters_of(self, layers, first)
        if not needed:
            self.freeze()
            raise SertlError(
                f"nothing to fine-tune in this upstream ({type(self).__name__}, layers "
                f"{'all' if layers is None else list(layers)}); use it frozen, "
                "upstream_conf.tune: none"
            )
        for parameter in self.parameters():
            parameter.requires_grad_(id(parameter) in needed)
        self.frozen = False
        self.tuned = [self]
        self.train()

    def train(self, mode: bool = True):
        """As in torch, but what is not tuned stays in evaluation mode whatever the parent does."""
        super().train(False)
        for module in self.tuned:
            nn.Module.train(module, mode)  # not its own train, which for self is this one
        return self


def in_float32(x: torch.Tensor) -> torch.autocast:
    """No autocast inside. The first convolution and the projection are a hundredth of the work and
    a third of the rounding error of an encoder under bf16.
    """
    return torch.autocast(x.device.type, enabled=False)


def set_dropout(module: nn.Module, probability: float) -> None:
    """Set every dropout in module, be it a layer or a number handed to a function.

    Released encoders come with the dropout of their pre-training; here it is a choice of the conf.
    """
    for child in module.modules():
        if isinstance(child, nn.Dropout) or type(child).__name__ == "FairseqDropout":
            child.p = probability
        for name in ("dropout", "activation_dropout"):
            if isinstance(getattr(child, name, None), float):
                setattr(child, name, probability)
