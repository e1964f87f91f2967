"""A learned optimizer at run time: its file, and the ``torch.optim.Optimizer`` that descends with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styleloom.core import checkpoint
from styleloom.core.errors import StyleLoomError
from styleloom.loops.eigenbasis import Eigenbasis
from styleloom.nn.generators import Generator, check_made_for, generator_id
from styleloom.papers.image2stylegan import Factory
from styleloom.papers.image2stylegan.descent import Descent
from styleloom.papers.image2stylegan.objective import COMPARED_SIDE, Observation

from .base import Network, Schedule, State, adam
from .gate import Gate
from .landscape import Landscape
from .loom import Loom
from .loom_any import LoomAny
from .lstm import CoordinatewiseLSTM

KIND = "learned-optimizer"
NETWORKS: dict[str, type[Network]] = {
    "gate": Gate,
    "lstm": CoordinatewiseLSTM,
    "landscape": Landscape,
    "loom": Loom,
    "loom-any": LoomAny,
}
FALLBACK_RATE, FALLBACK_BETAS = 0.1, (0.9, 0.9)  # of plain Adam at the end: half the rate that it does best with,
FALLBACK_DECAY = 100.0  # which falls as 1 / sqrt(1 + steps / 100)
FALLBACK_WARMUP = 30  # steps before the fallback from which Adam's running means are kept
RENAMED = {  # in files of version 0.1
    "spread": "prior_std",
    "eye.": "step_network.",
    "of_pictures": "from_images",
    "of_place": "from_w",
    "momenta": "use_momenta",
    "newton": "use_quasi_newton",
    "clock": "use_time_features",
}


def save(network: Network, path: Path, license: str = "unknown") -> None:
    """Write a model file: matrices in half precision, vectors in full.

    Args:
        network: to write.
        path: a ``.safetensors``.
        license: what it may be used for, noted in it.
    """
    tensors = {name: value.half() if value.ndim > 1 else value for name, value in network.state_dict().items()}
    config = network.config | dict(network=next(name for name, kind in NETWORKS.items() if isinstance(network, kind)))
    checkpoint.save_model(path, tensors, kind=KIND, config=config, license=license)


def load(name: str | Path) -> Network:
    """A learned optimizer from a name in the zoo, a path or ``hf://owner/repo/file``, in fp32.

    Raises:
        StyleLoomError: no such model, one of another kind, or a damaged one.
    """

    def make(config: dict[str, Any]) -> Network:
        schedule = dict(schedule=Schedule(**config["schedule"])) if "schedule" in config else {}
        return NETWORKS[config.pop("network")](**config | schedule)

    return checkpoint.rebuilt(name, KIND, make, _from_version_1)


def _from_version_1(tensors: dict[str, Tensor], config: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A loom's file of version 0.1 with today's names; others as they are."""
    if "horizon" not in config:
        return tensors, config

    def renamed(name: str) -> str:
        for old, new in RENAMED.items():
            name = name.replace(old, new)
        return name

    fallback = config.pop("rest", 0)
    anneal = config.pop("horizon")
    schedule = Schedule(
        anneal_start=0 if 0 < fallback <= anneal else anneal,  # it would never act
        step_decay_start=config.pop("settle", 60),
        fallback_step=fallback,
    )
    config = {renamed(name): value for name, value in config.items()}
    return {renamed(name): value for name, value in tensors.items()}, config | dict(schedule=vars(schedule))


def transferred(network: Loom, generator: Generator, basis: Eigenbasis) -> Loom:
    """A loom for a generator that it was not trained on: in that one's eigenbasis, without its step network.

    Args:
        network: trained on any generator; what it learned of the k-th eigenvector is taken to hold for the k-th there.
        generator: a generator of any size.
        basis: eigenbasis of that generator.

    Raises:
        StyleLoomError: the basis is another generator's.
    """
    check_made_for("this eigenbasis", basis.generator, generator)
    config = network.config | dict(num_ws=generator.num_ws, w_dim=generator.w_dim)
    config |= dict(resolution=min(generator.resolution, COMPARED_SIDE), channels=0)
    config |= dict(generator=generator_id(generator), schedule=network.schedule)
    moved = Loom(basis, w_avg=generator.w_avg, **config)
    with torch.no_grad():
        ranks = torch.arange(len(moved.embedding)).clamp(max=len(network.embedding) - 1)
        moved.embedding.copy_(network.embedding[ranks])
    for name in ("first", "second", "last"):
        moved.get_submodule(name).load_state_dict(network.get_submodule(name).state_dict())
    return moved.to(generator.device).eval().requires_grad_(False)


def with_new_step_network(network: Loom, channels: int, **sizes: int) -> Loom:
    """The same loom with a step network that has learned nothing yet.

    Args:
        network: a loom of any generator, with a step network or without.
        channels: channels of its first layer.
        sizes: others of :class:`~.loom.Loom`: ``widest``, ``step_hidden``, ``blocks``, ``rank``.
    """
    config = network.config | dict(channels=channels, schedule=network.schedule) | sizes
    renewed = Loom(network.basis, w_avg=network.w_avg, **config)
    kept = {name: value for name, value in network.state_dict().items() if not name.startswith("step_network.")}
    renewed.load_state_dict(renewed.state_dict() | kept)
    return renewed


