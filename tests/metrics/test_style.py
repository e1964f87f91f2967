"""Sliced distances against distributions whose distance is known."""

import math

import pytest
import torch

import styleloom as sl
from styleloom.metrics.style import content_distance, sliced_distance, style_distance, weave
from styleloom.nn.losses import Moments, covariance_loss, mean_loss, moments, sliced_wasserstein


def test_a_shift_and_a_stretch() -> None:
    y = torch.randn(3, 4000, dtype=torch.float64)
    # A shift by d of unit normals: each direction sees d . a, whose mean square is |d|^2 / 3.
    assert sliced_distance(y + torch.tensor([[0.3], [0.4], [0.0]]), y) == pytest.approx(0.5 / math.sqrt(3), rel=0.1)
    # A stretch by s: W2 of N(0, s^2) and N(0, 1) is s - 1.
    assert sliced_distance(1.7 * y, y) == pytest.approx(0.7, rel=0.05)
    assert sliced_distance(y[:, torch.randperm(4000)], y) < 1e-12
    assert sliced_distance(y[:, ::2], y) < 0.1


def test_of_images() -> None:
    features = sl.load_features("vgg19-lite")
    style, other = sl.draw("wave", 128), sl.draw("mosaic", 128)
    assert all(value == 0 for value in style_distance(style, style, features).values())
    near = style_distance(style.lerp(other, 0.1), style, features)
    far = style_distance(other, style, features)
    assert list(near) == [0.5, 0.25]
    assert all(near[scale] < 0.6 * far[scale] for scale in near)
    assert content_distance(style, style, features) == pytest.approx(0, abs=1e-5)
    assert content_distance(other, style, features) > content_distance(style.lerp(other, 0.1), style, features) > 0


def test_losses_of_moments_and_slices() -> None:
    torch.manual_seed(0)
    y = torch.rand(2, 3, 24, 24, dtype=torch.float64)
    own = moments(y)
    doubled = Moments(2 * own.mean, own.second + 3 * own.mean[:, :, None] * own.mean[:, None])  # covariance is kept
    torch.testing.assert_close(mean_loss(doubled, own), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(covariance_loss(doubled, own), torch.zeros(2, dtype=torch.float64))
    # Shifted by d, projections are too: mean of (d . a)^2 over directions is |d|^2 / 3, as a share of the variance.
    shifted = sliced_wasserstein((y + 0.2).float(), y.float(), 2000)
    share = y.var((2, 3), correction=0).mean(1) + 0.01 * y.mean((2, 3)).square().mean(1)
    torch.testing.assert_close(shifted.double(), 0.2**2 / share, rtol=0.05, atol=0)


def test_a_woven_grid_is_seen_unless_photograph_or_style_has_it() -> None:
    photo, style = sl.bundled("cat"), sl.draw("wave", 256)
    y, x = torch.meshgrid(torch.arange(photo.shape[2]), torch.arange(photo.shape[3]), indexing="ij")
    grid, turned = (0.05 * torch.sin(2 * torch.pi * each / 8) for each in (x, y))
    assert weave(photo, photo, style) == pytest.approx(1, abs=0.01)
    assert weave(photo.lerp(photo.flip(3), 0.5), photo, style) < 2  # other content, no grid
    woven = weave(photo + grid, photo, style)
    assert woven > 5
    assert weave(photo + grid, photo + grid, style) < 1.1
    assert weave(photo + turned, photo + grid, style) > 5  # the photograph's own lies across
    assert weave(photo + grid, photo, style + turned[:256, :256]) < 0.5 * woven  # a style's is one in every direction
