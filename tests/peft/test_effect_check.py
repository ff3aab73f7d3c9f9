# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""The check passes what acts, names what does not, and leaves no trace."""

import pytest
import torch
from injected import FAMILIES, PARTS, fresh, own, parts
from torch import nn

from sertl.errors import SertlError
from sertl.peft.effect_check import effect_check, states_before
from sertl.peft.inject import inject


def with_parts(tiny, file, name, top=3):
    upstream = fresh(tiny, file)
    before = states_before(upstream, top)
    torch.manual_seed(0)
    inject(upstream, PARTS[name], top)
    return upstream, before


@pytest.mark.parametrize("name", ["prefix", "gate", "adapter_ffn", "everything"])
@pytest.mark.parametrize("file", FAMILIES)
def test_passes_and_leaves_no_trace(tiny, file, name):
    upstream, before = with_parts(tiny, file, name)
    state = {n: t.clone() for n, t in upstream.state_dict().items()}
    hooks = [len(m._forward_pre_hooks) for m in upstream.modules()]
    upstream.bf16 = upstream.grad_checkpoint = True
    random = torch.get_rng_state()
    effect_check(upstream, [3], before)
    assert torch.equal(random, torch.get_rng_state())
    assert upstream.bf16 and upstream.grad_checkpoint and not upstream.frozen
    assert hooks == [len(m._forward_pre_hooks) for m in upstream.modules()]
    assert all(torch.equal(t, state[n]) for n, t in upstream.state_dict().items())
    assert all(p.grad is None for p in upstream.parameters())
    assert all(p.requires_grad for p in parts(upstream).values())


@pytest.mark.parametrize("file", ["hubert_base.pt", "wavlm_large.pt"])
def test_a_wrapper_that_the_fused_attention_never_calls_is_dead(tiny, file):
    """What a LoRA in the layer's forward does there: q_proj is read, not called."""
    upstream, before = with_parts(tiny, file, "lora")
    linear = upstream.blocks()[1].linears["q"]
    del upstream.blocks()[1].attention.forward  # the fused one again
    linear.__class__ = nn.Linear  # reading the weight no longer gives the update
    lora = linear.peft["lora"]
    linear.register_forward_hook(lambda _, args, y: y + lora.scale * args[0] @ lora.a.T @ lora.b.T)
    with pytest.raises(
        SertlError, match=r"2 of 36 tensors are dead: layer 2: .*q_proj.peft.lora.a"
    ):
        effect_check(upstream, [3], before)


def test_a_hook_that_is_gone_is_dead(tiny):
    upstream, before = with_parts(tiny, "hf_hubert_base", "adapter")
    upstream.blocks()[2].module._forward_hooks.clear()
    with pytest.raises(SertlError, match=r"4 of 12 .* layer 3: peft.adapter.down.bias does not"):
        effect_check(upstream, [3], before)


def test_a_part_cut_off_from_the_output_is_dead(tiny):
    """It changes its block, but the gradient does not arrive: only the backward pass can tell."""
    upstream, before = with_parts(tiny, "whisper", "gate")
    block = upstream.blocks()[0].module
    block.register_forward_hook(lambda *inputs: inputs[-1].detach())
    with pytest.raises(SertlError, match="layer 1: peft.gate.gate gets no gradient"):
        effect_check(upstream, [3], before)


def test_parts_above_the_states_in_use_are_dead(tiny):
    upstream, _ = with_parts(tiny, "hubert_large.pt", "ia3")
    effect_check(upstream, [0, 3])
    with pytest.raises(SertlError, match="3 of 9 tensors are dead: layer 3"):
        effect_check(upstream, [1, 2])


def test_another_start_is_refused(tiny):
    upstream, before = with_parts(tiny, "hubert_large.pt", "adapter")
    with torch.no_grad():
        upstream.blocks()[1].module.peft["adapter"].up.bias.fill_(1.0)
    with pytest.raises(SertlError, match="hidden state 2 differs from the pretrained encoder's"):
        effect_check(upstream, [3], before)
    with pytest.raises(SertlError, match="hidden states were"):
        effect_check(upstream, [3], [h[:, 1:] for h in before])


def test_what_trains_is_what_was_put_in(tiny):
    upstream, before = with_parts(tiny, "hubert_base.pt", "adapter")
    own(upstream)["model.encoder.layers.0.fc1.bias"].requires_grad_(True)
    with pytest.raises(SertlError, match="layer 1: fc1.bias trains, though the encoder is frozen"):
        effect_check(upstream, [3], before)
    upstream, before = with_parts(tiny, "hubert_base.pt", "adapter")
    upstream.blocks()[2].module.peft["adapter"].up.weight.requires_grad_(False)
    with pytest.raises(SertlError, match="layer 3: peft.adapter.up.weight was put in but does"):
        effect_check(upstream, [3], before)


def test_a_narrow_adapter_is_no_false_alarm(tiny):
    """One unit is often in the flat half of its ReLU for all 25 frames."""
    for seed in range(5):
        torch.manual_seed(seed)
        upstream = fresh(tiny, "hf_hubert_large")
        inject(upstream, {"adapter": {"width": 1}})
        effect_check(upstream, [3])
