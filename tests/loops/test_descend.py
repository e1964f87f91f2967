"""The loop, against steps taken by hand."""

import math

import pytest
import torch

from styleloom.core.errors import StyleLoomError
from styleloom.loops.descend import descend


def test_takes_the_steps_of_plain_gradient_descent() -> None:
    x = torch.tensor([3.0, -2.0], requires_grad=True)
    loop = descend(lambda: {"square": (x**2).sum(), "shift": x.sum()}, torch.optim.SGD([x], lr=0.1), 3)
    by_hand = torch.tensor([3.0, -2.0])
    for index, progress in enumerate(loop, 1):
        assert (progress.index, progress.total) == (index, 3)
        assert progress.losses["square"] == pytest.approx((by_hand**2).sum().item())
        assert progress.losses["total"] == pytest.approx((by_hand**2 + by_hand).sum().item())
        by_hand = by_hand - 0.1 * (2 * by_hand + 1)
        assert torch.allclose(x.detach(), by_hand)
    assert index == 3


def test_serves_lbfgs_too() -> None:
    x = torch.full((4,), 5.0, requires_grad=True)
    scale = torch.tensor([1.0, 4.0, 9.0, 16.0])
    for _ in descend(lambda: {"bowl": (scale * x**2).sum()}, torch.optim.LBFGS([x], max_iter=1), 30):
        pass
    assert x.abs().max() < 1e-3


def test_stops_quietly_when_it_diverges() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    seen = [progress.index for progress in descend(lambda: {"root": x.sqrt().sum()}, torch.optim.SGD([x], lr=3.0), 5)]
    assert seen == [1]  # the first step goes below zero, where there is no root


def test_a_loss_that_is_no_number_at_the_first_step_is_an_error() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    with pytest.raises(StyleLoomError, match="first step"):
        list(descend(lambda: {"nan": x.sum() * math.nan}, torch.optim.SGD([x], lr=1.0), 3))
