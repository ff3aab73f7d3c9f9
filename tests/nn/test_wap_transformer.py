# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""WAP Transformer: sizes of the literature, weighted average, padding, position."""

import pytest
import torch
from torch import nn

from sertl.errors import SertlError
from sertl.nn.wap_transformer import WapTransformer
from sertl.registry import check_keys


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_parameter_counts():
    """Attention 4 D^2 + 4 D, feed-forward 2 D F + F + D, two norms 4 D; D = 1024."""
    with torch.device("meta"):
        full, light = WapTransformer(1024), WapTransformer(1024, ffn=512, position="none")
    assert count(full.blocks[0]) == 12_596_224
    assert count(full.blocks) == 37_788_672
    assert count(full.position) == 1024 * 31 + 1024
    assert full.blocks[0].heads == 16
    assert count(light.blocks) == 15_757_824 and count(light) == 15_757_824 + 3


def test_a_narrow_adapter_projects_once_and_works_at_its_width():
    model = WapTransformer(8, width=4, blocks=2, ffn=6).eval()
    assert model.output_size == 4
    assert model(torch.randn(2, 5, 8), torch.tensor([5, 3])).shape == (2, 5, 4)
    block = 4 * 4 * 4 + 4 * 4 + 2 * 4 * 6 + 6 + 4 + 4 * 4
    assert count(model) == (8 * 4 + 4) + (4 * 31 + 4) + 2 * block + 2
    assert WapTransformer(8, blocks=1).narrow is None


@pytest.mark.parametrize(("size", "heads"), [(16, 1), (80, 1), (384, 6), (400, 5), (768, 12)])
def test_heads_divide_the_size(size, heads):
    assert WapTransformer(size, blocks=1, ffn=4).blocks[0].heads == heads


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_weighted_average_of_block_outputs(norm):
    torch.manual_seed(0)
    model = WapTransformer(8, blocks=3, norm=norm, position="none").eval()
    x, lens = torch.randn(2, 5, 8), torch.tensor([5, 3])
    mask = torch.arange(5) < lens[:, None]
    outputs, state = [], x.masked_fill(~mask[:, :, None], 0.0)
    for block in model.blocks:
        state = block(state, mask)
        outputs.append(state)
    assert model.mix.weights().tolist() == pytest.approx([1 / 3] * 3)
    torch.testing.assert_close(model(x, lens), sum(outputs) / 3)
    with torch.no_grad():
        model.mix.scores.copy_(torch.tensor([-100.0, 100.0, -100.0]))
    assert model.mix.weights().sum().item() == pytest.approx(1.0)
    torch.testing.assert_close(model(x, lens), outputs[1])


