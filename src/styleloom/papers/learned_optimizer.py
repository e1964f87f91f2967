"""A learned optimizer for inversion: the descent itself is a network, trained on descents.

Image2StyleGAN descends with Adam, which knows nothing of generators. Let a small network propose the steps instead, from the
gradients met so far, from where w is, and from what the picture still lacks, and train it on many descents: sentence two of this
toolkit, "train a network to do it", applied to sentence one, "optimise a tensor".

Two networks are here. ``Gate`` multiplies Adam's update by what two small networks say of the update and of w, row by row; it is
trained a step at a time. ``Loom``, ours, starts as Adam in the generator's eigenbasis (``blocks/eigenbasis.py``) and learns on top
of it: how far to go along each eigenvector, given several momenta, time and loss; and a second opinion, read off the target and
the present picture. It is trained through whole descents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleloom.blocks.eigenbasis import Eigenbasis

from .image2stylegan import Objective

State = dict[str, Tensor]
"""What an optimizer remembers between steps, [N, ...] each."""


class Rows(nn.Module):
    """A dense layer of its own for each row: [N, rows, inputs] -> [N, rows, outputs]."""

    def __init__(self, rows: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(rows, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(rows, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x.transpose(0, 1), self.weight).transpose(0, 1)


def perceptron(rows: int, sizes: Sequence[int]) -> nn.Sequential:
    """Dense layers of rows, with leaky ReLUs between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        layers += [Rows(rows, inputs, outputs), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


class Gate(nn.Module):
    """Adam's update times what is said of it: for each row of w four layers on the update, four on w, and four on both.

    Args:
        num_ws, w_dim: of the generator.
        hidden: width of the layers.
        lr: Adam's rate.
    """

    def __init__(self, num_ws: int, w_dim: int, *, hidden: int = 128, lr: float = 0.01) -> None:
        super().__init__()
        self.lr = lr
        self.of_update = perceptron(num_ws, (w_dim, hidden, hidden, hidden, hidden))
        self.of_w = perceptron(num_ws, (w_dim, hidden, hidden, hidden, hidden))
        self.of_both = perceptron(num_ws, (2 * hidden, hidden, hidden, hidden, w_dim))

    def forward(self, ws: Tensor, gradient: Tensor, state: State) -> tuple[Tensor, State]:
        """ws and gradient [N, num_ws, w_dim] -> the step, likewise, and what to remember."""
        update, state = adam(gradient, state, betas=(0.9, 0.999))
        update = -self.lr * update
        said = self.of_both(torch.cat([self.of_update(update / self.lr), self.of_w(ws)], 2))
        return said * update, state


def adam(gradient: Tensor, state: State, betas: tuple[float, float], eps: float = 1e-8) -> tuple[Tensor, State]:
    """Adam's direction: running means of gradient and square, each without bias."""
    age = state["age"] + 1
    mean = state["mean"].lerp(gradient, 1 - betas[0])
    square = state["square"].lerp(gradient.square(), 1 - betas[1])
    shape = (-1, *[1] * (gradient.ndim - 1))
    first, second = ((1 - beta**age).view(shape) for beta in betas)
    return (mean / first) / ((square / second).sqrt() + eps), dict(age=age, mean=mean, square=square)


MOMENTA = (0.0, 0.5, 0.8, 0.95)
SQUARES = 0.95
CLOCKS = (3.0, 10.0, 30.0, 100.0)


class Eye(nn.Module):
    """What target and present picture have to say about the step: coordinates in an eigenbasis.

    Args:
        resolution: side of the pictures, a power of two.
        outputs: coordinates.
        channels: of the first layer; each halving has half as many more, up to ``widest``.
    """

    def __init__(self, resolution: int, outputs: int, *, channels: int = 32, widest: int = 128) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 9
        side = resolution
        while side > 4:
            wider = min(widest, channels if width == 9 else 2 * width)
            layers += [nn.Conv2d(width, wider, 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
            width, side = wider, side // 2
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * width, outputs))

    def forward(self, target: Tensor, image: Tensor) -> Tensor:
        """[N, 3, R, R] in [0, 1] each -> [N, outputs]."""
        apart = target - image
        # The smaller the difference, the more it is looked at.
        scale = apart.square().mean((1, 2, 3), keepdim=True).sqrt() + 1e-4
        told: Tensor = self.layers(torch.cat([target * 2 - 1, image * 2 - 1, apart / scale], 1))
        return told * scale.flatten(1)


class Loom(nn.Module):
    """Adam in the eigenbasis, and what was learned on top of it.

    Args:
        size: coordinates of the basis.
        resolution: of the generator.
        hidden: width of the network that looks at each coordinate.
        embedding: numbers that are learned of each coordinate.
        lr: the rate that it starts from, in standard deviations of the prior.
        looks: whether it looks at the pictures.
    """

    def __init__(
        self, size: int, resolution: int, *, hidden: int = 32, embedding: int = 8, lr: float = 0.3, looks: bool = True
    ) -> None:
        super().__init__()
        self.lr = lr
        self.embedding = nn.Parameter(torch.randn(size, embedding) * 0.1)
        features = len(MOMENTA) + 5 + len(CLOCKS) + 3
        self.first, self.second = nn.Linear(features + embedding, hidden), nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, 3)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.eye = Eye(resolution, size) if looks else None

    def begin(self, count: int, device: torch.device) -> State:
        """What it remembers at first."""
        size = len(self.embedding)
        return dict(
            age=torch.zeros(count, device=device),
            means=torch.zeros(count, size, len(MOMENTA), device=device),
            square=torch.zeros(count, size, device=device),
            first=torch.zeros(count, device=device),
            last=torch.zeros(count, device=device),
        )

    def forward(
        self, place: Tensor, gradient: Tensor, losses: Tensor, target: Tensor, image: Tensor, state: State
    ) -> tuple[Tensor, State]:
        """The next step.

        Args:
            place: [N, K], where w is, in standard deviations from the mean.
            gradient: [N, K], of the loss by these.
            losses: [N].
            target, image: [N, 3, R, R] in [0, 1].
            state: see :meth:`begin`.

        Returns:
            [N, K], and what to remember.
        """
        age = state["age"] + 1
        decay = torch.tensor(MOMENTA, device=gradient.device)
        means = state["means"].lerp(gradient[..., None], 1 - decay)
        square = state["square"].lerp(gradient.square(), 1 - SQUARES)
        log = losses.clamp(min=1e-8).log()
        new = (state["age"] == 0)[:, None]
        first, last = torch.where(new[:, 0], log, state["first"]), torch.where(new[:, 0], log, state["last"])
        spread = (square / (1 - SQUARES ** age[:, None])).sqrt() + 1e-12
        directions = means / (1 - decay ** age[:, None, None]) / spread[..., None]  # [N, K, momenta]
        level = spread.log()
        relative = level - level.mean(1, keepdim=True)
        seen = self.eye(target, image) if self.eye is not None else torch.zeros_like(gradient)
        own = torch.stack([place.clamp(-5, 5), relative / 4, level / 8, seen, seen.abs().add(1e-3).log() / 4], 2)
        clocks = torch.stack([(age / clock).tanh() for clock in CLOCKS], 1)
        whole = torch.stack([log / 4, (log - first) / 2, (log - last) * 4], 1).clamp(-3, 3)
        shared = torch.cat([clocks, whole], 1)[:, None].expand(-1, gradient.shape[1], -1)
        embedding = self.embedding.expand(len(gradient), -1, -1)
        x = torch.cat([directions.clamp(-5, 5), own, shared, embedding], 2)
        x = F.leaky_relu(self.first(x), 0.2)
        x = F.leaky_relu(self.second(x), 0.2)
        faster, aside, trust = self.last(x).unbind(2)
        step = -self.lr * directions[..., MOMENTA.index(0.8)] * faster.exp() + 0.1 * aside
        if self.eye is not None:
            step = step + seen * trust.exp()
        return step, dict(age=age, means=means, square=square, first=first, last=log)
