"""Convolutions that take another way than PyTorch's, where it is faster, give its results and gradients."""

import pytest
import torch
from torch import Tensor, nn

from tpsm.nn.blocks import ConvBlock, instance_norm


@pytest.mark.parametrize(("side", "products"), [(2, 0), (3, 1)])
def test_a_kernel_far_larger_than_its_map_is_a_matrix_product(side: int, products: int) -> None:
    torch.manual_seed(0)
    block = ConvBlock(256, 256, instance_norm).double()
    x = torch.randn(1, 256, side, side, dtype=torch.float64)
    weight = torch.randn(1, 256, side, side, dtype=torch.float64)

    def results(compute: nn.Module) -> list[Tensor]:
        seen = x.clone().requires_grad_()
        block.zero_grad()
        drawn = compute(seen)
        (drawn * weight).sum().backward()
        gradients = [parameter.grad.clone() for parameter in block.parameters() if parameter.grad is not None]
        return [drawn.detach(), seen.grad, *gradients]  # type: ignore[list-item]

    passes: list[int] = []
    block.conv.register_forward_hook(lambda *_: passes.append(1))
    found = results(block)
    assert len(passes) == products
    plain = results(nn.Sequential(block.conv, block.norm, nn.ReLU()))
    assert len(found) == len(plain) == 6
    for ours, theirs in zip(found, plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
