"""Style networks of other projects -> tensors and config of ours; each is told by the names of its tensors.

pytorch/examples (``fast_neural_style``) and rrmina's networks become Johnson models, naoto0804's decoder with its
``vgg_normalised.pth`` an AdaIN model. Differences of range (0 to 255) and of channel order (BGR) are folded into the
first and the last convolution.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.pth import read_state_dict
from styleloom.nn.vgg import VGG_WIDTHS, Features
from styleloom.nn.vgg_files import load_features

Converted = tuple[str, dict[str, Tensor], dict[str, Any]]
"""Kind, tensors and config of a model file."""

NAOTO_DECODER = (1, 5, 8, 11, 14, 18, 21, 25, 28)
RES = range(1, 6)
EXAMPLES_CONVS = (
    *(f"conv{i}.conv2d" for i in (1, 2, 3)),
    *(f"res{i}.conv{j}.conv2d" for i in RES for j in (1, 2)),
    *(f"deconv{i}.conv2d" for i in (1, 2, 3)),
)
EXAMPLES_NORMS = (*(f"in{i}" for i in (1, 2, 3)), *(f"res{i}.in{j}" for i in RES for j in (1, 2)), "in4", "in5")
RRMINA_CONVS = (
    *(f"ConvBlock.{i}.conv_layer" for i in (0, 2, 4)),
    *(f"ResidualBlock.{i}.conv{j}.conv_layer" for i in range(5) for j in (1, 2)),
    *(f"DeconvBlock.{i}.conv_transpose" for i in (0, 2)),
    "DeconvBlock.4.conv_layer",
)
RRMINA_NORMS = (
    *(f"ConvBlock.{i}.norm_layer" for i in (0, 2, 4)),
    *(f"ResidualBlock.{i}.conv{j}.norm_layer" for i in range(5) for j in (1, 2)),
    *(f"DeconvBlock.{i}.norm_layer" for i in (0, 2)),
)


def convert_style(path: Path, encoder: Path | None = None) -> Converted:
    """Read a style network of another project.

    Args:
        path: a ``.pth`` of pytorch/examples, of rrmina, or naoto0804's ``decoder.pth``.
        encoder: naoto0804's ``vgg_normalised.pth``, for its decoder.

    Raises:
        StyleLoomError: another kind of file, tensors that are missing or left over, or a decoder without its encoder.
    """
    tensors = {name: value.float() for name, value in read_state_dict(path).items()}
    if "conv1.conv2d.weight" in tensors:
        # Statistics that old versions of torch saved and never used.
        tensors = {name: value for name, value in tensors.items() if ".running_" not in name and not name.endswith("_tracked")}
        return _transform_net(path, tensors, EXAMPLES_CONVS, EXAMPLES_NORMS, upsample="nearest", bgr=False)
    if "ConvBlock.0.conv_layer.weight" in tensors:
        return _transform_net(path, tensors, RRMINA_CONVS, RRMINA_NORMS, upsample="transpose", bgr=True)
    if set(tensors) == {f"{key}.{part}" for key in NAOTO_DECODER for part in ("weight", "bias")}:
        if encoder is None:
            raise StyleLoomError(f"{path} is an AdaIN decoder; give its vgg_normalised.pth too (`encoder`)")
        return _adain(tensors, encoder)
    if "0.weight" in tensors or "features.0.weight" in tensors:
        raise StyleLoomError(f"{path} is a VGG, not a style network; give it as `features`, or as `encoder` of its decoder")
    raise StyleLoomError(
        f"{path} is no style network of pytorch/examples, rrmina or naoto0804: its first tensor is {next(iter(tensors), None)!r}"
    )


def _transform_net(
    path: Path, tensors: dict[str, Tensor], convs: tuple[str, ...], norms: tuple[str, ...], *, upsample: str, bgr: bool
) -> Converted:
    expected = {f"{name}.{part}" for name in (*convs, *norms) for part in ("weight", "bias")}
    if expected != set(tensors):
        missing, left = sorted(expected - set(tensors)), sorted(set(tensors) - expected)
        raise StyleLoomError(f"{path} is not whole: missing {missing[:3] or 'nothing'}, left over {left[:3] or 'nothing'}")
    layers = [*(f"down.{i}" for i in range(3)), *(f"residual.{i}" for i in range(10)), "up.0", "up.1", "last"]
    converted = {}
    for layer, name in zip(layers, convs, strict=True):
        converted[f"{layer}.weight"], converted[f"{layer}.bias"] = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
    if bgr:
        converted["down.0.weight"] = converted["down.0.weight"].flip(1)
        converted["last.weight"], converted["last.bias"] = converted["last.weight"].flip(0), converted["last.bias"].flip(0)
    converted["down.0.weight"] = converted["down.0.weight"] * 255
    converted["last.weight"], converted["last.bias"] = converted["last.weight"] / 255, converted["last.bias"] / 255
    for index, name in enumerate(norms):
        converted[f"scales.{index}"], converted[f"shifts.{index}"] = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
    config = dict(width=len(converted["down.0.weight"]), upsample=upsample)
    return "johnson", converted, config


def _adain(tensors: dict[str, Tensor], encoder: Path) -> Converted:
    whole = load_features(encoder)
    trimmed = Features(
        convs=(2, 2, 4, 1),
        widths=VGG_WIDTHS[:4],
        padding="reflect",
        mean=whole.config["mean"],  # type: ignore[arg-type]
        std=whole.config["std"],  # type: ignore[arg-type]
    )
    if whole.padding != "reflect" or "4_1" not in whole.convs:
        raise StyleLoomError(f"{encoder} is not AdaIN's vgg_normalised.pth, which has relu4_1 and normalized activations")
    trimmed.load_state_dict({name: value for name, value in whole.state_dict().items() if name in trimmed.state_dict()})
    converted = {f"encoder.{name}": value for name, value in trimmed.state_dict().items()}
    for index, key in enumerate(NAOTO_DECODER):
        converted |= {f"decoder.{index}.{part}": tensors[f"{key}.{part}"] for part in ("weight", "bias")}
    return "adain", converted, dict(source=None, encoder=trimmed.config)
