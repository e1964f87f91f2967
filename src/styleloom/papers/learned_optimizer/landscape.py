"""Liu, Mao, Tendulkar, Wang and Vondrick, "Landscape Learning for Neural Network Inversion", ICCV 2023.

The optimizer stays plain gradient descent, and what is learned is the space that it descends in. A network maps its points z to
w, and is trained so that the loss is low at each z of a descent: steps that are good for one image bend the space for all.

Differs from the paper:
    - the first w serves as the first z, so that descents start where those of other optimizers do; the map begins as the
      identity;
    - each descent trains it once, as it goes (see the training in ``__init__``); the paper keeps descents in a buffer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from styleloom.papers.image2stylegan.objective import Observation

from .base import Network, Schedule, State


class Landscape(Network):
    """Gradient descent in a learned space, whose points a residual network of three layers maps to w.

    Args:
        num_ws, w_dim: number of layers and size of w of the generator.
        hidden: width of the layers.
        lr: rate of the gradient descent.
        generator: the generator's :func:`~styleloom.nn.generators.generator_id`.
    """

    schedule = Schedule(backtrack_factor=1e6)  # never: z would not go back

    def __init__(self, num_ws: int, w_dim: int, *, hidden: int = 512, lr: float = 300.0, generator: str = "") -> None:
        super().__init__()
        self.config: dict[str, Any] = dict(num_ws=num_ws, w_dim=w_dim, hidden=hidden, lr=lr, generator=generator)
        self.num_ws, self.w_dim, self.lr = num_ws, w_dim, lr
        size = num_ws * w_dim
        self.last = nn.Linear(hidden, size)
        self.inner = nn.Sequential(nn.Linear(size, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def map(self, z: Tensor) -> Tensor:
        """Points [N, num_ws, w_dim] to ws of the same shape."""
        residual: Tensor = self.last(self.inner(z.flatten(1)))
        return z + residual.view_as(z)

    @override
    def init_state(self, batch: int) -> State:
        zeros = self.last.weight.new_zeros(batch, self.num_ws, self.w_dim)
        return dict(step=zeros[:, 0, 0], z=zeros)

    @override
    def forward(self, ws: Tensor, gradient: Tensor, observation: Observation, state: State) -> tuple[Tensor, State]:
        first = (state["step"] == 0)[:, None, None]
        z = torch.where(first, ws, state["z"]).detach().requires_grad_(True)
        with torch.enable_grad():
            here = self.map(z)
            (pulled_back,) = torch.autograd.grad(here, z, gradient, retain_graph=True)
        after = (z - self.lr * pulled_back).detach()
        # Updates sum to the map of the last point, and their gradients to its gradient.
        update = self.map(after) - torch.where(first, ws, here)
        return update, dict(step=state["step"] + 1, z=after)
