"""A model that translates images between two domains, A and B, and its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from styleloom.core import checkpoint
from styleloom.core.errors import StyleLoomError

from .translation import Dropout, PatchGAN, generator_config, made_generator

CODES = "codes"
OLD_DERIVATIONS = {"grey": "gray"}  # as versions 0.1 and 0.2 wrote them
Made = Callable[[dict[str, Any]], nn.Module]


class Translator(nn.Module):
    """Networks that translate: ``networks["B"]`` makes B of A, and ``networks["A"]``, where there is one, A of B.

    Args:
        networks: by the domain that they make; [N, C, H, W] in [-1, 1] each. ``"codes"`` gives each instance a code.
        discriminators: discriminators of each domain, to train on; they are not needed to translate.
        derive: how the input is made of a photograph, see :data:`styleloom.data.derive.DERIVATIONS`; "" where A is images.
        labels: colors [[r, g, b], ...] of 8-bit numbers, where the input is a label map.
        size: side in pixels that it was trained at.
        instances: the last channel of the input is 1 at the boundaries of instances.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        discriminators: Mapping[str, nn.Module] | None = None,
        *,
        derive: str = "",
        labels: Sequence[Sequence[int]] = (),
        size: int = 256,
        instances: bool = False,
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleDict(networks)
        self.discriminators = nn.ModuleDict(discriminators or {})
        self.derive, self.size, self.instances = derive, size, instances
        self.labels = [list(color) for color in labels]

    def to_domain(self, to: str) -> nn.Module:
        """The network that makes images of a domain.

        Raises:
            StyleLoomError: it has none.
        """
        domains = sorted(set(self.networks) - {CODES})
        if to not in domains:
            raise StyleLoomError(f"this model makes {' and '.join(domains)}, not {to!r}; choose one of these")
        return self.networks[to]

    @property
    def stochastic(self) -> bool:
        """Whether it makes several images of one: it has dropout, or codes that may be drawn."""
        return self.draws_codes or any(isinstance(module, Dropout) for module in self.networks.modules())

    @property
    def draws_codes(self) -> bool:
        """Whether instances' codes may be drawn, where there is no image to read them off."""
        return CODES in self.networks and len(self.networks[CODES].usual) > 0  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:
        """A to B: [N, C, H, W] in [-1, 1] -> the same range."""
        translated: Tensor = self.to_domain("B")(image)
        return translated


def translator_config(model: Translator, config_of: Callable[[nn.Module], dict[str, Any]] = generator_config) -> dict[str, Any]:
    """Plain values from which :func:`load_translator` makes the model again."""
    return dict(
        networks={name: config_of(network) for name, network in model.networks.items()},
        discriminators={name: dict(network.config) for name, network in model.discriminators.items()},  # type: ignore[arg-type]
        derive=model.derive,
        labels=model.labels,
        size=model.size,
        instances=model.instances,
    )


def save_translator(
    model: Translator,
    path: Path,
    kind: str,
    license: str = "unknown",
    config_of: Callable[[nn.Module], dict[str, Any]] = generator_config,
) -> None:
    """Write a model file; ``license``: what it may be used for, noted in it."""
    config = translator_config(model, config_of)
    tensors = {name: value.half() if value.ndim == 4 else value for name, value in model.state_dict().items()}
    checkpoint.save_model(path, tensors, kind=kind, config=config, license=license)


def load_translator(
    name: str | Path, kind: str, made: Made = made_generator, made_discriminator: Made = lambda config: PatchGAN(**config)
) -> Translator:
    """A model from a name in the zoo, a path or ``hf://owner/repo/file``, in fp32 and frozen.

    Raises:
        StyleLoomError: no such model, one of another kind, or a damaged one.
    """

    def make(config: dict[str, Any]) -> Translator:
        return Translator(
            {to: made(each) for to, each in config["networks"].items()},
            {to: made_discriminator(each) for to, each in config.get("discriminators", {}).items()},
            derive=OLD_DERIVATIONS.get(config["derive"], config["derive"]),
            labels=config["labels"],
            size=config["size"],
            instances=config.get("instances", False),
        )

    return checkpoint.rebuilt(name, kind, make).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
