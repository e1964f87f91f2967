"""ProGAN, StyleGAN and StyleGAN2 from NVIDIA's pickles of TensorFlow, told apart by the names of their variables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.pickles import Object, check_amount
from styleloom.nn import generators
from styleloom.nn.equalized import GAIN
from styleloom.nn.resample import TAPS, fir

from .nvidia import Converted, discriminator_channels

ALLOWED: dict[tuple[str, str], type] = {
    ("tfutil", "Network"): Object,
    ("dnnlib.tflib.network", "Network"): Object,
    ("dnnlib.submission.submit", "SubmitTarget"): Object,
}
Variables = dict[str, np.ndarray[Any, Any]]


def is_network(given: Any) -> bool:
    """Whether an object of a pickle is a network of TensorFlow."""
    return isinstance(given, Object) and "variables" in given.state and "static_kwargs" in given.state


def convert_tensorflow(discriminator: Object | None, generator: Object, path: Path) -> Converted:
    """A generator, the averaged one, and a discriminator.

    Args:
        discriminator, generator: the second and the third of the networks in a pickle.
        path: where they were read, for messages.

    Raises:
        StyleLoomError: networks of another architecture, or with parts that ours have not.
    """
    variables = _variables(generator)
    if any(name.endswith("mod_weight") for name in variables):
        kind, make, make_discriminator = "stylegan2", _stylegan2, _stylegan2_discriminator
    elif "dlatent_avg" in variables:
        kind, make, make_discriminator = "stylegan", _stylegan, _discriminator
    elif "4x4/Dense/weight" in variables:
        kind, make, make_discriminator = "progan", _progan, _discriminator
    else:
        raise StyleLoomError(f"{path} holds a network of TensorFlow that is none of ProGAN, StyleGAN and StyleGAN2")
    tensors: dict[str, Tensor] = {}
    config: dict[str, Any] = {"G": None, "D": None}
    for key, stub, convert in (("G", generator, make), ("D", discriminator, make_discriminator)):
        if stub is None:
            continue
        plain = stub.state["static_kwargs"]
        activation = plain.get("nonlinearity", "lrelu")
        if activation != "lrelu" or not plain.get("use_leakyrelu", True):
            raise StyleLoomError(f"{path} has the activation {activation!r}; only networks with leaky ReLUs are read")
        try:
            numbers = _variables(stub)
            check_amount(numbers.values(), path)
            converted, config[key] = convert(numbers, plain, kind)
        except KeyError as error:
            raise StyleLoomError(f"{path} is not whole: its {key} has no variable {error}") from error
        tensors |= {f"{key}.{name}": value for name, value in converted.items()}
    return kind, tensors, config


def _variables(stub: Object) -> Variables:
    """A network's numbers by name, those of its components after the components' names."""
    parts = {"": stub} | {f"{part}/": component for part, component in stub.state.get("components", {}).items()}
    return {
        f"{part}{name}": np.asarray(getattr(value, "array", value))
        for part, network in parts.items()
        for name, value in network.state["variables"]
    }


def _plain(value: Any) -> Tensor:
    return torch.from_numpy(np.array(value, dtype=np.float32))


class _Reader:
    """Takes variables out as the tensors of our layers, whose weights are scaled when they are used."""

    def __init__(self, variables: Variables, scaled: bool) -> None:
        self.variables, self.scaled = variables, scaled
        self.converted: dict[str, Tensor] = {}

    def bias(self, theirs: str, ours: str) -> None:
        """A vector, or a number."""
        self.converted[ours] = _plain(self.variables[theirs])

    def dense(self, theirs: str, ours: str, gain: float = 1.0, lr: float = 1.0, bias: bool = True) -> None:
        """[in, out] -> [out, in]."""
        weight = _plain(self.variables[f"{theirs}/weight"]).T.contiguous()
        self.converted[f"{ours}.weight"] = weight if self.scaled else weight * math.sqrt(weight.shape[1]) / gain
        if bias:
            self.bias(f"{theirs}/bias", f"{ours}.bias")

    def conv(self, theirs: str, ours: str, gain: float = 1.0, *, swapped: bool = False, flip: bool = False) -> None:
        """[k, k, in, out], or out before in where ``swapped``, -> [out, in, k, k]."""
        weight = _plain(self.variables[theirs]).permute(*((2, 3) if swapped else (3, 2)), 0, 1)
        weight = (weight.flip(2, 3) if flip else weight).contiguous()
        self.converted[ours] = weight if self.scaled else weight * math.sqrt(weight[0].numel()) / gain


def _level(sides: list[int], lod: float) -> tuple[list[int], float]:
    """The resolutions that a network has learned so far, and what remains of its level of detail."""
    return sides[: len(sides) - math.floor(lod)], lod - math.floor(lod)


def _progan(variables: Variables, plain: Mapping[str, Any], kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    whole = generators.resolutions(plain["resolution"])
    sides, lod = _level(whole, float(variables["lod"]))
    read = _Reader(variables, plain.get("use_wscale", True))
    read.dense("4x4/Dense", "synthesis.dense", GAIN / 4, bias=False)
    read.bias("4x4/Dense/bias", "synthesis.bias")
    for side in sides:
        fused = f"{side}x{side}/Conv0_up/weight" in variables
        layers = {"Conv": "conv1"} if side == 4 else {"Conv0_up" if fused else "Conv0": "conv0", "Conv1": "conv1"}
        for theirs, ours in layers.items():
            index, up = f"synthesis.b{side}.{ours}", theirs == "Conv0_up"
            read.conv(f"{side}x{side}/{theirs}/weight", f"{index}.weight", GAIN, swapped=up, flip=up)
            read.bias(f"{side}x{side}/{theirs}/bias", f"{index}.bias")
        width = read.converted[f"synthesis.b{side}.conv1.bias"].shape[0]
        _to_rgb(read, side, whole[-1], width, plain.get("num_channels", 1))
    classes = plain.get("label_size", 0)
    z_dim = read.converted["synthesis.dense.weight"].shape[1] - classes
    read.converted["mapping.w_avg"] = torch.zeros(z_dim + classes)
    widths = {side: read.converted[f"synthesis.b{side}.conv1.weight"].shape[0] for side in sides}
    synthesis = dict(pixel_norm=plain.get("use_pixelnorm", True), lod=lod, **generators.channel_options(widths))
    mapping = dict(normalize_latents=plain.get("normalize_latents", True))
    return read.converted, dict(
        z_dim=z_dim,
        c_dim=classes,
        img_resolution=sides[-1],
        img_channels=plain.get("num_channels", 1),
        mapping_kwargs=mapping,
        synthesis_kwargs=synthesis,
    )


def _to_rgb(read: _Reader, side: int, whole: int, width: int, colors: int) -> None:
    """The layer that makes an image at a resolution; networks that never grew have one only, and the others are of no use."""
    theirs, ours = f"ToRGB_lod{round(math.log2(whole // side))}", f"synthesis.b{side}.torgb"
    theirs = next((prefix + theirs for prefix in ("", "synthesis/") if f"{prefix}{theirs}/weight" in read.variables), "")
    if theirs:
        read.conv(f"{theirs}/weight", f"{ours}.weight")
        read.bias(f"{theirs}/bias", f"{ours}.bias")
    else:
        read.converted |= {f"{ours}.weight": torch.zeros(colors, width, 1, 1), f"{ours}.bias": torch.zeros(colors)}


def _stylegan(variables: Variables, plain: Mapping[str, Any], kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    whole = generators.resolutions(plain["resolution"])
    sides, lod = _level(whole, float(variables.get("lod", np.zeros(()))))
    scaled, fused = plain.get("use_wscale", True), plain.get("fused_scale", "auto")
    read = _Reader(variables, scaled)
    # The mapping network.
    rate, layers = plain.get("mapping_lrmul", 0.01), plain.get("mapping_layers", 8)
    for index in range(layers):
        read.dense(f"mapping/Dense{index}", f"mapping.fc{index}", GAIN, rate)
    read.bias("dlatent_avg", "mapping.w_avg")
    classes = plain.get("label_size", 0)
    if classes:
        read.bias("mapping/LabelConcat/weight", "mapping.embed")
    # Convolutions, noise and styles, by resolution.
    const = "synthesis/4x4/Const/const" in variables
    for side in sides:
        prefix = f"synthesis/{side}x{side}"
        names = ("Const" if const else "Dense", "Conv") if side == 4 else ("Conv0_up", "Conv1")
        for index, theirs in enumerate(names):
            place = f"synthesis.b{side}.conv{index}"
            if theirs == "Const":
                read.converted[f"{place}.const"] = _plain(variables[f"{prefix}/Const/const"])[0]
            elif theirs == "Dense":
                read.dense(f"{prefix}/Dense", f"{place}.dense", GAIN / 4, bias=False)
            else:
                flip = theirs == "Conv0_up" and (side >= 128 if fused == "auto" else bool(fused))
                read.conv(f"{prefix}/{theirs}/weight", f"{place}.conv.weight", GAIN, flip=flip)
            read.bias(f"{prefix}/{theirs}/bias", f"{place}.bias")
            if f"{prefix}/{theirs}/Noise/weight" in variables:
                read.bias(f"{prefix}/{theirs}/Noise/weight", f"{place}.noise_strength")
                number = 2 * round(math.log2(side)) - 4 + index
                read.converted[f"{place}.noise_const"] = _plain(variables[f"synthesis/noise{number}"])[0, 0]
            if f"{prefix}/{theirs}/StyleMod/weight" in variables:
                read.dense(f"{prefix}/{theirs}/StyleMod", f"{place}.affine")
        width = read.converted[f"synthesis.b{side}.conv1.bias"].shape[0]
        _to_rgb(read, side, whole[-1], width, plain.get("num_channels", 3))
    # Sizes, as our generator takes them.
    widths = {side: read.converted[f"synthesis.b{side}.conv1.conv.weight"].shape[0] for side in sides}
    synthesis = dict(
        filter=list(plain.get("blur_filter", (1, 2, 1)) or ()),
        use_styles="synthesis.b4.conv1.affine.weight" in read.converted,
        const_input=const,
        use_noise="synthesis.b4.conv1.noise_strength" in read.converted,
        pixel_norm=plain.get("use_pixel_norm", False),
        instance_norm=plain.get("use_instance_norm", True),
        lod=lod,
        **generators.channel_options(widths),
    )
    mapping: dict[str, Any] = dict(num_layers=layers, lr_multiplier=rate, normalize_latents=plain.get("normalize_latents", True))
    if layers > 1:
        mapping["layer_features"] = read.converted["mapping.fc0.weight"].shape[0]
    return read.converted, dict(
        z_dim=plain.get("latent_size", 512),
        c_dim=classes,
        w_dim=read.converted["mapping.w_avg"].shape[0],
        img_resolution=sides[-1],
        img_channels=plain.get("num_channels", 3),
        mapping_kwargs=mapping,
        synthesis_kwargs=synthesis,
    )


def _discriminator(variables: Variables, plain: Mapping[str, Any], kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """ProGAN's and StyleGAN's."""
    whole = generators.resolutions(plain["resolution"])
    sides, lod = _level(whole, float(variables.get("lod", np.zeros(()))))
    read = _Reader(variables, plain.get("use_wscale", True))
    group = plain.get("mbstd_group_size", 4)
    extra = plain.get("mbstd_num_features", 1) if group > 1 else 0
    for side in sides:
        theirs = f"FromRGB_lod{round(math.log2(whole[-1] // side))}"
        if f"{theirs}/weight" in variables:
            read.conv(f"{theirs}/weight", f"b{side}.fromrgb.weight", GAIN)
            read.bias(f"{theirs}/bias", f"b{side}.fromrgb.bias")
        else:  # as with layers to RGB
            width = variables[f"{side}x{side}/{'Conv0' if side > 4 else 'Conv'}/weight"].shape[2]
            width -= 0 if side > 4 else extra
            size = (width, plain.get("num_channels", 1), 1, 1)
            read.converted |= {f"b{side}.fromrgb.weight": torch.zeros(size), f"b{side}.fromrgb.bias": torch.zeros(width)}
        down = "Conv1_down" if f"{side}x{side}/Conv1_down/weight" in variables else "Conv1"
        for name, ours in {"Conv": "conv"}.items() if side == 4 else {"Conv0": "conv0", down: "conv1"}.items():
            read.conv(f"{side}x{side}/{name}/weight", f"b{side}.{ours}.weight", GAIN)
            read.bias(f"{side}x{side}/{name}/bias", f"b{side}.{ours}.bias")
    read.dense("4x4/Dense0", "b4.fc", GAIN)
    read.dense("4x4/Dense1", "b4.out")
    return read.converted, dict(
        c_dim=plain.get("label_size", 0),
        img_resolution=sides[-1],
        img_channels=plain.get("num_channels", 1),
        mbstd_group_size=group if group > 1 else 0,
        mbstd_num_channels=extra,
        filter=[] if kind == "progan" else list(plain.get("blur_filter", (1, 2, 1)) or ()),
        classes="scores" if kind == "progan" else "product",
        pool_last=kind == "progan" and "8x8/Conv1/weight" in variables,
        lod=lod,
        **discriminator_channels(read.converted, sides),
    )


_G_LAYERS = {"Conv": "conv1", "Conv0_up": "conv0", "Conv1": "conv1", "ToRGB": "torgb", "Skip": "skip"}
_D_LAYERS = {"FromRGB": "fromrgb", "Conv0": "conv0", "Conv1_down": "conv1", "Skip": "skip", "Conv": "conv", "Dense0": "fc"}


def _stylegan2(variables: Variables, plain: Mapping[str, Any], kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    read = _Reader(variables, True)
    side, classes, rate = plain["resolution"], plain.get("label_size", 0), plain.get("mapping_lrmul", 0.01)
    # The mapping network.
    layers = sum(name.startswith("mapping/Dense") and name.endswith("/weight") for name in variables)
    mapping: dict[str, Any] = dict(num_layers=layers, lr_multiplier=rate, w_avg_beta=plain.get("w_avg_beta", 0.995))
    for index in range(layers):
        read.dense(f"mapping/Dense{index}", f"mapping.fc{index}")
    read.bias("dlatent_avg", "mapping.w_avg")
    if classes and "mapping/LabelConcat/weight" in variables:  # the first release: no bias, no gain, one norm for both
        weight = _plain(variables["mapping/LabelConcat/weight"]).T.contiguous()
        read.converted["mapping.embed.weight"] = weight * math.sqrt(classes)
        read.converted["mapping.embed.bias"] = torch.zeros(weight.shape[0])
        mapping["joint"] = True
    elif classes:
        read.dense("mapping/LabelEmbed", "mapping.embed")
    if classes:
        mapping["embed_features"] = read.converted["mapping.embed.weight"].shape[0]
    if layers > 1:
        mapping["layer_features"] = read.converted["mapping.fc0.weight"].shape[0]
    # Convolutions, noise and images, by resolution.
    read.converted["synthesis.b4.const"] = _plain(variables["synthesis/4x4/Const/const"])[0]
    grown = "synthesis/ToRGB_lod0/weight" in variables
    for r in generators.resolutions(side):
        for theirs, ours in _G_LAYERS.items():
            prefix, place = f"synthesis/{r}x{r}/{theirs}", f"synthesis.b{r}.{ours}"
            if grown and theirs == "ToRGB" and r == side:  # those of lower resolutions no longer count
                prefix = "synthesis/ToRGB_lod0"
            if f"{prefix}/weight" not in variables:
                continue
            read.conv(f"{prefix}/weight", f"{place}.weight", flip=theirs in ("Conv0_up", "Skip"))
            if theirs == "Skip":
                continue
            read.bias(f"{prefix}/bias", f"{place}.bias")
            read.converted[f"{place}.affine.weight"] = _plain(variables[f"{prefix}/mod_weight"]).T.contiguous()
            read.converted[f"{place}.affine.bias"] = _plain(variables[f"{prefix}/mod_bias"]) + 1
            if f"{prefix}/noise_strength" in variables:
                read.bias(f"{prefix}/noise_strength", f"{place}.noise_strength")
                number = 2 * round(math.log2(r)) - (5 if ours == "conv0" else 4)
                read.converted[f"{place}.noise_const"] = _plain(variables[f"synthesis/noise{number}"])[0, 0]
    # Sizes, as our generator takes them.
    widths = {r: read.converted[f"synthesis.b{r}.conv1.weight"].shape[0] for r in generators.resolutions(side)}
    filter = list(plain.get("resample_kernel", (1, 3, 3, 1)))
    synthesis = dict(
        architecture="orig" if grown else plain.get("architecture", "skip"),
        conv_clamp=plain.get("conv_clamp"),
        resample_filter=filter,
        use_noise="synthesis.b4.conv1.noise_strength" in read.converted,
        **generators.channel_options(widths),
    )
    return _with_filters(read.converted, filter), dict(
        z_dim=plain.get("latent_size", 512),
        c_dim=classes,
        w_dim=read.converted["mapping.w_avg"].shape[0],
        img_resolution=side,
        img_channels=plain.get("num_channels", 3),
        mapping_kwargs=mapping,
        synthesis_kwargs=synthesis,
    )


def _stylegan2_discriminator(
    variables: Variables, plain: Mapping[str, Any], kind: str
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    read = _Reader(variables, True)
    side, classes = plain["resolution"], plain.get("label_size", 0)
    # Convolutions, by resolution.
    grown = "FromRGB_lod0/weight" in variables
    for r in generators.resolutions(side):
        for theirs, ours in _D_LAYERS.items():
            prefix, place = f"{r}x{r}/{theirs}", f"b{r}.{ours}"
            if grown and theirs == "FromRGB" and r == side:
                prefix = "FromRGB_lod0"
            if f"{prefix}/weight" not in variables:
                continue
            if theirs == "Dense0":
                read.dense(prefix, place)
                continue
            read.conv(f"{prefix}/weight", f"{place}.weight")
            if theirs != "Skip":
                read.bias(f"{prefix}/bias", f"{place}.bias")
    read.dense("4x4/Dense1" if "4x4/Dense1/weight" in variables else "Output", "b4.out")
    # Classes: a mapping network, or a logit for each.
    mapping: dict[str, Any] = {}
    cmap_dim = None
    if classes and "LabelEmbed/weight" in variables:
        read.dense("LabelEmbed", "mapping.embed")
        layers = sum(name.startswith("Mapping") and name.endswith("/weight") for name in variables)
        for index in range(layers):
            read.dense(f"Mapping{index}", f"mapping.fc{index}")
        embedded = read.converted["mapping.embed.weight"].shape[0]
        mapping = dict(num_layers=layers, embed_features=embedded, lr_multiplier=plain.get("mapping_lrmul", 0.1))
        mapping |= dict(layer_features=read.converted["mapping.fc0.weight"].shape[0]) if layers > 1 else {}
        cmap_dim = read.converted["b4.out.weight"].shape[0]
    elif classes:  # the first release: a logit for each class, which a mapping that keeps them as they are picks out
        read.converted["mapping.embed.weight"] = torch.eye(classes) * math.sqrt(classes)
        read.converted["mapping.embed.bias"] = torch.zeros(classes)
        mapping, cmap_dim = dict(num_layers=0, embed_features=classes), classes
    # Sizes, as our discriminator takes them.
    filter = list(plain.get("resample_kernel", (1, 3, 3, 1)))
    group, features = plain.get("mbstd_group_size", 4), plain.get("mbstd_num_features", 1)
    return _with_filters(read.converted, filter), dict(
        c_dim=classes,
        img_resolution=side,
        img_channels=plain.get("num_channels", 3),
        architecture="orig" if grown else plain.get("architecture", "resnet"),
        conv_clamp=plain.get("conv_clamp"),
        resample_filter=filter,
        cmap_dim=cmap_dim,
        mapping_kwargs=mapping,
        epilogue_kwargs=dict(mbstd_group_size=group, mbstd_num_channels=0 if group is not None and group <= 1 else features),
        **discriminator_channels(read.converted, generators.resolutions(side)),
    )


def _with_filters(converted: dict[str, Tensor], filter: list[float]) -> dict[str, Tensor]:
    """With the low-pass filters that NVIDIA's networks hold in each block and layer, used or not, but those to RGB."""
    changing = ("conv0", "skip") if "synthesis.b4.const" in converted else ("conv1", "skip")
    kernels = {}
    for name, value in converted.items():
        block, _, layer = name.removesuffix(".weight").rpartition(".")
        if name.endswith(".weight") and value.ndim == 4 and layer != "torgb":
            kernels[f"{block}.{layer}"] = fir(filter if layer in changing else TAPS)
            kernels[block] = fir(filter)
    kernels.pop("b4", None)  # the discriminator's last block has none
    return converted | {f"{index}.resample_filter": kernel for index, kernel in kernels.items()}