class Learned(torch.optim.Optimizer):
    """A trained network as an optimizer of latents.

    Args:
        params: latents [num_ws, w_dim], one an image.
        network: a network from :func:`load`; its :class:`~.base.Schedule` says when an image goes back, and when plain Adam
            takes over.
        descent: the run that it serves; the network sees its images.
    """

    def __init__(self, params: Any, network: Network, descent: Descent) -> None:
        super().__init__(params, dict(step=0, network=digest(network)))
        generator = descent.objective.generator
        if isinstance(network, LoomAny) and not network.is_bound:
            raise StyleLoomError("loom-any is not ready for this generator; call bound(generator, basis, maps) first")
        check_made_for("this optimizer", network.config["generator"], generator)
        self.network, self.descent = network.to(generator.device), descent
        wrong = [p.shape for p in self._params if p.shape != (network.num_ws, network.w_dim)]
        if wrong:
            raise StyleLoomError(
                f"latents of shape {list(wrong[0])}; this optimizer takes [{network.num_ws}, {network.w_dim}]: use space w_plus"
            )

    @property
    def _params(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def load_state_dict(self, state_dict: Any) -> None:
        """Go on from the state of a descent.

        Raises:
            StyleLoomError: it was another network's.
        """
        own = self.param_groups[0]["network"]
        if any(group.get("network") != own for group in state_dict["param_groups"]):
            raise StyleLoomError("this state is another learned optimizer's; go on with the same one, or begin anew")
        super().load_state_dict(state_dict)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of every latent; it needs a closure that evaluates the descent.

        Raises:
            StyleLoomError: no closure.
        """
        if closure is None:
            raise StyleLoomError("a learned optimizer sees the image at each step; give step() a closure that computes the loss")
        with torch.enable_grad():
            loss = closure()
        params, group = self._params, self.param_groups[0]
        observation = self.descent.observation
        group["step"] += 1
        if group["step"] == 1:
            self._init_state(params)
        rows = [self.state[p] for p in params]
        ws, gradient = torch.stack(params), torch.stack([p.grad for p in params if p.grad is not None])
        state = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
        best, lowest, scale = state.pop("best"), state.pop("lowest"), state.pop("scale")
        worse = ~(observation.losses <= self.network.schedule.backtrack_factor * lowest)
        better = observation.losses < lowest
        best, lowest = torch.where(better[:, None, None], ws, best), torch.where(better, observation.losses, lowest)
        scale = torch.where(worse, scale / 2, (scale * 1.1).clamp(max=1))
        update, state = self._update(group["step"], ws, gradient, observation, state)
        moved = torch.where(worse[:, None, None], best, ws + update * scale[:, None, None])
        state |= dict(best=best, lowest=lowest, scale=scale)
        for row, p in enumerate(params):
            p.copy_(moved[row])
            self.state[p] = {name: value[row] for name, value in state.items()}
        return loss

    def _init_state(self, params: list[Tensor]) -> None:
        state = self.network.init_state(len(params)) | dict(best=torch.stack(params))
        each = state["best"][:, 0, 0]
        state |= dict(lowest=torch.full_like(each, torch.inf), scale=torch.ones_like(each))
        for row, p in enumerate(params):
            self.state[p] = {name: value[row].clone() for name, value in state.items()}

    def _update(self, step: int, ws: Tensor, gradient: Tensor, observation: Observation, state: State) -> tuple[Tensor, State]:
        """The network's update, or plain Adam's from the fallback on; the state holds what the next step needs."""
        fallback, plain = self.network.schedule.fallback_step, {}
        if fallback and step > fallback - FALLBACK_WARMUP:
            zeros = dict(step=torch.zeros_like(ws[:, 0, 0]), mean=torch.zeros_like(ws), square=torch.zeros_like(ws))
            direction, after = adam(
                gradient, {name: state.pop(f"adam_{name}", zero) for name, zero in zeros.items()}, FALLBACK_BETAS
            )
            plain = {f"adam_{name}": value for name, value in after.items()}
            if step > fallback:
                return -FALLBACK_RATE * (1 + (step - fallback) / FALLBACK_DECAY) ** -0.5 * direction, plain
        update, state = self.network(ws, gradient, observation, state)
        return update, state | plain


def digest(network: Network) -> str:
    """Identity of a learned optimizer: its sizes, and the first numbers of each of its tensors."""
    return checkpoint.fingerprint(network.config, [value.flatten()[:64] for value in network.state_dict().values()])[:16]


def factory(network: Network) -> Factory:
    """Make the factory of a learned optimizer for :func:`~styleloom.papers.image2stylegan.steps`.

    Args:
        network: a learned optimizer.
    """
    return lambda params, descent: Learned(params, network, descent)
