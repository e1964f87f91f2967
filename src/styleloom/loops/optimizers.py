"""Muon for convolutions: orthogonal steps for kernels, Adam for everything else.

Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; the scale of its steps is that of Liu et
al., "Muon is scalable for LLM training", 2025, arXiv:2502.16982. Plain convolutions in a row, without normalization
between them, are badly conditioned; this trains them in several times fewer steps than Adam alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """Kernels [out, in, h, w] move by orthogonal matrices [out, in h w], vectors by Adam.

    Args:
        params: what is trained.
        lr: step size, of the scale of Adam's.
        momentum: momentum of the kernels' gradients, Nesterov's form.
        betas: Adam's.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float = 3e-3, momentum: float = 0.95, betas: tuple[float, float] = (0.9, 0.99)
    ) -> None:
        super().__init__(params, dict(lr=lr, momentum=momentum, betas=betas))

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take a step along the gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = torch.zeros(())
                    state["mean"] = torch.zeros_like(parameter)
                    if parameter.ndim != 4:
                        state["square"] = torch.zeros_like(parameter)
                state["step"] += 1
                if parameter.ndim == 4:
                    _muon(parameter, parameter.grad, state["mean"], group["lr"], group["momentum"])
                else:
                    _adam(parameter, parameter.grad, state, group["lr"], *group["betas"])
        return loss


def _muon(kernel: Tensor, gradient: Tensor, mean: Tensor, lr: float, momentum: float) -> None:
    mean.lerp_(gradient, 1 - momentum)
    update = orthogonal(gradient.lerp(mean, momentum).flatten(1))
    kernel.add_(update.view(kernel.shape), alpha=-lr * 0.2 * max(update.shape) ** 0.5)


def orthogonal(matrix: Tensor, steps: int = 5) -> Tensor:
    """Near the closest matrix with orthonormal rows or columns, by a quintic Newton-Schulz iteration: [A, B] -> [A, B]."""
    a, b, c = NEWTON_SCHULZ
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / x.norm().clamp_min(1e-7)
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


def _adam(vector: Tensor, gradient: Tensor, state: dict[str, Tensor], lr: float, beta1: float, beta2: float) -> None:
    state["mean"].lerp_(gradient, 1 - beta1)
    state["square"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    step = state["step"].item()
    denominator = (state["square"] / (1 - beta2**step)).sqrt_().add_(1e-8)
    vector.addcdiv_(state["mean"], denominator, value=-lr / (1 - beta1**step))


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {"muon": Muon, "adam": torch.optim.Adam}
"""Optimizers of recipes, by name; arguments are parameters and a learning rate."""
