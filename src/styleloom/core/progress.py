"""Progress of a loop."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

Losses = dict[str, Tensor]
"""Named scalar terms, already weighted; the objective is their sum."""


@dataclass(frozen=True)
class Progress:
    """Progress of a loop, for bars, logs and web pages.

    Attributes:
        index: steps done, from 1.
        total: steps in all.
        losses: each weighted term of the objective and their sum under ``"total"``, before this step.
        seconds: since the loop began.
    """

    index: int
    total: int
    losses: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
