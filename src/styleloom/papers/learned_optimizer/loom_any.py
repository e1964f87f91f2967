"""Loom for any generator: one network for each coordinate of every eigenbasis, with nothing in it of a single generator.

It takes the place of Loom (``loom.py``) where nobody has trained one. Loom knows its generator by an embedding of each coordinate
and by a step network that has learned its images. Here two closed forms stand for these: an eigenbasis
(``loops/eigenbasis.py``) and descent maps (``supervised.py``), which take minutes for a new generator. The network decides from
what it sees of a coordinate how far to follow Adam, the quasi-Newton step and each map.

The sign of an eigenvector means nothing. So inputs that have a sign are multiplied by that of Adam's direction, and outputs are
factors of the four steps.
"""

from __future__ import annotations

from dataclasses import asdict

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from styleloom.core.errors import StyleLoomError
from styleloom.loops.eigenbasis import Eigenbasis
from styleloom.nn.generators import Generator, check_made_for, generator_id
from styleloom.papers.image2stylegan.objective import Observation

from .base import DEFAULT, Network, Schedule, State
from .loom import (
    DAMPING,
    MOMENTUM_DECAYS,
    TIME_SCALES,
    advance,
    at_most_one,
    empty_state,
    level_of,
    quasi_newton,
    scheduled,
)
from .supervised import STAGES, SupervisedDescent, gridded

LONGEST = 1.5  # root mean square of a step by a descent map, in standard deviations of the prior
SIGNED = len(MOMENTUM_DECAYS) + 3 + STAGES  # inputs with a sign: directions, quasi-Newton, gradient step, w, maps
UNSIGNED = 5 + 2 * STAGES  # level, curvature, rank, depth, size of the quasi-Newton step; size and reliability of each map
SHARED = len(TIME_SCALES) + 3 + STAGES + 1  # time, losses, agreement of each map with the gradient, number of coordinates


