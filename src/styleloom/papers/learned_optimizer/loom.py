"""Loom: a learned optimizer for each coordinate, in the eigenbasis of the generator's average Gauss-Newton matrix.

A step network beside it looks at the images. Untrained it is Adam in that basis (``loops/eigenbasis.py``). It learns the rate of
each eigenvector from several momenta, the quasi-Newton step, time and loss; and a step of its own, which a network reads off the
target and the present image.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from styleloom.loops.eigenbasis import Eigenbasis
from styleloom.papers.image2stylegan.objective import Observation

from .base import DEFAULT, Network, Schedule, State

MOMENTUM_DECAYS, SQUARE_DECAY = (0.0, 0.5, 0.8, 0.95), 0.95  # of running means of the gradient and of its square
ADAM_DECAY = 0.8  # the momentum that makes Adam's direction
MEMORY = 10  # (s, y) pairs of L-BFGS
DAMPING = PRECONDITIONER_DAMPING = 1e-4  # added to the curvature, as a share of the largest
TIME_SCALES = (3.0, 10.0, 30.0, 100.0)  # of time features, in steps


class ResidualBlock(nn.Module):
    """Two convolutions beside the identity, which it begins as (He et al. 2016, with activations first)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, width, H, W] to maps of the same shape."""
        residual: Tensor = self.second(F.leaky_relu(self.first(F.leaky_relu(x, 0.2)), 0.2))
        return x + residual


class StepNetwork(nn.Module):
    """The image-conditioned step network: a step from the target, the present image and whitened w.

    Args:
        resolution: side of the images, a power of two.
        size: K, the number of coordinates.
        channels: channels of the first layer; each halving doubles them, up to ``widest``.
        widest: channels at most.
        hidden: width of the dense layers.
        blocks: residual blocks at each resolution up to 16.
        rank: rank of the matrix of the second step; 0: ``hidden``.
    """

    def __init__(
        self,
        resolution: int,
        size: int,
        *,
        channels: int = 32,
        widest: int = 128,
        hidden: int = 256,
        blocks: int = 0,
        rank: int = 0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width, side = 9, resolution
        while side > 4:
            wider = min(widest, 2 * width if layers else channels)
            layers += [nn.Conv2d(width, wider, 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
            width, side = wider, side // 2
            if side <= 16:
                layers += [ResidualBlock(width) for _ in range(blocks)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.from_images, self.from_w = nn.Linear(16 * width, hidden), nn.Linear(size, hidden)
        self.both, self.last = nn.Linear(hidden, hidden), nn.Linear(hidden, size)
        self.down, self.gate = nn.Linear(size, rank or hidden, bias=False), nn.Linear(hidden, rank or hidden)
        self.up = nn.Linear(rank or hidden, size, bias=False)
        for outermost in (self.last.weight, self.last.bias, self.up.weight):
            nn.init.zeros_(outermost)

    def forward(self, w: Tensor, gradient: Tensor, target: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Two steps, [N, K] each.

        The first is read off the images and scales with their difference. The second is the gradient times a low-rank matrix
        that depends on the images and w.

        Args:
            w, gradient: [N, K], whitened.
            target, image: [N, 3, R, R] in [0, 1].
        """
        difference = target - image
        rms = difference.square().mean((1, 2, 3), keepdim=True).sqrt() + 1e-6  # [N, 1, 1, 1]
        inputs = torch.cat([target * 2 - 1, image * 2 - 1, difference / rms], 1)  # [N, 9, R, R]
        x = F.leaky_relu(self.from_images(self.layers(inputs)) + self.from_w(w), 0.2)
        x = F.leaky_relu(self.both(x), 0.2)  # [N, hidden]
        size = gradient.square().mean(1, keepdim=True).sqrt() + 1e-12
        return self.last(x) * rms.flatten(1), self.up(self.down(gradient / size) * self.gate(x)) * size


