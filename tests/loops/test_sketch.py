"""Frequent Directions against the exact matrix: the bound of its paper, and what must be exact."""

import torch

from styleloom.loops.sketch import FrequentDirections


def decaying(count: int, size: int) -> torch.Tensor:
    """Vectors whose covariance has eigenvalues that fall as 1 / k^2."""
    torch.manual_seed(0)
    turn = torch.linalg.qr(torch.randn(size, size))[0]
    return torch.randn(count, size) / torch.arange(1, size + 1) @ turn


def test_few_vectors_are_exact() -> None:
    vectors = decaying(50, 40)
    sketch = FrequentDirections(40, 25)
    for part in vectors.split(7):
        sketch.add(part)
    values, directions = sketch.eigen()
    truth = torch.linalg.eigvalsh(vectors.T @ vectors / 50).flip(0)
    torch.testing.assert_close(values, truth[: len(values)], atol=1e-5, rtol=1e-3)
    torch.testing.assert_close(directions.T @ directions, torch.eye(len(values)), atol=1e-5, rtol=0)
    assert sketch.shrunk == 0 and abs(sketch.trace - float(vectors.square().sum())) < 1e-3


def test_many_vectors_stay_within_the_bound() -> None:
    """|A^T A - B^T B| <= |A|_F^2 / rows in the spectral norm (Liberty 2013), in memory of 2 * rows vectors."""
    vectors, rows = decaying(2_000, 60), 15
    sketch = FrequentDirections(60, rows)
    for part in vectors.split(100):
        sketch.add(part)
        assert len(sketch.held) <= 2 * rows
    difference = vectors.T @ vectors - sketch.held.T @ sketch.held
    assert float(torch.linalg.matrix_norm(difference, 2)) <= sketch.shrunk + 1e-2 <= sketch.trace / rows
    values, directions = sketch.eigen(3)
    truth, axes = torch.linalg.eigh(vectors.T @ vectors / 2_000)
    torch.testing.assert_close(values, truth.flip(0)[:3], rtol=0.05, atol=1e-3)
    assert ((axes.flip(1)[:, :3] * directions).sum(0).abs() > 0.98).all()


def test_it_goes_on_from_its_state() -> None:
    vectors = decaying(300, 30)
    whole, first = FrequentDirections(30, 8), FrequentDirections(30, 8)
    whole.add(vectors)
    first.add(vectors[:160])
    second = FrequentDirections(30, 8)
    second.restore(first.state())
    second.add(vectors[160:])
    for ours, theirs in zip(second.eigen(), whole.eigen(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
