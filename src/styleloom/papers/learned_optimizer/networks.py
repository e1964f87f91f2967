"""The networks of ``learned_optimizer``: pure functions of where a descent is, to its next step and what to remember.

``Gate`` multiplies Adam's update by what small networks say of the update and of w, row by row. ``Loom``, ours, starts as Adam in
the generator's eigenbasis (``loops/eigenbasis.py``) and learns on top of it: how far to go along each eigenvector, given several
momenta, the quasi-Newton step, time and loss; and a second opinion, read off the target and the present picture.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from styleloom.loops.eigenbasis import Eigenbasis
from styleloom.papers.image2stylegan.objective import Sight

State = dict[str, Tensor]
"""What an optimizer remembers between steps, [N, ...] each."""


class Network(nn.Module, ABC):
    """A network that is an optimizer.

    Attributes:
        num_ws, w_dim: of the generator.
        config: arguments to make it of, and the generator's :func:`~styleloom.nn.generator.identity`.
    """

    num_ws: int
    w_dim: int
    config: dict[str, Any]

    @abstractmethod
    def begin(self, count: int) -> State:
        """What it remembers of so many descents at first; ``age`` is the number of steps."""

    @abstractmethod
    def forward(self, ws: Tensor, gradient: Tensor, sight: Sight, state: State) -> tuple[Tensor, State]:
        """ws and gradient [N, num_ws, w_dim] -> the step, likewise, and what to remember."""


class Rows(nn.Module):
    """A dense layer of its own for each row: [N, rows, inputs] -> [N, rows, outputs]."""

    def __init__(self, rows: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(rows, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(rows, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x.transpose(0, 1), self.weight).transpose(0, 1)


def perceptron(sizes: Sequence[int], layer: Callable[[int, int], nn.Module]) -> nn.Sequential:
    """Layers from size to size, with leaky ReLUs between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [layer(inputs, outputs), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


def adam(gradient: Tensor, state: State, betas: tuple[float, float], eps: float = 1e-8) -> tuple[Tensor, State]:
    """Adam's direction: running means of gradient and square, each without bias."""
    age = state["age"] + 1
    mean = state["mean"].lerp(gradient, 1 - betas[0])
    square = state["square"].lerp(gradient.square(), 1 - betas[1])
    shape = (-1, *[1] * (gradient.ndim - 1))
    first, second = ((1 - beta**age).view(shape) for beta in betas)
    return (mean / first) / ((square / second).sqrt() + eps), dict(age=age, mean=mean, square=square)


class Gate(Network):
    """Adam's update times what is said of it: for each row of w four layers on the update, four on w, and four on both.

    Args:
        num_ws, w_dim: of the generator.
        hidden: width of the layers.
        lr: Adam's rate.
        generator: the generator's :func:`~styleloom.nn.generator.identity`.
    """

    def __init__(self, num_ws: int, w_dim: int, *, hidden: int = 128, lr: float = 0.01, generator: str = "") -> None:
        super().__init__()
        self.config: dict[str, Any] = dict(num_ws=num_ws, w_dim=w_dim, hidden=hidden, lr=lr, generator=generator)
        self.num_ws, self.w_dim, self.lr = num_ws, w_dim, lr

        def layer(inputs: int, outputs: int) -> nn.Module:
            return Rows(num_ws, inputs, outputs)

        self.of_update = perceptron((w_dim, hidden, hidden, hidden, hidden), layer)
        self.of_w = perceptron((w_dim, hidden, hidden, hidden, hidden), layer)
        self.of_both = perceptron((2 * hidden, hidden, hidden, hidden, w_dim), layer)

    def begin(self, count: int) -> State:
        zeros = next(self.parameters()).new_zeros(count, self.num_ws, self.w_dim)
        return dict(age=zeros[:, 0, 0], mean=zeros, square=zeros)

    def forward(self, ws: Tensor, gradient: Tensor, sight: Sight, state: State) -> tuple[Tensor, State]:
        direction, state = adam(gradient, state, betas=(0.9, 0.999))
        said: Tensor = self.of_both(torch.cat([self.of_update(direction), self.of_w(ws)], 2))
        return -self.lr * said * direction, state


class Coordinatewise(Network):
    """One small LSTM for every coordinate by itself (Andrychowicz et al. 2016, "Learning to learn by gradient descent").

    Args:
        num_ws, w_dim: of the generator.
        hidden: units of its two layers.
        lr: what its output is multiplied by.
        generator: the generator's :func:`~styleloom.nn.generator.identity`.
    """

    def __init__(self, num_ws: int, w_dim: int, *, hidden: int = 20, lr: float = 0.1, generator: str = "") -> None:
        super().__init__()
        self.config: dict[str, Any] = dict(num_ws=num_ws, w_dim=w_dim, hidden=hidden, lr=lr, generator=generator)
        self.num_ws, self.w_dim, self.lr = num_ws, w_dim, lr
        self.first, self.second = nn.LSTMCell(2, hidden), nn.LSTMCell(hidden, hidden)
        self.last = nn.Linear(hidden, 1)

    def begin(self, count: int) -> State:
        zeros = self.last.weight.new_zeros(count, self.num_ws * self.w_dim, self.last.in_features)
        return dict(age=zeros[:, 0, 0], h1=zeros, c1=zeros, h2=zeros, c2=zeros)

    def forward(self, ws: Tensor, gradient: Tensor, sight: Sight, state: State) -> tuple[Tensor, State]:
        # Appendix A, with p = 10: logarithm and sign of what is large, and what is small as it is.
        log, small = gradient.abs().clamp(min=1e-20).log() / 10, gradient.abs() < math.exp(-10)
        pair = torch.stack(
            [torch.where(small, -1, log), torch.where(small, math.exp(10) * gradient, gradient.sign())], -1
        ).flatten(0, 2)
        h1, c1 = self.first(pair, (state["h1"].flatten(0, 1), state["c1"].flatten(0, 1)))
        h2, c2 = self.second(h1, (state["h2"].flatten(0, 1), state["c2"].flatten(0, 1)))
        step = self.lr * self.last(h2).view_as(ws)
        memory = {name: value.unflatten(0, (len(ws), -1)) for name, value in dict(h1=h1, c1=c1, h2=h2, c2=c2).items()}
        return step, dict(age=state["age"] + 1, **memory)


MOMENTA, SQUARES = (0.0, 0.5, 0.8, 0.95), 0.95  # decays of the running means of slopes, and of their squares
PAIRS = 10  # moves that the quasi-Newton step remembers
DAMPING = EVEN = 1e-4  # shares of the largest curvature, added to each
CLOCKS = (3.0, 10.0, 30.0, 100.0)  # steps
REST_RATE, REST_BETAS = 0.1, (0.9, 0.9)  # of plain Adam in the end: half the rate that it does best with,
REST_STEPS = 100.0  # which falls with the root of the steps, after about as many


class Eye(nn.Module):
    """What the target, the present picture and its place in latent space have to say about the step.

    Args:
        resolution: side of the pictures, a power of two.
        size: coordinates of places and steps.
        channels: of the first layer; each halving has twice as many, up to ``widest``.
        widest: channels at most.
        hidden: width of the dense layers.
    """

    def __init__(self, resolution: int, size: int, *, channels: int = 32, widest: int = 128, hidden: int = 256) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width, side = 9, resolution
        while side > 4:
            wider = min(widest, 2 * width if layers else channels)
            layers += [nn.Conv2d(width, wider, 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
            width, side = wider, side // 2
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.of_pictures, self.of_place = nn.Linear(16 * width, hidden), nn.Linear(size, hidden)
        self.both, self.last = nn.Linear(hidden, hidden), nn.Linear(hidden, size)
        self.down, self.gate = nn.Linear(size, hidden, bias=False), nn.Linear(hidden, hidden)
        self.up = nn.Linear(hidden, size, bias=False)
        for outermost in (self.last.weight, self.last.bias, self.up.weight):
            nn.init.zeros_(outermost)

    def forward(self, place: Tensor, slope: Tensor, target: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Two steps [N, size]: what the pictures ask for, the smaller the nearer they are, and what becomes of the slope by a
        matrix of low rank that depends on all that is seen."""
        apart = target - image
        scale = apart.square().mean((1, 2, 3), keepdim=True).sqrt() + 1e-6
        seen = torch.cat([target * 2 - 1, image * 2 - 1, apart / scale], 1)
        x = F.leaky_relu(self.of_pictures(self.layers(seen)) + self.of_place(place), 0.2)
        x = F.leaky_relu(self.both(x), 0.2)
        size = slope.square().mean(1, keepdim=True).sqrt() + 1e-12
        return self.last(x) * scale.flatten(1), self.up(self.down(slope / size) * self.gate(x)) * size


def quasi_newton(slope: Tensor, moves: Tensor, turns: Tensor, metric: Tensor) -> Tensor:
    """The step of L-BFGS (Nocedal 1980, two loops), of several descents at once.

    Args:
        slope: [N, K] gradient.
        moves, turns: [N, pairs, K], differences of places and of gradients, the latest last; 0 where there is none yet.
        metric: [K] inverse curvature to begin with.

    Returns:
        [N, K]; the Gauss-Newton step ``-metric * slope`` where there is no pair yet. A pair without curvature is left out.
    """
    along = (moves * turns).sum(2)  # [N, pairs]
    sound = along > 1e-10 * turns.square().sum(2)
    rho = torch.where(sound, 1 / torch.where(sound, along, 1), 0)
    step, shares = slope, []
    for pair in reversed(range(moves.shape[1])):
        share = rho[:, pair] * (moves[:, pair] * step).sum(1)
        step = step - share[:, None] * turns[:, pair]
        shares.append(share)
    # How much flatter or steeper it is here than the metric says, along the last move (Nocedal and Wright 2006, Eq. 7.20).
    last = along[:, -1] / (turns[:, -1].square() * metric).sum(1).clamp(min=1e-30)
    step = step * metric * torch.where(sound[:, -1], last.clamp(0.05, 20), 1)[:, None]
    for pair, share in enumerate(reversed(shares)):
        step = step + moves[:, pair] * (share - rho[:, pair] * (turns[:, pair] * step).sum(1))[:, None]
    return -step


class Loom(Network):
    """Adam in the eigenbasis, and what was learned on top of it.

    Args:
        basis: eigenvectors of the generator; zeros of its shape unless told, to load weights into.
        size: coordinates, where there is no basis.
        num_ws, w_dim, resolution: of the generator.
        w_avg: its mean w; zeros unless told.
        hidden: width of the network that looks at each coordinate.
        embedding: numbers that are learned of each coordinate.
        lr: the rate that it starts from, in standard deviations of the prior.
        channels, widest: of the network that looks at the pictures; 0 channels: it does not.
        momenta: whether it sees several momenta, or Adam's direction alone.
        newton: whether it sees the quasi-Newton step, or the Gauss-Newton step alone.
        clock: whether it sees time and loss.
        horizon: after as many steps Adam takes over; those of the descents that it is trained on, or more.
        settle: after as many its steps shrink with the root of their number, as those of a descent must that is to come to rest.
        rest: after as many plain Adam goes on, on w itself, at a rate that falls; 0: never. For descents of a thousand steps, of
            which training sees none.
        generator: the generator's :func:`~styleloom.nn.generator.identity`.
    """

    def __init__(
        self,
        basis: Eigenbasis | None = None,
        *,
        num_ws: int,
        w_dim: int,
        resolution: int,
        size: int = 0,
        w_avg: Tensor | None = None,
        hidden: int = 32,
        embedding: int = 8,
        lr: float = 0.3,
        channels: int = 32,
        widest: int = 128,
        momenta: bool = True,
        newton: bool = True,
        clock: bool = True,
        horizon: int = 60,
        settle: int = 60,
        rest: int = 0,
        generator: str = "",
    ) -> None:
        super().__init__()
        self.vectors: Tensor
        self.values: Tensor
        self.spread: Tensor
        self.w_avg: Tensor
        size = size if basis is None else basis.vectors.shape[1]
        self.config: dict[str, Any] = dict(
            num_ws=num_ws,
            w_dim=w_dim,
            resolution=resolution,
            size=size,
            hidden=hidden,
            embedding=embedding,
            lr=lr,
            channels=channels,
            widest=widest,
            momenta=momenta,
            newton=newton,
            clock=clock,
            horizon=horizon,
            settle=settle,
            rest=rest,
            generator=generator,
        )
        self.num_ws, self.w_dim, self.lr = num_ws, w_dim, lr
        self.sees = dict(momenta=momenta, newton=newton, clock=clock)
        self.register_buffer("vectors", torch.zeros(num_ws * w_dim, size) if basis is None else basis.vectors)
        self.register_buffer("values", torch.zeros(size) if basis is None else basis.values)
        self.register_buffer("spread", torch.zeros(size) if basis is None else basis.spread)
        self.register_buffer("w_avg", torch.zeros(w_dim) if w_avg is None else w_avg.clone())
        self.embedding = nn.Parameter(torch.randn(size, embedding) * 0.1)
        features = len(MOMENTA) + 7 + len(CLOCKS) + 3
        self.first, self.second = nn.Linear(features + embedding, hidden), nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, 4)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.eye = Eye(resolution, size, channels=channels, widest=widest) if channels else None

    @property
    def curvature(self) -> Tensor:
        """Mean second derivative of the loss along each eigenvector, by places: [K]."""
        return 2 * self.values * self.spread.square()

    @property
    def basis(self) -> Eigenbasis:
        """That it was trained in."""
        return Eigenbasis(self.vectors, self.values, self.spread, self.num_ws, self.w_dim, self.config["generator"])

    def begin(self, count: int) -> State:
        zeros = self.embedding.new_zeros(count, len(self.embedding), len(MOMENTA))
        each, coordinates = zeros[:, 0, 0], zeros[..., 0]
        pairs = coordinates[:, None].expand(-1, PAIRS if self.sees["newton"] else 1, -1)
        memory = dict(age=each, means=zeros, square=coordinates, first=each, last=each)
        memory |= dict(place=coordinates, slope=coordinates, moves=pairs, turns=pairs)
        if self.config["rest"]:
            plain = self.embedding.new_zeros(count, self.num_ws, self.w_dim)
            memory |= dict(plain_mean=plain, plain_square=plain)
        return memory

    def forward(self, ws: Tensor, gradient: Tensor, sight: Sight, state: State) -> tuple[Tensor, State]:
        slope = gradient.flatten(1) @ self.vectors * self.spread
        step, kept = self.along(self.place(ws), slope, sight, state)
        step = (step * self.spread @ self.vectors.T).view_as(ws)
        if not self.config["rest"]:
            return step, kept
        plain = dict(age=state["age"], mean=state["plain_mean"], square=state["plain_square"])
        direction, plain = adam(gradient, plain, REST_BETAS)
        since = (plain["age"] - self.config["rest"])[:, None, None]
        rate = REST_RATE * (REST_STEPS / (REST_STEPS + since.clamp(min=0))).sqrt()
        step = torch.where(since > 0, -rate * direction, step)
        return step, kept | dict(plain_mean=plain["mean"], plain_square=plain["square"])

    def place(self, ws: Tensor) -> Tensor:
        """ws along the eigenvectors, in standard deviations of the prior from its mean: [N, K]."""
        return (ws - self.w_avg).flatten(1) @ self.vectors / self.spread

    def along(self, place: Tensor, slope: Tensor, sight: Sight, state: State) -> tuple[Tensor, State]:
        """The step along each eigenvector, in standard deviations of the prior, from place and slope in these: [N, K] each."""
        age = state["age"] + 1
        decay = torch.tensor(MOMENTA, device=slope.device)
        means = state["means"].lerp(slope[..., None], 1 - decay)
        square = state["square"].lerp(slope.square(), 1 - SQUARES)
        log = sight.losses.clamp(min=1e-8).log()
        begins = state["age"] == 0
        first, last = torch.where(begins, log, state["first"]), torch.where(begins, log, state["last"])
        moves, turns = (
            torch.where(begins[:, None, None], old, torch.cat([old[:, 1:], (new - before)[:, None]], 1))
            for old, new, before in ((state["moves"], place, state["place"]), (state["turns"], slope, state["slope"]))
        )
        kept = dict(age=age, means=means, square=square, first=first, last=log)
        kept |= dict(place=place, slope=slope, moves=moves, turns=turns)

        size = (square / (1 - SQUARES ** age[:, None])).sqrt() + 1e-12
        unbiased = means / (1 - decay ** age[:, None, None])  # [N, K, momenta]
        directions = (unbiased / size[..., None]).clamp(-5, 5)
        adam = directions[..., MOMENTA.index(0.8)]
        curvature = self.curvature
        metric = 1 / (curvature + DAMPING * curvature.max())
        newton = quasi_newton(slope, moves, turns, metric) if self.sees["newton"] else -metric * slope
        newton = newton * (1 / newton.square().mean(1, keepdim=True).sqrt()).clamp(max=1)
        seen = bent = torch.zeros_like(slope)
        if self.eye is not None:
            # Slope and step in coordinates of about equal curvature.
            even = (curvature / curvature.max() + EVEN).rsqrt()
            seen, bent = self.eye(place.clamp(-5, 5), even * slope, sight.target, sight.image)
            bent = even * bent
        level = size.log()
        level = (level - level.mean(1, keepdim=True)) / 4
        own = [newton.clamp(-3, 3), place.clamp(-5, 5), level, seen.clamp(-3, 3), seen.abs().add(1e-3).log() / 4]
        own += [curvature.add(1e-9).log().expand_as(slope) / 8, bent.clamp(-3, 3)]
        clocks = torch.stack([(age / clock).tanh() for clock in CLOCKS], 1)
        whole = torch.stack([log / 4, (log - first) / 2, (log - last) * 4], 1).clamp(-3, 3)
        shared = torch.cat([clocks, whole], 1)[:, None].expand(-1, slope.shape[1], -1) * self.sees["clock"]
        if not self.sees["momenta"]:
            directions = adam[..., None].expand_as(directions)
        embedding = self.embedding.expand(len(slope), -1, -1)
        x = torch.cat([directions, torch.stack(own, 2), shared, embedding], 2)
        x = F.leaky_relu(self.first(x), 0.2)
        x = F.leaky_relu(self.second(x), 0.2)
        rate, aside, trust, straight = self.last(x).unbind(2)
        # With the last layer at 0: Adam's step, and what the eye says, which begins at 0 too.
        learned = 0.1 * aside + seen * trust.clamp(-4, 1).exp() + straight * newton + bent
        # In the end Adam takes over, by and by, at rates that are still learned.
        share = (2 - age / self.config["horizon"]).clamp(0, 1)[:, None]
        step = -self.lr * adam * (2 * (rate / 2).tanh()).exp() + share * learned
        return step * (self.config["settle"] / age).clamp(max=1).sqrt()[:, None], kept


NETWORKS: dict[str, type[Network]] = {"gate": Gate, "lstm": Coordinatewise, "loom": Loom}