def quasi_newton(gradient: Tensor, s: Tensor, y: Tensor, inverse_curvature: Tensor) -> Tensor:
    """The step of L-BFGS, for several descents at once (Nocedal 1980, two-loop recursion).

    Args:
        gradient: [N, K].
        s, y: [N, memory, K], differences of w and of gradients, the latest last; 0 where there is none yet.
        inverse_curvature: [K], diagonal of the initial inverse Hessian.

    Returns:
        [N, K]; without pairs, the Gauss-Newton step ``-inverse_curvature * gradient``. Pairs without positive curvature are
        left out.
    """
    sy = (s * y).sum(2)  # [N, memory]
    valid = sy > 1e-10 * y.square().sum(2)
    rho = torch.where(valid, 1 / torch.where(valid, sy, 1), 0)
    step, alphas = gradient, []
    for pair in reversed(range(s.shape[1])):
        alpha = rho[:, pair] * (s[:, pair] * step).sum(1)
        step = step - alpha[:, None] * y[:, pair]
        alphas.append(alpha)
    # Scale of the initial matrix, from the last pair (Nocedal and Wright 2006, Eq. 7.20).
    scale = sy[:, -1] / (y[:, -1].square() * inverse_curvature).sum(1).clamp(min=1e-30)
    step = step * inverse_curvature * torch.where(valid[:, -1], scale.clamp(0.05, 20), 1)[:, None]
    for pair, alpha in enumerate(reversed(alphas)):
        step = step + s[:, pair] * (alpha - rho[:, pair] * (y[:, pair] * step).sum(1))[:, None]
    return -step


def empty_state(coordinates: Tensor, memory: int = MEMORY) -> State:
    """State of descents before their first step, of zeros [N, K]; so many pairs of L-BFGS are kept."""
    means = coordinates[..., None].expand(-1, -1, len(MOMENTUM_DECAYS))
    each, pairs = coordinates[:, 0], coordinates[:, None].expand(-1, memory, -1)
    state = dict(step=each, means=means, square=coordinates, first_log=each, last_log=each)
    return state | dict(w=coordinates, gradient=coordinates, s=pairs, y=pairs)


@dataclass(frozen=True)
class Advance:
    """Measures of a descent after one more gradient.

    Attributes:
        state: the next state.
        step: [N], counted from 1.
        rms: [N, K] root mean square of the gradient.
        directions: [N, K, momenta], running means of the gradient over it.
        adam: [N, K], the one that makes Adam's direction.
        times, losses: [N, inputs], features of time and of the loss so far.
    """

    state: State
    step: Tensor
    rms: Tensor
    directions: Tensor
    adam: Tensor
    times: Tensor
    losses: Tensor


def advance(state: State, w: Tensor, gradient: Tensor, losses: Tensor) -> Advance:
    """Take whitened w and its gradient [N, K], and losses [N], into the state of a descent."""
    step = state["step"] + 1  # [N]
    # Running means, pairs of L-BFGS, and losses.
    decays = torch.tensor(MOMENTUM_DECAYS, device=gradient.device)
    means = state["means"].lerp(gradient[..., None], 1 - decays)
    square = state["square"].lerp(gradient.square(), 1 - SQUARE_DECAY)
    log = losses.clamp(min=1e-8).log()
    is_first = state["step"] == 0
    first_log, last_log = torch.where(is_first, log, state["first_log"]), torch.where(is_first, log, state["last_log"])
    s, y = (
        torch.where(is_first[:, None, None], old, torch.cat([old[:, 1:], (new - before)[:, None]], 1))
        for old, new, before in ((state["s"], w, state["w"]), (state["y"], gradient, state["gradient"]))
    )
    state = dict(step=step, means=means, square=square, first_log=first_log, last_log=log)
    state |= dict(w=w, gradient=gradient, s=s, y=y)
    # What networks see of these.
    rms = (square / (1 - SQUARE_DECAY ** step[:, None])).sqrt() + 1e-12
    unbiased = means / (1 - decays ** step[:, None, None])
    directions = (unbiased / rms[..., None]).clamp(-5, 5)
    times = torch.stack([(step / scale).tanh() for scale in TIME_SCALES], 1)
    features = torch.stack([log / 4, (log - first_log) / 2, (log - last_log) * 4], 1).clamp(-3, 3)
    return Advance(state, step, rms, directions, directions[..., MOMENTUM_DECAYS.index(ADAM_DECAY)], times, features)


