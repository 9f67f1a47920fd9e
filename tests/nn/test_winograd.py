"""Convolutions by Winograd's way: they compute what the plain ones do, where they are asked to."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tpsm.nn import winograd
from tpsm.nn.blocks import Residual, instance_norm
from tpsm.nn.winograd import Conv3x3


@pytest.fixture(autouse=True)
def narrow_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "NARROWEST", 16)
    monkeypatch.setattr(winograd, "FEWEST", 1)


def by_tiles(conv: Conv3x3, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the calls that take Winograd's way."""
    calls: list[int] = []
    way = conv._by_tiles
    monkeypatch.setattr(conv, "_by_tiles", lambda x: (calls.append(1), way(x))[1])
    return calls


@pytest.mark.parametrize("inputs, outputs, height, width, batch", [(16, 32, 8, 12, 1), (64, 16, 32, 4, 3)])
@pytest.mark.parametrize("at_once", [1, 20_000, 10**9])
def test_it_is_the_convolution(
    inputs: int, outputs: int, height: int, width: int, batch: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(winograd, "AT_ONCE", at_once)
    torch.manual_seed(0)
    conv, x = Conv3x3(inputs, outputs), torch.randn(batch, inputs, height, width)
    calls = by_tiles(conv, monkeypatch)
    exact = F.conv2d(x.double(), conv.weight.double(), conv.bias.double(), padding=1)
    with torch.inference_mode():
        for layout in (torch.contiguous_format, torch.channels_last):
            torch.testing.assert_close(conv(x.to(memory_format=layout)).double(), exact, rtol=0, atol=3e-5)
    assert len(calls) == 2


def test_it_follows_its_weights_and_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    conv, plain = Conv3x3(16, 16), nn.Conv2d(16, 16, 3, padding=1)
    for side in (8, 16, 8):
        x = torch.randn(1, 16, side, side)
        with torch.inference_mode():
            conv(x)
        plain.reset_parameters()
        conv.load_state_dict(plain.state_dict())
        with torch.inference_mode():
            torch.testing.assert_close(conv(x), plain(x), rtol=0, atol=3e-5)


def test_a_copy_of_one_that_was_used_computes_the_same() -> None:
    conv, x = Conv3x3(16, 16), torch.randn(1, 16, 8, 8)
    with torch.inference_mode():
        drawn = conv(x)
        for copied in (copy.deepcopy(conv), pickle.loads(pickle.dumps(conv))):
            torch.testing.assert_close(copied(x), drawn)


@pytest.mark.parametrize("case", ["gradients", "double", "odd sides", "narrow", "autocast"])
def test_elsewhere_it_is_pytorchs_own(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    conv, x = Conv3x3(16, 8 if case == "narrow" else 16), torch.randn(1, 16, 8, 6 if case == "odd sides" else 8)
    calls = by_tiles(conv, monkeypatch)
    if case == "double":
        conv, x = conv.double(), x.double()
    with torch.inference_mode(case != "gradients"), torch.autocast("cpu", torch.bfloat16, enabled=case == "autocast"):
        assert torch.equal(conv(x), F.conv2d(x, conv.weight, conv.bias, padding=1))
    assert not calls


def test_a_residual_block_keeps_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    block, x = Residual(32, instance_norm), torch.randn(2, 32, 16, 16)
    plain = block(x).detach()
    calls = by_tiles(block.conv2, monkeypatch)
    with torch.inference_mode():
        torch.testing.assert_close(block(x), plain, rtol=0, atol=3e-5)
    assert calls
