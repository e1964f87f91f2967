"""Sources of a perceptual network's weights: the zoo, the Hugging Face hub, torchvision's or AdaIN's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styleloom.core.checkpoint import Translate, model_config, read_tensors, rebuilding, resolve
from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.core.pth import read_state_dict

from .vgg import POOLINGS, VGG16_CONVS, VGG19_CONVS, VGG_WIDTHS, Features

HUB = {
    "vgg16": "hf://timm/vgg16.tv_in1k/model.safetensors",
    "vgg19": "hf://timm/vgg19.tv_in1k/model.safetensors",
}
EMBEDDED = "vgg19-lite"


def load_features(source: str | Path = EMBEDDED, *, pooling: str = "max") -> Features:
    """A frozen perceptual network, ready to be read at named layers.

    Args:
        source: ``"vgg19-lite"`` (shipped), ``"vgg19"`` or ``"vgg16"`` (fetched from the Hugging Face hub once), or a
            path: StyleLoom's or timm's ``.safetensors``, torchvision's ``vgg19-dcbb9e9d.pth`` or ``vgg16-397923af.pth``,
            or the Oxford-normalized file of the AdaIN implementations (``vgg_normalised.pth``, ``.safetensors``).
        pooling: ``"max"`` or ``"average"``.

    Returns:
        The network, in fp32, without gradients for its weights.

    Raises:
        StyleLoomError: no such source, a file in none of these layouts, or an unknown pooling.
    """
    path = Path(source)
    if path.suffix in (".pth", ".pt"):
        network = _from_tensors(read_state_dict(path), path, pooling)
    else:
        path = resolve(HUB.get(str(source), source))
        tensors, metadata = read_tensors(path)
        if "kind" in metadata:
            config = model_config(path, metadata, "features")
            check_choice("pooling", pooling, POOLINGS)
            with rebuilding(path):
                network = Features(**config, pooling=pooling)
                network.load_state_dict(tensors)
        else:
            network = _from_tensors(tensors, path, pooling)
    return network.requires_grad_(False).eval()


def with_encoder(prefix: str) -> Translate:
    """For :func:`~styleloom.core.checkpoint.rebuilt`: adds the features that a model's file names (``source``) and leaves out.

    Args:
        prefix: prefix of their names in the model.
    """

    def translate(tensors: dict[str, Tensor], config: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
        own = load_features(config["source"]).state_dict() if config["source"] else {}
        return tensors | {f"{prefix}{name}": value for name, value in own.items()}, config

    return translate


def _from_tensors(tensors: dict[str, Tensor], path: Path, pooling: str) -> Features:
    if "features.0.weight" in tensors:
        return _from_torchvision(tensors, path, pooling)
    if "0.weight" in tensors and tensors["0.weight"].shape == (3, 3, 1, 1):
        return _from_oxford(tensors, pooling)
    raise StyleLoomError(
        f"{path} is no VGG-16 or VGG-19 of torchvision, timm or AdaIN: its first tensor is {next(iter(tensors), None)!r}"
    )


def _from_torchvision(tensors: dict[str, Tensor], path: Path, pooling: str) -> Features:
    for convs in (VGG16_CONVS, VGG19_CONVS):
        keys = _sequential_keys(convs, conv=2)
        if {key for key in tensors if key.startswith("features.") and key.endswith(".weight")} == {
            f"features.{k}.weight" for k in keys
        }:
            network = Features(convs=convs, widths=VGG_WIDTHS, pooling=pooling)
            fill(network, tensors, [f"features.{key}" for key in keys])
            return network
    raise StyleLoomError(f"{path} is neither VGG-16 nor VGG-19 (without batch normalization)")


def _from_oxford(tensors: dict[str, Tensor], pooling: str) -> Features:
    # A 1x1 convolution, then padding, convolution and ReLU by turns: three modules each, and one a pooling.
    keys = [key for key in _sequential_keys(VGG19_CONVS, conv=3, first=2) if f"{key}.weight" in tensors]
    convs, left = [], len(keys)
    for count in VGG19_CONVS:
        convs.append(min(count, left))
        left -= convs[-1]
    convs = [count for count in convs if count]
    widths = VGG_WIDTHS[: len(convs)]
    network = Features(convs=convs, widths=widths, pooling=pooling, padding="reflect", mean=(0, 0, 0), std=(1, 1, 1))
    fill(network, tensors, [str(key) for key in keys], preprocessing="0")
    return network


def _sequential_keys(convs: tuple[int, ...], conv: int, first: int = 0) -> list[int]:
    """Indices of the convolutions in an ``nn.Sequential`` in which each takes ``conv`` modules and each pooling one."""
    keys, place = [], first
    for count in convs:
        keys += [place + conv * index for index in range(count)]
        place += conv * count + 1
    return keys


def fill(network: Features, tensors: dict[str, Tensor], names: list[str], preprocessing: str | None = None) -> None:
    """Copy named convolutions into a network, in order.

    ``preprocessing`` names a 1x1 convolution of the image, which is folded into the first 3x3 one: conv(A x + b) is
    (conv A) x + conv b, exact under reflection padding.
    """
    for index, (conv, name) in enumerate(zip(network.convs.values(), names, strict=True)):
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        if index == 0 and preprocessing is not None:
            bias = bias + torch.einsum("oihw,i->o", weight, tensors[f"{preprocessing}.bias"])
            weight = torch.einsum("oihw,ij->ojhw", weight, tensors[f"{preprocessing}.weight"].flatten(1))
        conv.load_state_dict({"weight": weight, "bias": bias})