def test_blocks_that_add_nothing():
    """With both output layers at zero a pre-norm block is the identity, a post-norm one a norm."""
    x, lens = torch.tensor([[[1.0, 3.0]]]), torch.tensor([1])
    for norm, expected in (("pre", [1.0, 3.0]), ("post", [-1.0, 1.0])):
        model = WapTransformer(2, blocks=1, norm=norm, position="none").eval()
        for layer in (model.blocks[0].attention_out, model.blocks[0].ffn_out):
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
        torch.testing.assert_close(
            model(x, lens).flatten(), torch.tensor(expected), atol=1e-4, rtol=0
        )


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_padding_whatever_it_holds_changes_nothing(norm):
    torch.manual_seed(0)
    model = WapTransformer(8, blocks=2, norm=norm).eval()
    x, lens = torch.randn(2, 9, 8), torch.tensor([9, 1])
    padded = torch.full((2, 50, 8), float("nan"))
    padded[0, :9], padded[1, :1] = x[0], x[1, 0]
    got = model(padded, lens)
    torch.testing.assert_close(got[0, :9], model(x[:1], lens[:1])[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(got[1, :1], model(x[1:, :1], lens[1:])[0], rtol=1e-4, atol=1e-5)
    assert got.isfinite().all()


def test_without_position_equal_frames_come_out_equal():
    """Why masked frames need a position: attention sees a set."""
    torch.manual_seed(0)
    x, lens = torch.randn(1, 9, 8), torch.tensor([9])
    x[0, 2] = x[0, 6] = x[0, 7]
    out = WapTransformer(8, blocks=2, position="none").eval()(x, lens)[0]
    torch.testing.assert_close(out[2], out[6])
    out = WapTransformer(8, blocks=2, position="conv", kernel=3).eval()(x, lens)[0]
    assert (out[2] - out[6]).abs().max() > 1e-3


def test_dropout_only_in_training():
    torch.manual_seed(0)
    model, x, lens = WapTransformer(8, dropout=0.5), torch.randn(1, 4, 8), torch.tensor([4])
    assert not torch.equal(model(x, lens), model(x, lens))
    model.eval()
    assert torch.equal(model(x, lens), model(x, lens))


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({"norm": "both"}, "norm: 'both' is not pre . post"),
        ({"position": "sine"}, "position: 'sine' is not none . conv"),
        ({"heads": 3}, "3 heads do not divide 8 dimensions"),
        ({"blocks": 0}, "blocks: 0 is not a whole number of at least 1"),
        ({"width": -1}, "width: -1 is not a whole number of at least 0"),
        ({"kernel": 4}, "must be odd, got 4"),
    ],
)
def test_refusals(conf, message):
    with pytest.raises((ValueError, SertlError), match=message):
        check_keys(WapTransformer, conf, 1, "wap")
        WapTransformer(8, **conf)


class Source:
    """A view of an encoder's block, as upstream/blocks.py gives."""

    def __init__(self, size, ffn, key_bias=True, pre_norm=True):
        shapes = {"q": (size, size), "k": (size, size), "v": (size, size), "out": (size, size)}
        shapes |= {"ffn_in": (size, ffn), "ffn_out": (ffn, size)}
        self.linears = {
            n: nn.Linear(*shape, bias=n != "k" or key_bias) for n, shape in shapes.items()
        }
        self.ffn_in = self.linears["ffn_in"]
        self.norms = (nn.LayerNorm(size), nn.LayerNorm(size))
        self.pre_norm = pre_norm
        for norm in self.norms:
            nn.init.normal_(norm.weight)


def test_blocks_of_an_encoder_are_copied_in_order():
    sources = [Source(8, 32, key_bias=False) for _ in range(4)]
    for norm in (norm for source in sources for norm in source.norms):
        torch.nn.init.normal_(norm.weight)  # as they are made, all norms are alike
    model = WapTransformer(8, blocks=3)
    model.copy_blocks(sources)
    for block, source in zip(model.blocks, sources[1:], strict=True):
        query, key, value = block.attention_in.weight.chunk(3)
        assert torch.equal(query, source.linears["q"].weight)
        assert torch.equal(value, source.linears["v"].weight)
        assert torch.equal(key, source.linears["k"].weight)
        assert block.attention_in.bias[8:16].abs().sum() == 0  # no bias there
        assert torch.equal(block.ffn_out.bias, source.linears["ffn_out"].bias)
        assert torch.equal(block.attention_norm.weight, source.norms[0].weight)
        assert torch.equal(block.ffn_norm.weight, source.norms[1].weight)


@pytest.mark.parametrize(
    ("sources", "conf", "message"),
    [
        ([Source(8, 32)], {}, "3 blocks asked for, the encoder has 1"),
        ([Source(8, 32, pre_norm=False)] * 3, {}, "set norm: post"),
        ([Source(8, 16)] * 3, {}, "set width: 0, ffn: 16"),
        ([Source(8, 32)] * 3, {"width": 4}, "set width: 0, ffn: 32"),
    ],
)
def test_blocks_that_do_not_fit(sources, conf, message):
    with pytest.raises(ValueError, match=message):
        WapTransformer(8, **conf).copy_blocks(sources)
