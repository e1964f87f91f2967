"""Andrychowicz et al., "Learning to learn by gradient descent by gradient descent", NeurIPS 2016.

Differs from the paper: gradients are taken as given and descents are not cut into pieces (see the training in ``__init__``).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from styleloom.papers.image2stylegan.objective import Observation

from .base import Network, State


class CoordinatewiseLSTM(Network):
    """A two-layer LSTM that every coordinate of w shares, each with a state of its own.

    Args:
        num_ws, w_dim: number of layers and size of w of the generator.
        hidden: units of each layer.
        lr: factor of the output.
        generator: the generator's :func:`~styleloom.nn.generators.generator_id`.
    """

    def __init__(self, num_ws: int, w_dim: int, *, hidden: int = 20, lr: float = 0.1, generator: str = "") -> None:
        super().__init__()
        self.config: dict[str, Any] = dict(num_ws=num_ws, w_dim=w_dim, hidden=hidden, lr=lr, generator=generator)
        self.num_ws, self.w_dim, self.lr = num_ws, w_dim, lr
        self.first, self.second = nn.LSTMCell(2, hidden), nn.LSTMCell(hidden, hidden)
        self.last = nn.Linear(hidden, 1)

    @override
    def init_state(self, batch: int) -> State:
        zeros = self.last.weight.new_zeros(batch, self.num_ws * self.w_dim, self.last.in_features)
        return dict(step=zeros[:, 0, 0], h1=zeros, c1=zeros, h2=zeros, c2=zeros)

    @override
    def forward(self, ws: Tensor, gradient: Tensor, observation: Observation, state: State) -> tuple[Tensor, State]:
        # Appendix A, with p = 10: logarithm and sign of large gradients, small ones linearly.
        log, small = gradient.abs().clamp(min=1e-20).log() / 10, gradient.abs() < math.exp(-10)
        inputs = torch.stack(
            [torch.where(small, -1, log), torch.where(small, math.exp(10) * gradient, gradient.sign())], -1
        ).flatten(0, 2)
        h1, c1 = self.first(inputs, (state["h1"].flatten(0, 1), state["c1"].flatten(0, 1)))
        h2, c2 = self.second(h1, (state["h2"].flatten(0, 1), state["c2"].flatten(0, 1)))
        update = self.lr * self.last(h2).view_as(ws)
        cells = {name: value.unflatten(0, (len(ws), -1)) for name, value in dict(h1=h1, c1=c1, h2=h2, c2=c2).items()}
        return update, dict(step=state["step"] + 1, **cells)
