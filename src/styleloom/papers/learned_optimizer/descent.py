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
from styleloom.nn.generator import Generator, check_made_for, generator_id
from styleloom.papers.image2stylegan import Factory
from styleloom.papers.image2stylegan.objective import Objective

from .networks import NETWORKS, Loom, Network, State

KIND = "learned-optimizer"


def save(network: Network, path: Path, licence: str = "Apache-2.0") -> None:
    """Write a model file: matrices in half precision, vectors in full.

    Args:
        network: to write.
        path: a ``.safetensors``.
        licence: what it may be used for, noted in it.
    """
    tensors = {name: value.half() if value.ndim > 1 else value for name, value in network.state_dict().items()}
    config = network.config | dict(network=next(name for name, kind in NETWORKS.items() if isinstance(network, kind)))
    checkpoint.save_model(path, tensors, kind=KIND, config=config, licence=licence)


def load(name: str | Path) -> Network:
    """A learned optimizer from a name in the zoo, a path or ``hf://owner/repo/file``, in fp32.

    Raises:
        StyleLoomError: no such model, or one of another kind.
    """
    tensors, config = checkpoint.read_model(name, KIND)
    network = NETWORKS[config.pop("network")](**config)
    network.load_state_dict(tensors)
    return network.float().eval().requires_grad_(False)


def transferred(network: Loom, generator: Generator, basis: Eigenbasis) -> Loom:
    """A loom for a generator that it was not trained on: in that one's eigenbasis, without its eye, which knows only the first.

    Args:
        network: trained on any generator; what it learned of the k-th eigenvector is taken to hold for the k-th there.
        generator: of any size.
        basis: of that generator.
    """
    config = network.config | dict(num_ws=generator.num_ws, w_dim=generator.w_dim, resolution=generator.resolution)
    found = Loom(basis, w_avg=generator.w_avg, **(config | dict(channels=0, generator=generator_id(generator))))
    with torch.no_grad():
        ranks = torch.arange(len(found.embedding)).clamp(max=len(network.embedding) - 1)
        found.embedding.copy_(network.embedding[ranks])
    for name in ("first", "second", "last"):
        found.get_submodule(name).load_state_dict(network.get_submodule(name).state_dict())
    return found.to(generator.device).eval().requires_grad_(False)


class Learned(torch.optim.Optimizer):
    """A trained network as an optimizer of latents.

    Where a step has made a picture worse by a half, it goes back to the best place so far, and on from there in smaller steps.

    Args:
        params: latents [num_ws, w_dim], one an image.
        network: from :func:`load`.
        objective: what is descended on; the network sees its pictures.
        guard: how much worse a step may make a picture, as a factor of its lowest loss.
    """

    def __init__(self, params: Any, network: Network, objective: Objective, *, guard: float = 1.5) -> None:
        super().__init__(params, dict(guard=guard, network=digest(network)))
        check_made_for("this optimizer", network.config["generator"], objective.generator)
        self.network, self.objective = network.to(objective.generator.device), objective
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
        mine = self.param_groups[0]["network"]
        if any(group.get("network") != mine for group in state_dict["param_groups"]):
            raise StyleLoomError("this state is another learned optimizer's; go on with the same one, or begin anew")
        super().load_state_dict(state_dict)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of every latent; it needs a closure that evaluates the objective.

        Raises:
            StyleLoomError: no closure.
        """
        if closure is None:
            raise StyleLoomError(
                "a learned optimizer sees the picture at each step; give step() a closure that computes the loss"
            )
        with torch.enable_grad():
            loss = closure()
        params, group = self._params, self.param_groups[0]
        sight = self.objective.sight
        if not all(self.state[p] for p in params):
            for p, fresh in zip(params, self._fresh(len(params)), strict=True):
                self.state[p].update(fresh)
        kept = [self.state[p] for p in params]
        ws, gradient = torch.stack(params), torch.stack([p.grad for p in params if p.grad is not None])
        state = {name: torch.stack([each[name] for each in kept]) for name in kept[0]}
        best, lowest, scale = state.pop("best"), state.pop("lowest"), state.pop("scale")
        worse = ~(sight.losses <= group["guard"] * lowest)
        better = sight.losses < lowest
        best, lowest = torch.where(better[:, None, None], ws, best), torch.where(better, sight.losses, lowest)
        scale = torch.where(worse, scale / 2, (scale * 1.1).clamp(max=1))
        step, state = self.network(ws, gradient, sight, state)
        moved = torch.where(worse[:, None, None], best, ws + step * scale[:, None, None])
        state |= dict(best=best, lowest=lowest, scale=scale)
        for row, p in enumerate(params):
            p.copy_(moved[row])
            self.state[p].update({name: value[row] for name, value in state.items()})
        return loss

    def _fresh(self, count: int) -> list[State]:
        begun = self.network.begin(count)
        params = torch.stack(self._params)
        begun |= dict(best=params, lowest=torch.full_like(params[:, 0, 0], torch.inf), scale=torch.ones_like(params[:, 0, 0]))
        return [{name: value[row].clone() for name, value in begun.items()} for row in range(count)]


def digest(network: Network) -> str:
    """What a learned optimizer is known by: its sizes, and the first numbers of each of its tensors."""
    return checkpoint.fingerprint(network.config, [value.flatten()[:64] for value in network.state_dict().values()])[:16]


def factory(network: Network) -> Factory:
    """For :func:`~styleloom.papers.image2stylegan.steps`.

    Args:
        network: a learned optimizer.
    """
    return lambda params, objective: Learned(params, network, objective)