def at_most_one(step: Tensor) -> Tensor:
    """Steps [N, K], longer ones scaled down to a root mean square of 1."""
    return step * (1 / step.square().mean(1, keepdim=True).sqrt()).clamp(max=1)


def level_of(rms: Tensor) -> Tensor:
    """Logarithm of each coordinate's rms [N, K], less the mean of all, divided by 4: [N, K]."""
    level = rms.log()
    return (level - level.mean(1, keepdim=True)) / 4


def scheduled(schedule: Schedule, step: Tensor, adam: Tensor, learned: Tensor) -> Tensor:
    """The update, of Adam's part and what was learned beside it, [N, K] each, at steps [N]."""
    if schedule.anneal_start:
        learned = (2 - step / schedule.anneal_start).clamp(0, 1)[:, None] * learned
    update = adam + learned
    if schedule.step_decay_start:
        update = update * (schedule.step_decay_start / step).clamp(max=1).sqrt()[:, None]
    return update


class Loom(Network):
    """A learned optimizer of one generator, in its eigenbasis; untrained, it is Adam there.

    Latents are whitened: measured along the eigenvectors, in standard deviations of the prior.

    Args:
        basis: eigenvectors of the generator; without one, zeros of ``size`` to load weights into.
        size: K, the number of coordinates, where there is no basis.
        num_ws, w_dim: number of layers and size of w of the generator.
        resolution: side of the images that it sees.
        w_avg: mean w of the generator; zeros without one.
        hidden: width of the network that every coordinate shares.
        embedding: learned numbers for each coordinate.
        lr: initial rate, in standard deviations of the prior.
        channels, widest: channels of :class:`StepNetwork`, the first and the most; 0 channels: there is none.
        step_hidden, blocks, rank: width of its dense layers, its residual blocks at each resolution up to 16, and the rank of the
            matrix of its second step; 0: ``step_hidden``.
        use_momenta: input several momenta, not Adam's direction alone.
        use_quasi_newton: input the L-BFGS step, not the Gauss-Newton step alone.
        use_time_features: input time and loss.
        schedule: see :class:`Schedule`.
        generator: the generator's :func:`~styleloom.nn.generators.generator_id`.
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
        step_hidden: int = 256,
        blocks: int = 0,
        rank: int = 0,
        use_momenta: bool = True,
        use_quasi_newton: bool = True,
        use_time_features: bool = True,
        schedule: Schedule = DEFAULT,
        generator: str = "",
    ) -> None:
        super().__init__()
        # Note all settings, to be stored.
        basis = basis.leading() if basis is not None else None
        self.vectors: Tensor
        self.values: Tensor
        self.prior_std: Tensor
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
            step_hidden=step_hidden,
            blocks=blocks,
            rank=rank,
            use_momenta=use_momenta,
            use_quasi_newton=use_quasi_newton,
            use_time_features=use_time_features,
            schedule=asdict(schedule),
            generator=generator,
        )
        # Keep what is known of the generator.
        self.num_ws, self.w_dim, self.lr, self.schedule = num_ws, w_dim, lr, schedule
        self.use_momenta, self.use_quasi_newton, self.use_time_features = use_momenta, use_quasi_newton, use_time_features
        self.register_buffer("vectors", torch.zeros(num_ws * w_dim, size) if basis is None else basis.vectors)
        self.register_buffer("values", torch.zeros(size) if basis is None else basis.values)
        self.register_buffer("prior_std", torch.zeros(size) if basis is None else basis.prior_std)
        self.register_buffer("w_avg", torch.zeros(w_dim) if w_avg is None else w_avg.clone())
        # Make the layers that learn.
        self.embedding = nn.Parameter(torch.randn(size, embedding) * 0.1)
        inputs = len(MOMENTUM_DECAYS) + 7 + len(TIME_SCALES) + 3
        self.first, self.second = nn.Linear(inputs + embedding, hidden), nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, 4)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        sizes = dict(channels=channels, widest=widest, hidden=step_hidden, blocks=blocks, rank=rank)
        self.step_network = StepNetwork(resolution, size, **sizes) if channels else None

    def reschedule(self, schedule: Schedule) -> None:
        """Follow another schedule."""
        self.schedule, self.config["schedule"] = schedule, asdict(schedule)

    @property
    def curvature(self) -> Tensor:
        """Mean second derivative of the loss along each coordinate of whitened w: [K]."""
        return 2 * self.values * self.prior_std.square()

    @property
    def basis(self) -> Eigenbasis:
        """The eigenbasis it was trained in."""
        return Eigenbasis(self.vectors, self.values, self.prior_std, self.num_ws, self.w_dim, self.config["generator"])

    @override
    def init_state(self, batch: int) -> State:
        zeros = self.embedding.new_zeros(batch, len(self.embedding))
        return empty_state(zeros, MEMORY if self.use_quasi_newton else 1)

    @override
    def forward(self, ws: Tensor, gradient: Tensor, observation: Observation, state: State) -> tuple[Tensor, State]:
        basis = self.basis
        gradient = basis.rotate(gradient) * self.prior_std  # [N, K]
        update, state = self.whitened_update(self.whiten(ws), gradient, observation, state)
        return basis.back(update * self.prior_std), state

    def whiten(self, ws: Tensor) -> Tensor:
        """Ws [N, num_ws, w_dim] along the eigenvectors, in standard deviations of the prior from its mean: [N, K]."""
        return self.basis.rotate(ws - self.w_avg) / self.prior_std

    def unwhiten(self, w: Tensor) -> Tensor:
        """Ws [N, num_ws, w_dim] of whitened w [N, K]."""
        return self.basis.back(w * self.prior_std) + self.w_avg

    def whitened_update(self, w: Tensor, gradient: Tensor, observation: Observation, state: State) -> tuple[Tensor, State]:
        """The update of whitened w, from it and its gradient: [N, K] each."""
        advanced = advance(state, w, gradient, observation.losses)
        state, directions, adam = advanced.state, advanced.directions, advanced.adam
        curvature = self.curvature
        inverse_curvature = 1 / (curvature + DAMPING * curvature.max())
        newton = -inverse_curvature * gradient
        if self.use_quasi_newton:
            newton = quasi_newton(gradient, state["s"], state["y"], inverse_curvature)
        newton = at_most_one(newton)
        from_images = low_rank = torch.zeros_like(gradient)
        if self.step_network is not None:
            # Its gradient and second step are in coordinates of about equal curvature.
            preconditioner = (curvature / curvature.max() + PRECONDITIONER_DAMPING).rsqrt()
            from_images, low_rank = self.step_network(
                w.clamp(-5, 5), preconditioner * gradient, observation.target, observation.image
            )
            low_rank = preconditioner * low_rank
        own = [
            newton.clamp(-3, 3),
            w.clamp(-5, 5),
            level_of(advanced.rms),
            from_images.clamp(-3, 3),
            from_images.abs().add(1e-3).log() / 4,
        ]
        own += [curvature.add(1e-9).log().expand_as(gradient) / 8, low_rank.clamp(-3, 3)]
        shared = torch.cat([advanced.times, advanced.losses], 1)[:, None].expand(-1, gradient.shape[1], -1)
        shared = shared * self.use_time_features
        if not self.use_momenta:
            directions = adam[..., None].expand_as(directions)
        embedding = self.embedding.expand(len(gradient), -1, -1)
        x = torch.cat([directions, torch.stack(own, 2), shared, embedding], 2)  # [N, K, inputs]
        x = F.leaky_relu(self.first(x), 0.2)
        x = F.leaky_relu(self.second(x), 0.2)
        rate, bias, trust, newton_weight = self.last(x).unbind(2)  # [N, K] each
        # While the last layer is 0 the update is Adam's, plus the step network's, which begins at 0 too.
        learned = 0.1 * bias + from_images * trust.clamp(-4, 1).exp() + newton_weight * newton + low_rank
        followed = -self.lr * adam * (2 * (rate / 2).tanh()).exp()
        return scheduled(self.schedule, advanced.step, followed, learned), state
