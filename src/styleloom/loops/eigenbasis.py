"""The directions of latent space that images depend on most, and Adam along them.

A step dw changes the image by J dw. E[J^T J] is the average Gauss-Newton matrix of the generator. It has few large eigenvalues:
most of an image depends on few directions, each a mixture of layers and channels. Adam scales every coordinate on its own, so it
works best where coordinates do not interact: in the eigenbasis. (SOAP, Vyas et al. 2024, does this with gradients collected
during the run. The matrix of a generator takes minutes, once.)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styleloom.core import checkpoint
from styleloom.core.errors import StyleLoomError
from styleloom.core.progress import Progress
from styleloom.nn.generators import Generator, generator_id, sample_ws, to_image
from styleloom.nn.vgg import Features

KIND = "eigenbasis"
BATCH = 16


@dataclass(frozen=True)
class Eigenbasis:
    """Eigenvectors of E[J^T J], the largest eigenvalue first.

    Attributes:
        vectors: [num_ws * w_dim, K], a column each.
        values: [K] eigenvalues.
        prior_std: [K] standard deviation of the prior's w along each.
        num_ws, w_dim: number of layers and size of w of the generator.
        generator: the generator's :func:`~styleloom.nn.generators.generator_id`.
    """

    vectors: Tensor
    values: Tensor
    prior_std: Tensor
    num_ws: int
    w_dim: int
    generator: str = ""

    def rotate(self, ws: Tensor) -> Tensor:
        """[N, num_ws, w_dim] -> [N, K]."""
        return ws.flatten(1) @ self.vectors

    def back(self, coordinates: Tensor) -> Tensor:
        """[N, K] -> [N, num_ws, w_dim]."""
        return (coordinates @ self.vectors.T).view(-1, self.num_ws, self.w_dim)

    def to(self, device: torch.device) -> Eigenbasis:
        """The same on another device."""
        vectors, values, prior_std = (each.to(device) for each in (self.vectors, self.values, self.prior_std))
        return Eigenbasis(vectors, values, prior_std, self.num_ws, self.w_dim, self.generator)

    def save(self, path: Path, license: str = "unknown") -> None:
        """Write a model file, the vectors in half precision."""
        tensors = dict(vectors=self.vectors.half().contiguous(), values=self.values, prior_std=self.prior_std)
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
        if vectors.shape != (basis.num_ws * basis.w_dim, len(values)) or values.shape != prior_std.shape:
            raise ValueError(f"vectors of shape {list(vectors.shape)}")
    return basis


@dataclass(frozen=True)
class Estimate(Progress):
    """Progress of an estimate.

    Attributes:
        basis: basis, at the end.
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
) -> Iterator[Estimate]:
    """Estimate E[J^T J] of outputs that images are compared by, from random residuals: one backward pass for each sample.

    Args:
        generator: the generator whose latent space is examined.
        outputs: outputs of images [N, 3, H, W] in [0, 1], tensors [N, ...], each with the weight of the sum of its squared
            differences.
        samples: backward passes.
        keep: how many of the leading eigenvectors; all by default.
        seed: seed of residuals.

    Yields:
        :class:`Estimate` after each batch, and with the basis at the end.
    """
    began = time.perf_counter()
    size = generator.num_ws * generator.w_dim
    gauss_newton = torch.zeros(size, size, dtype=torch.float64)
    draw = torch.Generator(generator.device).manual_seed(seed)
    drawn = []
    for start in range(0, samples, BATCH):
        ws = sample_ws(generator, range(start, min(start + BATCH, samples)), mixing=0.5).requires_grad_(True)
        image = to_image(generator.synthesis(ws, noise_mode="const"), clamp=False)
        parts = []
        for output, weight in outputs(image):
            residual = torch.randn(output.shape, generator=draw, device=output.device)
            parts.append(weight**0.5 * (output * residual).sum())
        (gradient,) = torch.autograd.grad(torch.stack(parts).sum(), ws)
        rows = gradient.flatten(1).cpu().double()
        gauss_newton += rows.T @ rows
        drawn.append(ws.detach().flatten(1).cpu())
        yield Estimate(min(start + BATCH, samples), samples, {}, time.perf_counter() - began)
    values, vectors = torch.linalg.eigh(gauss_newton / samples)
    trace = float(values.sum())
    values, vectors = values.flip(0)[:keep].clamp(min=0), vectors.flip(1)[:, :keep].float()
    prior_std = ((torch.cat(drawn) - torch.cat(drawn).mean(0)) @ vectors).std(0)
    prior_std = prior_std.clamp(min=1e-3 * float(prior_std.max()))  # no direction is frozen
    sizes = (generator.num_ws, generator.w_dim, generator_id(generator))
    basis = Eigenbasis(vectors.contiguous(), values.float(), prior_std, *sizes)
    yield Estimate(samples, samples, {}, time.perf_counter() - began, basis, trace)


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
