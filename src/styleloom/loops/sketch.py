"""Frequent Directions: the leading eigenvectors of a sum of outer products, in bounded memory.

Liberty, "Simple and Deterministic Matrix Sketching", KDD 2013; Ghashami et al., "Frequent Directions", SIAM J. Comput. 2016.

A sum of outer products g g^T of vectors with D numbers is a D x D matrix. The sketch keeps a few rows instead, whose sum of
outer products is near to it: whenever twice as many rows have come together, their singular values are shrunk by the middle one,
and half of the rows are 0 again. Along no direction is the sketch off by more than the sum of what was shrunk.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class FrequentDirections:
    """A sketch of sum g g^T. It is exact while no more than ``2 * rows`` vectors have come.

    Args:
        size: D, numbers of a vector.
        rows: rows that are left after each reduction; twice as many are held, in fp32.

    Attributes:
        count: vectors so far.
        trace: the sum of their squared lengths, exact.
        shrunk: the sum of what was taken off squared singular values.
    """

    def __init__(self, size: int, rows: int) -> None:
        self.rows = rows
        self.held = torch.zeros(0, size)
        self.count, self.trace, self.shrunk = 0, 0.0, 0.0

    def add(self, vectors: Tensor) -> None:
        """Take in vectors [N, D]."""
        vectors = vectors.float().cpu()
        self.count += len(vectors)
        self.trace += float(vectors.double().square().sum())
        for part in vectors.split(self.rows):
            if len(self.held) + len(part) > 2 * self.rows:
                self._reduce()
            self.held = torch.cat([self.held, part])

    def _reduce(self) -> None:
        squares, vectors = self._singular()
        threshold = float(squares[self.rows]) if len(squares) > self.rows else 0.0
        self.shrunk += threshold
        kept = (squares[: self.rows] - threshold).clamp(min=0)
        self.held = kept.sqrt()[:, None] * vectors[: self.rows]

    def _singular(self) -> tuple[Tensor, Tensor]:
        """Squared singular values of the held rows, the largest first, and right singular vectors, a row each."""
        squares, left = torch.linalg.eigh((self.held @ self.held.T).double())
        size = self.held.shape[1]
        squares, left = squares.flip(0)[:size].clamp(min=0), left.flip(1)[:, :size]
        significant = squares > 1e-10 * squares[:1]
        squares, left = squares[significant], left[:, significant]
        return squares.float(), (left / squares.sqrt()).T.float() @ self.held

    def eigen(self, keep: int | None = None) -> tuple[Tensor, Tensor]:
        """The leading eigenvalues [K] of the mean of g g^T, and eigenvectors [D, K], a column each; by default all.

        Half of what was shrunk is given back to each eigenvalue, which halves the error (Luo et al. 2019, "Robust Frequent
        Directions").
        """
        squares, vectors = self._singular()
        vectors = torch.linalg.qr(vectors[:keep].T)[0] if len(vectors) else vectors.T
        return (squares[:keep] + self.shrunk / 2) / max(self.count, 1), vectors

    def state(self) -> dict[str, Any]:
        """All that is needed to go on."""
        return dict(held=self.held, count=self.count, trace=self.trace, shrunk=self.shrunk)

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on from :meth:`state`."""
        self.held, self.count, self.trace, self.shrunk = (saved[name] for name in ("held", "count", "trace", "shrunk"))
