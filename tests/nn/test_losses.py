"""Losses against formulas written another way, and their gradients against finite differences in float64."""

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from styleloom.nn import losses


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_gram_matrix_is_the_sum_of_outer_products() -> None:
    features = random(2, 3, 4, 5)
    wanted = np.zeros((2, 3, 3))
    for n in range(2):
        for y in range(4):
            for x in range(5):
                vector = features[n, :, y, x].numpy()
                wanted[n] += np.outer(vector, vector) / 20
    assert np.allclose(losses.gram_matrix(features), wanted)


def test_moments_agree_with_numpy() -> None:
    features = random(1, 3, 6, 7)
    found = losses.moments(features)
    assert np.allclose(found.mean, features.flatten(2).mean(2))
    assert np.allclose(found.covariance[0], np.cov(features[0].flatten(1).numpy(), bias=True))


def test_moments_of_a_region_are_those_of_its_pixels() -> None:
    features, weights = random(1, 3, 6, 7), torch.zeros(1, 1, 6, 7, dtype=torch.float64)
    weights[..., 2:5, 1:4] = 0.7
    region = losses.moments(features, weights)
    alone = losses.moments(features[..., 2:5, 1:4])
    assert torch.allclose(region.mean, alone.mean) and torch.allclose(region.second, alone.second)


def test_blend_is_the_mixture_of_positions() -> None:
    a, b = random(1, 3, 2, 5), random(1, 3, 6, 5, seed=1)
    blended = losses.blend_moments([losses.moments(a), losses.moments(b)], [0.25, 0.75])
    together = losses.moments(torch.cat([a, b], dim=2))
    assert torch.allclose(blended.mean, together.mean) and torch.allclose(blended.second, together.second)


def test_wasserstein_agrees_with_scipy_and_vanishes_on_itself() -> None:
    a, b = losses.moments(random(1, 4, 9, 9)), losses.moments(0.6 * random(1, 4, 9, 9, seed=1) + 0.1)
    cov_a, cov_b = a.covariance[0].numpy(), b.covariance[0].numpy()
    cross = scipy.linalg.sqrtm(scipy.linalg.sqrtm(cov_b) @ cov_a @ scipy.linalg.sqrtm(cov_b)).real
    wanted = float((a.mean - b.mean).square().sum()) + np.trace(cov_a + cov_b - 2 * cross)
    assert losses.wasserstein_loss(a, b, normalize=False).item() == pytest.approx(wanted, rel=2e-3)
    energy = b.second.diagonal(dim1=1, dim2=2).sum().item()
    assert losses.wasserstein_loss(a, b).item() == pytest.approx(wanted / energy, rel=2e-3)
    assert losses.wasserstein_loss(b, b).item() == pytest.approx(0, abs=1e-9)


def test_wasserstein_of_one_dimension() -> None:
    """For numbers it is (m1 - m2)^2 + (s1 - s2)^2."""
    a, b = random(1, 1, 8, 8), 3 * random(1, 1, 8, 8, seed=1)
    wanted = (a.mean() - b.mean()) ** 2 + (a.std(correction=0) - b.std(correction=0)) ** 2
    found = losses.wasserstein_loss(losses.moments(a), losses.moments(b), normalize=False)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-3)


def test_normalized_losses_do_not_know_the_scale_of_a_network() -> None:
    a, b = random(1, 3, 6, 6), random(1, 3, 6, 6, seed=1)
    for loss in (losses.gram_loss, losses.wasserstein_loss):
        one = loss(losses.moments(a), losses.moments(b))
        ten = loss(losses.moments(10 * a), losses.moments(10 * b))
        assert one.item() == pytest.approx(ten.item(), rel=1e-6)
    assert losses.content_loss(a, b).item() == pytest.approx(losses.content_loss(10 * a, 10 * b).item(), rel=1e-6)


def test_total_variation_counts_pairs_of_neighbors() -> None:
    image = random(1, 2, 5, 6)
    array = np.pad(image.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    total = 0.0
    for dy, dx, share in ((0, 1, 1), (1, 0, 1), (1, 1, 0.5), (1, -1, 0.5)):
        for y in range(5):
            for x in range(6):
                difference = array[:, :, 1 + y + dy, 1 + x + dx] - array[:, :, 1 + y, 1 + x]
                total += share * (difference**2).sum() / image.numel()
    assert losses.total_variation(image).item() == pytest.approx(total / 3, rel=1e-9)
    assert losses.total_variation(torch.full((1, 3, 4, 4), 0.3)).item() == 0


TARGET = losses.moments(random(1, 3, 5, 5, seed=7))


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(
    "loss",
    [
        lambda f, normalize: losses.content_loss(f, random(1, 3, 5, 5, seed=3), normalize=normalize),
        lambda f, normalize: losses.gram_loss(losses.moments(f), TARGET, normalize=normalize),
        lambda f, normalize: losses.gram_loss(losses.moments(f, random(1, 1, 5, 5, seed=5)), TARGET, normalize=normalize),
        lambda f, normalize: losses.wasserstein_loss(losses.moments(f), TARGET, normalize=normalize),
        lambda f, normalize: losses.total_variation(f),
    ],
    ids=["content", "gram", "gram of a region", "wasserstein", "total variation"],
)
def test_gradients(loss, normalize: bool) -> None:  # type: ignore[no-untyped-def]
    features = random(1, 3, 5, 5).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda f: loss(f, normalize), (features,))


def test_wasserstein_gradient_is_finite_when_channels_are_dead() -> None:
    features = torch.cat([random(1, 2, 5, 5), torch.zeros(1, 2, 5, 5, dtype=torch.float64)], dim=1).requires_grad_(True)
    target = losses.moments(torch.cat([torch.zeros(1, 2, 5, 5, dtype=torch.float64), random(1, 2, 5, 5)], dim=1))
    losses.wasserstein_loss(losses.moments(features), target).backward()
    assert features.grad is not None and torch.isfinite(features.grad).all()


def test_wasserstein_in_fp32_survives_covariances_that_span_ten_decades() -> None:
    """Deep layers have such covariances; fp32 eigenvalue routines can answer them with nan."""
    generator = torch.Generator().manual_seed(0)

    def spread(seed_scale: float) -> Tensor:
        vectors = torch.linalg.qr(torch.randn(160, 160, generator=generator, dtype=torch.float64))[0]
        values = torch.logspace(-6, 4, 160, dtype=torch.float64) * seed_scale
        return (vectors * values @ vectors.mT)[None]

    mean = torch.zeros(1, 160, dtype=torch.float64)
    a, b = (losses.Moments(mean, spread(scale)) for scale in (1.0, 0.5))
    exact = losses.wasserstein_loss(a, b)
    second = a.second.float().requires_grad_(True)
    found = losses.wasserstein_loss(losses.Moments(mean.float(), second), losses.Moments(mean.float(), b.second.float()))
    found.backward()
    assert found.item() == pytest.approx(exact.item(), rel=1e-3)
    assert second.grad is not None and torch.isfinite(second.grad).all()
