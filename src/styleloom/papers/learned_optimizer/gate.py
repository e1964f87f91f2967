"""Adam's direction times a learned gate, trained one step at a time on images that the generator made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from styleloom.papers.image2stylegan.objective import Observation

from .base import Network, State, adam


class RowwiseLinear(nn.Module):
    """A dense layer of its own for each row: [N, rows, inputs] -> [N, rows, outputs]."""

    def __init__(self, rows: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(rows, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(rows, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """[N, rows, inputs] -> [N, rows, outputs]."""
        return torch.baddbmm(self.bias, x.transpose(0, 1), self.weight).transpose(0, 1)


def mlp(sizes: Sequence[int], layer: Callable[[int, int], nn.Module]) -> nn.Sequential:
    """Layers from size to size, with leaky ReLUs between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [layer(inputs, outputs), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


class Gate(Network):
    """Adam's direction times a gate. Each row of w has four layers on the direction, four on w, and four on both.

    Args:
        num_ws, w_dim: number of layers and size of w of the generator.
        hidden: width of the layers.
        lr: Adam's rate.
        generator: the generator's :func:`~styleloom.nn.generators.generator_id`.
    """

    def __init__(self, num_ws: int, w_dim: int, *, hidden: int = 128, lr: float = 0.01, generator: str = "") -> None:
        super().__init__()
        self.config: dict[str, Any] = dict(num_ws=num_ws, w_dim=w_dim, hidden=hidden, lr=lr, generator=generator)
        self.num_ws, self.w_dim, self.lr = num_ws, w_dim, lr

        def layer(inputs: int, outputs: int) -> nn.Module:
            return RowwiseLinear(num_ws, inputs, outputs)

        self.of_update = mlp((w_dim, hidden, hidden, hidden, hidden), layer)
        self.of_w = mlp((w_dim, hidden, hidden, hidden, hidden), layer)
        self.of_both = mlp((2 * hidden, hidden, hidden, hidden, w_dim), layer)

    @override
    def init_state(self, batch: int) -> State:
        zeros = next(self.parameters()).new_zeros(batch, self.num_ws, self.w_dim)
        return dict(step=zeros[:, 0, 0], mean=zeros, square=zeros)

    @override
    def forward(self, ws: Tensor, gradient: Tensor, observation: Observation, state: State) -> tuple[Tensor, State]:
        direction, state = adam(gradient, state, betas=(0.9, 0.999))
        gate: Tensor = self.of_both(torch.cat([self.of_update(direction), self.of_w(ws)], 2))  # [N, num_ws, w_dim]
        return -self.lr * gate * direction, state
