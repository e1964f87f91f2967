"""The directions of latent space that images depend on most, and Adam along them.

A step dw changes the image by J dw. E[J^T J] is the average Gauss-Newton matrix of the generator. It has few large eigenvalues:
most of an image depends on few directions, each a mixture of layers and channels. Adam scales every coordinate on its own, so it
works best where coordinates do not interact: in the eigenbasis. (SOAP, Vyas et al. 2024, does this with gradients collected
during the run. The matrix of a generator takes minutes, once.)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from styleloom.core import checkpoint
from styleloom.core.checkpoint import fingerprint, read_run, save_state
from styleloom.core.errors import StyleLoomError
from styleloom.core.progress import Progress
from styleloom.nn.generators import Generator, generator_id, sample_ws, to_image
from styleloom.nn.vgg import Features

from .sketch import FrequentDirections

KIND = "eigenbasis"
BATCH = 16
FEW = 8  # samples at full size, of layers that serve only higher resolutions than images are compared at
STATE_EVERY = 4  # batches between two savings of the state


@dataclass(frozen=True)
class Eigenbasis:
    """Eigenvectors of E[J^T J], the largest eigenvalue first.

    Where they do not span all of the space, what they leave follows as it is. There are C coordinates in all: K along the
    vectors; then the L numbers of what is orthogonal to them, if that has eigenvalues; then the numbers of layers that they do
    not reach.

    Attributes:
        vectors: [L, K], a column each, of the first L of num_ws * w_dim numbers.
        values: [C] eigenvalues.
        prior_std: [C] standard deviation of the prior's w along each.
        num_ws, w_dim: number of layers and size of w of the generator.
        generator: the generator's :func:`~styleloom.nn.generators.generator_id`.
    """

    vectors: Tensor
    values: Tensor
    prior_std: Tensor
    num_ws: int
    w_dim: int
    generator: str = ""

    @property
    def _orthogonal(self) -> int:
        """L where what is orthogonal to the vectors has coordinates, else 0."""
        unreached = self.num_ws * self.w_dim - len(self.vectors)
        return len(self.vectors) if len(self.values) > self.vectors.shape[1] + unreached else 0

    def rotate(self, ws: Tensor) -> Tensor:
        """[N, num_ws, w_dim] -> [N, C]."""
        reached, unreached = ws.flatten(1).tensor_split([len(self.vectors)], 1)
        along = reached @ self.vectors
        orthogonal = [reached - along @ self.vectors.T] if self._orthogonal else []
        return torch.cat([along, *orthogonal, unreached], 1)

    def back(self, coordinates: Tensor) -> Tensor:
        """[N, C] -> [N, num_ws, w_dim]."""
        count = self.vectors.shape[1]
        along, orthogonal, unreached = coordinates.tensor_split([count, count + self._orthogonal], 1)
        reached = along @ self.vectors.T
        if self._orthogonal:
            reached = reached + orthogonal - (orthogonal @ self.vectors) @ self.vectors.T
        return torch.cat([reached, unreached], 1).view(-1, self.num_ws, self.w_dim)

    def leading(self) -> Eigenbasis:
        """The K coordinates along the vectors alone; what is orthogonal to them does not move."""
        count, unreached = self.vectors.shape[1], self.num_ws * self.w_dim - len(self.vectors)
        kept = [torch.cat([each[:count], each[len(each) - unreached :]]) for each in (self.values, self.prior_std)]
        return replace(self, values=kept[0], prior_std=kept[1])

    def to(self, device: torch.device) -> Eigenbasis:
        """The same on another device."""
        return replace(self, **{name: getattr(self, name).to(device) for name in ("vectors", "values", "prior_std")})

    def save(self, path: Path, license: str = "unknown", others: Mapping[str, Tensor] = MappingProxyType({})) -> None:
        """Write a model file, the vectors in half precision, with other tensors along them."""
        own = dict(vectors=self.vectors.half().contiguous(), values=self.values, prior_std=self.prior_std)
        tensors = own | dict(others)
        config = dict(num_ws=self.num_ws, w_dim=self.w_dim, generator=self.generator)
        checkpoint.save_model(path, tensors, kind=KIND, config=config, license=license)


def load(name: str | Path) -> Eigenbasis:
    """A basis from a name in the zoo, a path or ``hf://owner/repo/file``.

    Raises:
        StyleLoomError: no such file, or one of another kind.
    """
    tensors, config = checkpoint.read_model(name, KIND)
    std = "prior_std" if "prior_std" in tensors else "spread"  # its name in version 0.1
    with checkpoint.rebuilding(name):
        vectors, values, prior_std = (tensors[key].float() for key in ("vectors", "values", std))
        basis = Eigenbasis(vectors, values, prior_std, **config)
        (reached, count), unreached = vectors.shape, basis.num_ws * basis.w_dim - len(vectors)
        counts = (count + unreached, count + reached + unreached)
        if unreached < 0 or len(values) not in counts or values.shape != prior_std.shape:
            raise ValueError(f"vectors of shape {list(vectors.shape)}")
    return basis


@dataclass(frozen=True)
class Estimate(Progress):
    """Progress of an estimate.

    Attributes:
        basis: the eigenbasis, at the end.
        trace: the sum of all eigenvalues, also of those that are not kept.
    """

    basis: Eigenbasis | None = None
    trace: float = 0.0


def eigenbasis(
    generator: Generator,
    outputs: Callable[[Tensor], list[tuple[Tensor, float]]],
    *,
    samples: int = 2_000,
    keep: int | None = None,
    seed: int = 0,
    side: int = 0,
    batch: int = BATCH,
    rows: int = 0,
    state: Path | None = None,
    settings: Sequence[object] = (),
) -> Iterator[Estimate]:
    """Estimate E[J^T J] of outputs that images are compared by, from random residuals: one backward pass for each sample.

    Args:
        generator: the generator whose latent space is examined.
        outputs: a function of images [N, 3, H, W] in [0, 1]; it returns tensors [N, ...], each with the weight of the sum of its
            squared differences.
        samples: number of backward passes.
        keep: number of the leading eigenvectors to keep; all by default.
        seed: seed of residuals.
        side: side at which images are compared; 0: their own. Layers that serve only higher resolutions stay coordinates of their
            own, with one eigenvalue a layer.
        batch: images at a time.
        rows: rows of the sketch (:mod:`styleloom.loops.sketch`), which bounds memory; 0: as many as make it exact.
        state: a file to keep the estimate in; when it is there, the estimate goes on from it exactly.
        settings: numbers and names that ``outputs`` depends on; a state of others is refused.

    Yields:
        :class:`Estimate` after each batch, and with the basis at the end.

    Raises:
        StyleLoomError: the state of another estimate.
    """
    began = time.perf_counter()
    side = min(side, generator.resolution) or generator.resolution
    layers, w_dim = generator.layers_up_to(side), generator.w_dim
    sketch = FrequentDirections(layers * w_dim, rows or max(1, min(samples, layers * w_dim)))
    identity = generator_id(generator)
    # Go on from a saved state.
    job = fingerprint([identity, samples, seed, side, batch, sketch.rows, *settings], [])
    done = 0
    if state is not None and state.exists():
        saved = read_run(state, job)
        done = saved["done"]
        sketch.restore(saved["sketch"])
        began -= saved["seconds"]

    def gradients(seeds: range, side: int) -> tuple[Tensor, Tensor]:
        """Ws of seeds, and J^T r of a random residual r for each: [N, num_ws, w_dim] each."""
        draw = torch.Generator(generator.device).manual_seed((seed << 32) + seeds.start)
        ws = sample_ws(generator, seeds, mixing=0.5).requires_grad_(True)
        parts = []
        for output, weight in outputs(to_image(generator.image_at(ws, side), clamp=False)):
            residual = torch.randn(output.shape, generator=draw, device=output.device)
            parts.append(weight**0.5 * (output * residual).sum())
        return ws.detach(), torch.autograd.grad(torch.stack(parts).sum(), ws)[0]

    # The sketch of J^T r r^T J.
    for start in range(done, samples, batch):
        end = min(start + batch, samples)
        sketch.add(gradients(range(start, end), side)[1][:, :layers].flatten(1))
        seconds = time.perf_counter() - began
        if state is not None and end < samples and (end // batch) % STATE_EVERY == 0:
            save_state(state, dict(job=job, done=end, seconds=seconds, sketch=sketch.state()))
        yield Estimate(end, samples, {}, seconds)
    values, vectors = sketch.eigen(keep)
    # What is orthogonal to these shares what is left of the trace.
    orthogonal = torch.zeros(0)
    if (missing := len(vectors) - len(values)) > 0:
        left = max(0.0, sketch.trace / samples - float(values.sum())) / missing
        orthogonal = torch.full((len(vectors),), left)
    # Layers above: the mean square of each, at full size.
    rest = torch.zeros(generator.num_ws - layers)
    if len(rest):
        few = [gradients(range(n, n + 1), generator.resolution)[1][0, layers:].cpu() for n in range(min(samples, FEW))]
        rest = torch.stack(few).square().mean((0, 2))
    values = torch.cat([values, orthogonal, rest.repeat_interleave(w_dim)])
    # The spread of the prior's w along each.
    basis = Eigenbasis(vectors.contiguous(), values, torch.ones_like(values), generator.num_ws, w_dim, identity)
    prior = range(0, max(samples, 256), BATCH)
    drawn = torch.cat([basis.rotate(sample_ws(generator, range(n, n + BATCH), mixing=0.5).cpu()) for n in prior])
    prior_std = drawn.std(0)
    prior_std = prior_std.clamp(min=1e-3 * float(prior_std.max()))  # no direction is frozen
    trace = sketch.trace / samples + float(rest.sum()) * w_dim
    yield Estimate(samples, samples, {}, time.perf_counter() - began, replace(basis, prior_std=prior_std), trace)


class EigenAdam(torch.optim.Optimizer):
    """Adam (Kingma and Ba 2015) on coordinates in an eigenbasis. Steps are in standard deviations of the prior.

    Args:
        params: latents [num_ws, w_dim], one an image.
        basis: the eigenbasis whose eigenvectors are the coordinates; what lies outside of them is not moved.
        lr: step, in standard deviations of the prior.
        betas: decays of the running means of gradient and of its square.
        eps: added to the root of the mean square, as in Adam.
    """

    def __init__(
        self, params: Any, basis: Eigenbasis, *, lr: float = 0.3, betas: tuple[float, float] = (0.8, 0.95), eps: float = 1e-12
    ) -> None:
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps))
        self.basis = basis
        wrong = [p.shape for group in self.param_groups for p in group["params"] if p.shape != (basis.num_ws, basis.w_dim)]
        if wrong:
            raise StyleLoomError(
                f"latents of shape {list(wrong[0])}; this basis takes [{basis.num_ws}, {basis.w_dim}]: use space w_plus"
            )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of every latent that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if not params:
                continue
            gradient = self.basis.rotate(torch.stack([p.grad for p in params]))
            (beta1, beta2), steps = group["betas"], []
            for p, g in zip(params, gradient, strict=True):
                state = self.state[p]
                if not state:
                    state |= dict(step=torch.zeros(()), exp_avg=torch.zeros_like(g), exp_avg_sq=torch.zeros_like(g))
                state["step"] += 1
                state["exp_avg"].lerp_(g, 1 - beta1)
                state["exp_avg_sq"].lerp_(g * g, 1 - beta2)
                age = float(state["step"])
                mean, square = state["exp_avg"] / (1 - beta1**age), state["exp_avg_sq"] / (1 - beta2**age)
                steps.append(mean / (square.sqrt() + group["eps"]))
            moved = self.basis.back(torch.stack(steps) * self.basis.prior_std)
            for p, step in zip(params, moved, strict=True):
                p.add_(step, alpha=-group["lr"])
        return loss


def residuals(
    features: Features, layers: list[str], pixel_weight: float, perceptual_weight: float
) -> Callable[[Tensor], list[tuple[Tensor, float]]]:
    """Make the function of an inversion's outputs: pixels and features of named layers, each mean weighted."""

    def outputs(image: Tensor) -> list[tuple[Tensor, float]]:
        pixels = [(image, pixel_weight / image[0].numel())]
        return pixels + [(each, perceptual_weight / each[0].numel()) for each in features(image, layers).values()]

    return outputs
