"""Halving with a filter: its own gradient against torch's."""

import pytest
import torch
import torch.nn.functional as F

from styleloom.nn.resample import _convolved_at_once, convolved, filtered, fir


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


def test_halving_in_mixed_precision() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 8, 8, requires_grad=True)
    kernel = fir()
    slope = torch.randn(2, 3, 4, 4)
    (full,) = torch.autograd.grad(filtered(x, kernel, (1, 1), stride=2), x, slope)
    with torch.autocast("cpu", torch.bfloat16):
        half = filtered(x, kernel, (1, 1), stride=2)
    (found,) = torch.autograd.grad(half, x, slope.to(half.dtype))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, full, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("taps", [(1, 3, 3, 1), (1, 1)])
def test_one_kernel_for_filter_and_weights(size: int, taps: tuple[int, ...]) -> None:
    x, weight, bias = torch.randn(2, 5, 8, 8), torch.randn(7, 5, size, size), torch.randn(7)
    for up, down in ((2, 1), (1, 2)):
        wanted = convolved(x, weight, fir(taps), up=up, down=down, bias=bias)
        torch.testing.assert_close(_convolved_at_once(x, weight, fir(taps), up=up, bias=bias), wanted, atol=1e-4, rtol=1e-4)
