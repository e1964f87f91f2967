"""Halving with a filter: its own gradient against torch's."""

import pytest
import torch
import torch.nn.functional as F

from styleloom.blocks.resample import filtered, fir


@pytest.mark.parametrize("taps", [(1, 3, 3, 1), (1, 2, 1), (1, 1)])
@pytest.mark.parametrize("pad", [(0, 0), (1, 1), (2, 1), (0, 1)])
@pytest.mark.parametrize("size", [(8, 6), (7, 9)])
def test_halving_and_its_gradients(taps: tuple[int, ...], pad: tuple[int, int], size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    kernel = fir(taps).double()
    x = torch.randn(2, 3, *size, dtype=torch.double, requires_grad=True)

    def plain(x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(F.pad(x, (*pad, *pad)), kernel.expand(3, 1, -1, -1), stride=2, groups=3)

    def ours(x: torch.Tensor) -> torch.Tensor:
        return filtered(x, kernel, pad, stride=2)

    torch.testing.assert_close(ours(x), plain(x))
    weight = torch.randn_like(plain(x))
    gradients = []
    for way in (plain, ours):
        (first,) = torch.autograd.grad((way(x).sin() * weight).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), x)
        gradients.append((first, second))
    torch.testing.assert_close(gradients[0], gradients[1])
    assert torch.autograd.gradcheck(ours, x) and torch.autograd.gradgradcheck(ours, x)
