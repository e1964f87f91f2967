"""Parts of every learned optimizer: its state, its schedule, and the network's interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any

from torch import Tensor, nn

from styleloom.core.settings import Checked, Range
from styleloom.papers.image2stylegan.objective import Observation

State = dict[str, Tensor]
"""The memory of an optimizer between steps, [N, ...] each. ``step`` counts the steps taken."""


@dataclass(frozen=True)
class Schedule(Checked):
    """Schedule of the steps of a descent. 0 switches a part off.

    Args:
        anneal_start: step at which Loom's learned terms begin to fade out, linearly, over as many steps again. Adam in the
            eigenbasis stays.
        step_decay_start: step after which Loom's steps shrink as 1 / sqrt(step).
        fallback_step: step after which plain Adam on w takes over, at a decaying rate. Training never sees descents this long.
        backtrack_factor: an image whose loss exceeds this multiple of its lowest loss goes back to its best latents, and takes
            steps of half the size from there.
    """

    anneal_start: Annotated[int, Range(0)] = 60
    step_decay_start: Annotated[int, Range(0)] = 60
    fallback_step: Annotated[int, Range(0)] = 0
    backtrack_factor: Annotated[float, Range(above=1)] = 1.5


DEFAULT = Schedule()


class Network(nn.Module, ABC):
    """A network that is an optimizer: a pure function of the state of a descent.

    Attributes:
        num_ws, w_dim: number of layers and size of w of the generator.
        config: arguments that make the network, with the generator's :func:`~styleloom.nn.generators.generator_id`.
        schedule: see :class:`Schedule`.
    """

    num_ws: int
    w_dim: int
    config: dict[str, Any]
    schedule: Schedule = DEFAULT

    @abstractmethod
    def init_state(self, batch: int) -> State:
        """State of ``batch`` descents before their first step."""

    @abstractmethod
    def forward(self, ws: Tensor, gradient: Tensor, observation: Observation, state: State) -> tuple[Tensor, State]:
        """The update and the next state, of ws and gradient [N, num_ws, w_dim]; the update has their shape."""


def adam(gradient: Tensor, state: State, betas: tuple[float, float], eps: float = 1e-8) -> tuple[Tensor, State]:
    """Direction of Adam (Kingma and Ba 2015, Algorithm 1), [N, ...] like the gradient, and its next state."""
    step = state["step"] + 1
    mean = state["mean"].lerp(gradient, 1 - betas[0])
    square = state["square"].lerp(gradient.square(), 1 - betas[1])
    shape = (-1, *[1] * (gradient.ndim - 1))
    first, second = ((1 - beta**step).view(shape) for beta in betas)  # bias corrections
    return (mean / first) / ((square / second).sqrt() + eps), dict(step=step, mean=mean, square=square)
