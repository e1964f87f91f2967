"""Optimizers of an inversion, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.loops.eigenbasis import EigenAdam, Eigenbasis

from .config import InversionConfig
from .descent import Descent

Factory = Callable[[list[Tensor], Descent], torch.optim.Optimizer]
"""Latents, one an image, and the descent that they are part of, to an optimizer of them."""


@dataclass(frozen=True)
class Optimizer:
    """An optimizer by name.

    Attributes:
        make: parameters and settings to an optimizer.
        fixed: settings of the papers that used it, or, of ``adam-eigenbasis``, those that it was first tried with.
        tuned: settings found best on validation images (``benchmarks/inversion.py``).
        alone: it mixes its parameters, so that images must not share one.
    """

    make: Callable[..., torch.optim.Optimizer]
    fixed: Mapping[str, Any]
    tuned: Mapping[str, Any]
    alone: bool = False


OPTIMIZERS = {
    "sgd": Optimizer(torch.optim.SGD, dict(lr=0.01), dict(lr=790.0)),
    "nag": Optimizer(torch.optim.SGD, dict(lr=0.01, momentum=0.9, nesterov=True), dict(lr=70.0, momentum=0.9, nesterov=True)),
    "adagrad": Optimizer(torch.optim.Adagrad, dict(lr=0.01), dict(lr=0.42)),
    "rmsprop": Optimizer(torch.optim.RMSprop, dict(lr=0.01), dict(lr=0.041)),
    "adam": Optimizer(torch.optim.Adam, dict(lr=0.01), dict(lr=0.2, betas=(0.9, 0.9))),
    "adam-eigenbasis": Optimizer(EigenAdam, dict(lr=0.3), dict(lr=0.61, betas=(0.9, 0.9))),
    "lbfgs": Optimizer(torch.optim.LBFGS, dict(lr=1.0, max_iter=1), dict(lr=1.3, max_iter=1), alone=True),
}
"""Optimizers of torch; :func:`steps` takes any other that is made of parameters."""


def optimizer_named(config: InversionConfig, count: int = 1, basis: Eigenbasis | None = None) -> Factory:
    """The optimizer that a config asks for, for so many images.

    Raises:
        StyleLoomError: there is none of that name, it wants an eigenbasis, or fewer images.
    """
    check_choice("optimizer", config.optimizer, OPTIMIZERS)
    choice = OPTIMIZERS[config.optimizer]
    if choice.alone and count > 1:
        raise StyleLoomError(f"{config.optimizer} inverts one image at a time, and {count} were given; use batch 1")
    settings = dict(choice.tuned if config.tuned else choice.fixed) | ({"lr": config.lr} if config.lr is not None else {})
    if choice.make is EigenAdam:
        if basis is None:
            raise StyleLoomError(
                f"{config.optimizer} wants the generator's eigenbasis, and there is none; make one: styleloom train eigenbasis"
            )
        settings["basis"] = basis
    return lambda params, descent: choice.make(params, **settings)
