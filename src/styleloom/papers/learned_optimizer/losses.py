"""Losses of descents that train an optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from styleloom.core.progress import Losses
from styleloom.nn.generators import mixed_from
from styleloom.nn.vgg import Features
from styleloom.papers.image2stylegan.objective import Encoder, Objective, Observation, render

from .base import Network, State
from .gate import Gate
from .loom import Loom, StepNetwork
from .loom_any import LoomAny
from .recipe import OptimizerRecipe


class OpenDescents(nn.Module):
    """Descents that go on from one step of a training to the next, in buffers, so that runs resume in their middle."""

    def __init__(self, network: Gate, count: int, image: tuple[int, int, int]) -> None:
        super().__init__()
        shape = (count, network.num_ws, network.w_dim)
        for name in ("ws", "target_ws", "gradient"):
            self.register_buffer(name, torch.zeros(shape))
        for name, value in network.init_state(count).items():
            self.register_buffer(f"state_{name}", value.clone())
        self.register_buffer("target", torch.zeros(count, *image))

    @property
    def state(self) -> State:
        """State of the optimizer."""
        return {name.removeprefix("state_"): value for name, value in self.named_buffers() if name.startswith("state_")}

    @torch.no_grad()
    def put(self, values: Mapping[str, Tensor], state: State) -> None:
        """Copy values of descents, and the state of the optimizer, into the buffers."""
        for name, value in {**values, **{f"state_{name}": value for name, value in state.items()}}.items():
            getattr(self, name).copy_(value)


class DescentLosses:
    """The losses of a training: of descents with the network, on batches of images."""

    def __init__(
        self, generator: Any, features: Features, recipe: OptimizerRecipe, encoder: Encoder | None, network: Network
    ) -> None:
        self.generator, self.features, self.recipe = generator, features, recipe
        self.encoder, self.network = encoder, network
        self.open_descents: Any = None
        self.step = 0

    def before_step(self, step: int) -> dict[str, float]:
        """Note the step of the training."""
        self.step = step
        return {"unroll_length": float(self.recipe.unroll_length_at(step))}

    @torch.no_grad()
    def _begin(self, image: Tensor, z: Tensor, is_synthetic: Tensor, cutoff: Tensor) -> tuple[Objective, Tensor, Tensor]:
        """The objective of a batch, the ws to start from, and those that made the generated images."""
        recipe, generator = self.recipe, self.generator
        first, second, third = (generator.mapping(each).float() for each in z.unbind(1))
        target_ws, targets = mixed_from(first, second, cutoff), image.clone()
        if is_synthetic.any():
            targets[is_synthetic] = render(generator, target_ws[is_synthetic]).float()
        start = recipe.starts[self.step // recipe.batch_steps % len(recipe.starts)]
        if start == "encoder":
            ws = self.encoder(targets)  # type: ignore[misc]
        else:
            ws = third if start == "random" else generator.w_avg.expand(len(z), generator.num_ws, -1)
        return Objective(generator, targets, self.features, recipe.weights), ws.clone(), target_ws

    def for_this_generator(self, network: Network) -> Network:
        """A network, such as an average of the one in training, made ready for this generator."""
        if isinstance(self.network, LoomAny) and isinstance(network, LoomAny):
            return network.bound(self.generator, self.network.basis, self.network.maps)
        return network

    def gradient(self, objective: Objective, ws: Tensor) -> tuple[Tensor, Observation]:
        """Compute dL/dws, [N, num_ws, w_dim] like ws, and what the network sees."""
        ws = ws.detach().requires_grad_(True)
        with torch.enable_grad():
            image, terms = objective(ws)
            losses = torch.stack(list(terms.values()))
            losses.sum().backward()
        assert ws.grad is not None
        return ws.grad.float(), objective.observe(image, losses.sum(0))

    def pretraining(self, network: Loom, step_network: StepNetwork, z: Tensor) -> Losses:
        """Pretraining loss: the fraction of the distance between two latents that the predicted step does not cover."""
        generator = self.generator
        with torch.no_grad():
            ws = torch.cat([generator.mapping(each).float() for each in z.unbind(1)])
            # Half of them mix two w.
            ws = mixed_from(ws, ws.roll(1, 0), torch.arange(len(ws), device=z.device) % (2 * generator.num_ws) + 1)
            distance = torch.linspace(0.05, 1, len(ws), device=z.device)[:, None, None]
            ws = torch.cat([ws, torch.lerp(ws, ws.roll(2, 0), distance)])
            image = render(generator, ws).float()
        weight = network.curvature.sqrt()
        losses = []
        for shift in (len(ws) // 2, len(ws) // 2 + 1, 1):
            now, present = network.whiten(ws), image
            wanted, target = now.roll(shift, 0), image.roll(shift, 0)
            for index in range(self.recipe.pretrain_unroll_length):
                if index:
                    present = render(generator, network.unwhiten(now)).float()
                with torch.autocast(ws.device.type, enabled=False):
                    step, _ = step_network(now.clamp(-5, 5), torch.zeros_like(now), target, present)
                distance = (weight * (wanted - now).square()).sum(1).clamp(min=1e-6)
                losses.append(((weight * (wanted - now - step).square()).sum(1) / distance).mean())
                now = (now + step).detach()
        return {"pairs": torch.stack(losses).mean()}

    def whole_descent(self, image: Tensor, z: Tensor, is_synthetic: Tensor, cutoff: Tensor) -> Losses:
        """The mean log10 loss of a descent, with the first-order gradient."""
        if self.step < self.recipe.pretrain_steps and isinstance(self.network, Loom) and self.network.step_network is not None:
            return self.pretraining(self.network, self.network.step_network, z)
        objective, ws, _ = self._begin(image, z, is_synthetic, cutoff)
        state = self.network.init_state(len(ws))
        length = self.recipe.unroll_length_at(self.step)
        total: Tensor | float = 0.0
        for step in range(length + 1):
            gradient, observation = self.gradient(objective, ws)
            if step:
                log_gradient = gradient / observation.losses.clamp(min=1e-8)[:, None, None]  # d log L / d w
                surrogate = (log_gradient * ws).sum((1, 2)).mean() / length
                total = total + surrogate - surrogate.detach() + observation.losses.log10().mean() / length
            if step < length:
                with torch.autocast(ws.device.type, enabled=False):
                    update, state = self.network(ws.detach(), gradient, observation, state)
                ws = ws + update
        return {"descent": total}  # type: ignore[dict-item]

    def next_step(self, image: Tensor, z: Tensor, is_synthetic: Tensor, cutoff: Tensor) -> Losses:
        """The loss after one more step, and the distance from the w that made the image."""
        descents, recipe = self.open_descents, self.recipe
        if self.step % recipe.batch_steps == 0:
            objective, ws, target_ws = self._begin(image, z, is_synthetic, cutoff)
            gradient, _ = self.gradient(objective, ws)
            values = dict(ws=ws, target_ws=target_ws, gradient=gradient, target=objective.targets)
            descents.put(values, self.network.init_state(len(ws)))
        else:
            objective = Objective(self.generator, descents.target, self.features, recipe.weights)
        unseen: Any = None  # a gate sees no images
        update, state = self.network(descents.ws.clone(), descents.gradient.clone(), unseen, descents.state)
        ws = descents.ws.clone() + update
        gradient, observation = self.gradient(objective, ws)
        descents.put(dict(ws=ws.detach(), gradient=gradient), state)
        surrogate = (gradient * ws).sum((1, 2)).mean()
        return {
            "image": surrogate - surrogate.detach() + observation.losses.mean(),
            "latent": recipe.latent_weight * (ws - descents.target_ws).square().mean((1, 2)).mean(),
        }