class LoomAny(Network):
    """A learned optimizer of any generator; :meth:`bound` makes it ready for one.

    Args:
        hidden: width of the layers.
        lr: initial rate, in standard deviations of the prior.
        schedule: see :class:`Schedule`.
        generator: the generator's :func:`~styleloom.nn.generators.generator_id` where it was trained further for one; "": any.
    """

    def __init__(self, *, hidden: int = 48, lr: float = 0.3, schedule: Schedule = DEFAULT, generator: str = "") -> None:
        super().__init__()
        self.config = dict(hidden=hidden, lr=lr, schedule=asdict(schedule), generator=generator)
        self.lr, self.schedule = lr, schedule
        self.layers = nn.Sequential(
            *(nn.Linear(SIGNED + UNSIGNED + SHARED, hidden), nn.LeakyReLU(0.2)),
            *(nn.Linear(hidden, hidden), nn.LeakyReLU(0.2)),
            *(nn.Linear(hidden, hidden), nn.LeakyReLU(0.2)),
            nn.Linear(hidden, 2 + STAGES),
        )
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def bound(self, generator: Generator, basis: Eigenbasis, maps: SupervisedDescent | None = None) -> LoomAny:
        """The same network, with the same parameters, made ready for a generator.

        Args:
            generator: a generator of any paper, without classes.
            basis: its eigenbasis.
            maps: its descent maps; without them their steps are 0.

        Raises:
            StyleLoomError: a basis or maps of another generator, or maps along other vectors.
        """
        check_made_for("this eigenbasis", basis.generator, generator)
        check_made_for("this optimizer", str(self.config["generator"]), generator)
        if maps is not None:
            check_made_for("these descent maps", maps.config["generator"], generator)
            if maps.config["size"] != (count := basis.vectors.shape[1]):
                raise StyleLoomError(
                    f"descent maps of {maps.config['size']} directions and an eigenbasis of {count}; make both anew, together"
                )
        own = LoomAny(**self.config | dict(schedule=self.schedule, generator=generator_id(generator)))
        own.layers = self.layers
        own._take(generator, basis, maps)
        return own

    @property
    def is_bound(self) -> bool:
        """Whether it is ready for a generator."""
        return hasattr(self, "basis")

    def _take(self, generator: Generator, basis: Eigenbasis, maps: SupervisedDescent | None) -> None:
        device = generator.device
        self.basis, self.maps = basis.to(device), maps.to(device) if maps is not None else None
        self.num_ws, self.w_dim, self.w_avg = generator.num_ws, generator.w_dim, generator.w_avg
        # The mean second derivative of the loss along each coordinate of whitened w, and where in the network it acts.
        self.curvature = 2 * self.basis.values * self.basis.prior_std.square()
        self.inverse_curvature = 1 / (self.curvature + DAMPING * self.curvature.max())
        place = torch.arange(self.num_ws, device=device).repeat_interleave(self.w_dim) / max(1, self.num_ws - 1)
        reached = len(self.basis.vectors)
        along = place[:reached] @ self.basis.vectors.square()
        depth = torch.cat([along, place[len(place) + len(along) - len(self.curvature) :]])
        rank = torch.linspace(0, 1, len(depth), device=device)
        relative = (self.curvature / self.curvature.max() + 1e-9).log() / 8
        self.constants = torch.stack([relative, rank, depth], 1)  # [K, 3]

    @override
    def init_state(self, batch: int) -> State:
        return empty_state(self.curvature.new_zeros(batch, len(self.curvature)))

    def map_steps(self, observation: Observation, like: Tensor) -> tuple[Tensor, Tensor]:
        """Steps by the descent maps, and how much of the way each explains: [STAGES, N, K] and [STAGES, 1, K]."""
        if self.maps is None or not observation.features:
            zeros = like.new_zeros(STAGES, *like.shape)
            return zeros, zeros[:, :1]
        target = gridded(observation.target, observation.target_features)
        difference = target - gridded(observation.image, observation.features)
        if difference.shape[1] != len(self.maps.projection):
            raise StyleLoomError("the descent maps were fitted on another perceptual network's features; leave features out")
        steps: Tensor = self.maps(difference)
        # Two draws of the prior are 1.4 apart; a longer step is for an image that the generator does not know.
        steps = steps * (LONGEST / steps.square().mean(2, keepdim=True).sqrt()).clamp(max=1)
        others = like.shape[1] - self.maps.reliability.shape[1]  # coordinates that the maps do not move
        return F.pad(steps, (0, others)), F.pad(self.maps.reliability, (0, others))[:, None]

    @override
    def forward(self, ws: Tensor, gradient: Tensor, observation: Observation, state: State) -> tuple[Tensor, State]:
        basis = self.basis
        gradient = basis.rotate(gradient) * basis.prior_std  # [N, K]
        w = basis.rotate(ws - self.w_avg) / basis.prior_std
        advanced = advance(state, w, gradient, observation.losses)
        state, adam = advanced.state, advanced.adam
        # The steps that it chooses from.
        newton = at_most_one(quasi_newton(gradient, state["s"], state["y"], self.inverse_curvature))
        steepest = -self.inverse_curvature * gradient
        mapped, reliability = self.map_steps(observation, gradient)
        # What it sees of each coordinate.
        sign = torch.where(adam < 0, -1.0, 1.0)[..., None]
        signed = [
            advanced.directions,
            torch.stack([newton.clamp(-3, 3), steepest.clamp(-3, 3), w.clamp(-5, 5), *mapped.clamp(-3, 3)], 2),
        ]
        sizes = [level_of(advanced.rms), newton.abs().add(1e-3).log() / 4]
        sizes += [each.abs().add(1e-3).log() / 4 for each in mapped]
        unsigned = [torch.stack(sizes, 2), self.constants.expand(len(ws), -1, -1)]
        unsigned += [each.expand_as(adam)[..., None] for each in reliability]
        # What it sees of the descent.
        agreement = -F.cosine_similarity(mapped, gradient[None], dim=2).T
        count = torch.full_like(advanced.step, len(self.curvature)).log()[:, None] / 8
        shared = torch.cat([advanced.times, advanced.losses, agreement, count], 1)[:, None].expand(-1, gradient.shape[1], -1)
        rate, newton_weight, *trust = self.layers(torch.cat([sign * torch.cat(signed, 2), *unsigned, shared], 2)).unbind(2)
        # While the last layer is 0 the update is Adam's.
        learned = newton_weight * newton + sum(weight * each for weight, each in zip(trust, mapped, strict=True))
        followed = -self.lr * adam * (2 * (rate / 2).tanh()).exp()
        update = scheduled(self.schedule, advanced.step, followed, learned)
        return basis.back(update * basis.prior_std), state
