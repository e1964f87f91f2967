"""Models for other runtimes: ONNX files that take images of any size."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim

from styleloom.nn import transform_net
from styleloom.nn.generators import Generator

from .core.errors import StyleLoomError, check_choice
from .core.files import check_parent, replacing
from .nn.translation import BatchNorm
from .nn.translator import Translator
from .papers import adain, dumoulin, ghiasi, super_resolution

SMALLEST = 32  # pixels a side that an exported network takes


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says by the way."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)


class _Sampled(nn.Module):
    """A generator from latents to images in [0, 1], with the noise that it holds."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, z: Tensor, truncation_psi: Tensor, c: Tensor | None = None) -> Tensor:
        """[N, z_dim], a number, and [N, c_dim] where there are classes -> [N, 3, H, W]."""
        ws = self.generator.mapping(z, c)
        ws = torch.lerp(self.generator.w_avg.expand_as(ws), ws, truncation_psi)
        image: Tensor = self.generator.synthesis(ws, noise_mode="const")
        return image.add(1).div(2)


class _Clipped(nn.Module):
    """A network whose images are clipped to [0, 1]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor:
        """As the network's own."""
        return self.network(*inputs).clamp(0, 1)


class _Translated(nn.Module):
    """A translator's network on images [N, C, H, W] in [0, 1] of any size, to the other domain's in [0, 1]."""

    def __init__(self, model: Translator, to: str, batch_statistics: bool) -> None:
        super().__init__()
        self.network: Any = model.to_domain(to)
        for module in self.network.modules():
            if isinstance(module, BatchNorm):
                module.own_statistics = batch_statistics

    def forward(self, image: Tensor) -> Tensor:
        """As the network's own; borders are repeated up to a size that it takes, and cut off again."""
        height, width = image.shape[-2:]
        multiple = self.network.multiple
        below, right = ((multiple - side % multiple) % multiple for side in (height, width))  # -side % 8 is no ONNX
        x = F.pad(image * 2 - 1, (0, right, 0, below), mode="replicate")
        translated: Tensor = self.network(x)
        return translated[:, :, :height, :width].add(1).div(2)


def _sides(name: str) -> dict[int, Any]:
    return {2: Dim(f"{name}_height", min=SMALLEST, max=16384), 3: Dim(f"{name}_width", min=SMALLEST, max=16384)}


def _image(height: int = 68, width: int = 84) -> Tensor:
    return torch.rand(2, 3, height, width)  # two: a batch of one would be taken for a constant


def _of_image(network: nn.Module) -> dict[str, tuple[Tensor, dict[int, Any]]]:
    return {"image": (_image(), {0: Dim("batch")} | _sides("image"))}


def _of_channels(network: _Translated) -> dict[str, tuple[Tensor, dict[int, Any]]]:
    return {"image": (torch.rand(2, network.network.in_channels, 68, 84), {0: Dim("batch")} | _sides("image"))}


def _of_image_and_shares(network: dumoulin.StyleNet) -> dict[str, tuple[Tensor, dict[int, Any]]]:
    batch, styles = Dim("batch"), len(network.styles)
    return {
        "image": (_image(), {0: batch} | _sides("image")),
        "shares": (torch.full((2, styles), 1 / styles), {0: batch}),
    }


def _of_content_and_style(network: nn.Module) -> dict[str, tuple[Tensor, dict[int, Any]]]:
    batch = Dim("batch")
    return {
        "content": (_image(), {0: batch} | _sides("content")),
        "style": (_image(72, 88), {0: batch} | _sides("style")),
        "alpha": (torch.tensor(0.8), {}),
    }


def _of_content_style_and_weight(network: ghiasi.AnyStyle) -> dict[str, tuple[Tensor, dict[int, Any]]]:
    inputs = _of_content_and_style(network)
    del inputs["alpha"]
    return inputs | {"style_weight": (torch.tensor(1.5), {})}


def _of_latents(network: _Sampled) -> dict[str, tuple[Tensor, dict[int, Any]]]:
    generator, batch = network.generator, Dim("batch")
    inputs: dict[str, tuple[Tensor, dict[int, Any]]] = {
        "z": (torch.randn(2, generator.z_dim), {0: batch}),
        "truncation_psi": (torch.tensor(0.7), {}),
    }
    if generator.c_dim:
        inputs["c"] = (torch.eye(generator.c_dim)[:1].repeat(2, 1), {0: batch})
    return inputs


EXPORTS: dict[type[nn.Module], Callable[[Any], dict[str, tuple[Tensor, dict[int, Any]]]]] = {
    transform_net.TransformNet: _of_image,
    dumoulin.StyleNet: _of_image_and_shares,
    ghiasi.AnyStyle: _of_content_style_and_weight,
    adain.AdaIN: _of_content_and_style,
    super_resolution.Upscaler: _of_image,
    _Sampled: _of_latents,
    _Translated: _of_channels,
}
"""Inputs of each network: by name, an example and which of its sides may vary."""


def export(network: nn.Module, path: str | Path, *, to: str = "B", statistics: str = "saved") -> dict[str, list[Any]]:
    """Write a network as an ONNX file that takes batches and images of any size.

    Images go in and come out as [N, 3, H, W] in [0, 1], at least 32 pixels a side. A Dumoulin network also takes
    ``shares`` [N, styles] that sum to 1; AdaIN takes ``content``, ``style`` [N, 3, h, w] and ``alpha``, a number, Ghiasi
    ``style_weight`` instead. A generator takes ``z`` [N, z_dim], ``truncation_psi``, a number, and where it has classes ``c``
    [N, c_dim]; it gives images of its own size, with its constant noise. A translator takes images of its own number of
    channels.

    Args:
        network: a network from :func:`styleloom.load`.
        path: file to write, a .onnx.
        to: the domain that a translator makes, ``"B"`` or ``"A"``.
        statistics: ``"saved"``, or ``"batch"`` for each batch's own in a translator's batch norms.

    Returns:
        The inputs: ``{name: shape}``, with names in the place of sides that may vary.

    Raises:
        StyleLoomError: a network that is not exported, another suffix, or onnx is not installed.
    """
    path = Path(path)
    check_choice("statistics", statistics, ("saved", "batch"))
    if path.suffix.lower() != ".onnx":
        raise StyleLoomError(f"cannot write {path}: an ONNX file is called .onnx")
    check_parent(path)
    network = deepcopy(network)  # it is moved and changed
    if isinstance(network, Generator):
        network = _Sampled(network)
    if isinstance(network, Translator):
        network = _Translated(network, to, statistics == "batch")
    elif (to, statistics) != ("B", "saved"):
        raise StyleLoomError("to and statistics are for translators; leave them out")
    if type(network) not in EXPORTS:
        raise StyleLoomError(
            f"{type(network).__name__} is not exported; choose a generator, a translator, or a model of one-pass style or of "
            "super-resolution"
        )
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise StyleLoomError("ONNX export needs onnx and onnxscript: pip install 'styleloom[export]'") from error
    inputs = EXPORTS[type(network)](network)
    wrapped = _Clipped(network.cpu().float().eval())
    with replacing(path) as temporary, _quiet():
        torch.onnx.export(
            wrapped,
            tuple(example for example, _ in inputs.values()),
            temporary,
            input_names=list(inputs),
            output_names=["image" if isinstance(network, _Sampled) else "painted"],
            dynamic_shapes=(tuple(sides or None for _, sides in inputs.values()),),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    return {
        name: [str(sides[axis].__name__) if axis in sides else size for axis, size in enumerate(example.shape)]
        for name, (example, sides) in inputs.items()
    }
