"""Generators of rosinality's three repositories: progressive-gan-pytorch, style-based-gan-pytorch, stylegan2-pytorch.

What they compute otherwise than the papers' networks and what is a matter of scale only is folded into the weights; the
rest are options of ours, noted in the model's config. Their networks that grow have layers for all resolutions from the
start, so a file's name, ``train_step-5.model``, or the user says how far one was trained.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError, StyleLoomWarning
from styleloom.core.pth import plain_names
from styleloom.nn import generators
from styleloom.nn.equalized import GAIN
from styleloom.nn.resample import fir

from .nvidia import Converted, discriminator_channels, taps

State = Mapping[str, Tensor]
AVERAGED = ("g_ema", "g_running")  # names of the generator whose weights are a running mean


def convert_checkpoint(content: Mapping[str, Any], path: Path, resolution: int | None = None) -> Converted | None:
    """The averaged generator, and the discriminator, of a checkpoint; None where it is none of theirs.

    Args:
        content: what the file holds: networks by name, or the tensors of one.
        path: the file, whose name may say how far a growing network was trained.
        resolution: side that a growing network was trained to.

    Raises:
        StyleLoomError: tensors are missing, or a resolution that the network has not.
    """
    bare = _tensors(content)
    parts = {name: _tensors(value) for name, value in content.items() if isinstance(value, Mapping)}
    generator = next((parts[name] for name in AVERAGED if parts.get(name)), None)
    if generator is None and (raw := next((parts[name] for name in ("g", "generator") if parts.get(name)), None)):
        told = f"{path.name} has no averaged weights (g_ema), so those of the last step are taken; its images are worse"
        warnings.warn(told, StyleLoomWarning, stacklevel=2)
        generator = raw
    generator = generator or bare
    discriminator = next((parts[name] for name in ("d", "discriminator") if parts.get(name)), {})
    if "generator.progression.0.conv2.conv.weight_orig" in bare:
        generator = bare
    try:
        if "conv1.conv.modulation.weight" in generator:
            return _stylegan2(generator, discriminator, content)
        if "generator.progression.0.conv2.conv.weight_orig" in generator:
            return _stylegan(generator, discriminator, path, resolution)
        if "progression.0.conv.0.conv.weight_orig" in generator and "to_rgb.0.weight" in generator:
            return _progan(generator, path, resolution)
    except KeyError as error:
        raise StyleLoomError(f"{path} is not whole: no tensor {error}") from error
    if "progression.0.conv1.0.conv.weight_orig" in bare:
        raise StyleLoomError(f"{path} is a discriminator alone; wanted a file with the generator")
    return None


def _tensors(content: Mapping[str, Any]) -> dict[str, Tensor]:
    return {name: value.float() for name, value in plain_names(content).items() if isinstance(value, Tensor)}


def _count(state: State, pattern: str) -> int:
    """Count the numbers that the group of a pattern matches."""
    return len({match[1] for name in state if (match := re.match(pattern, name))})


# StyleGAN2: the paper's network under other names.


def _stylegan2(state: State, discriminator: State, content: Mapping[str, Any]) -> Converted:
    blocks = _count(state, r"to_rgbs\.(\d+)\.")
    sides = generators.resolutions(8 * 2 ** (blocks - 1)) if blocks else [4]
    converted = {"const": state["input.input"][0]}
    kernel = state.get("convs.0.conv.blur.kernel", fir())
    filter = fir(taps(kernel))
    # Convolutions, noise and images, by resolution.
    for place, side in enumerate(sides):
        names = {"conv1": "conv1"} if side == 4 else {f"convs.{2 * place - 2}": "conv0", f"convs.{2 * place - 1}": "conv1"}
        for theirs, ours in names.items():
            where = f"b{side}.{ours}"
            converted |= _modulated(state, theirs, where)
            converted[f"{where}.bias"] = state[f"{theirs}.activate.bias"]
            converted[f"{where}.noise_strength"] = state[f"{theirs}.noise.weight"][0]
            number = 0 if side == 4 else 2 * place - (1 if ours == "conv0" else 0)
            drawn = generators.latents([number], side * side).view(side, side)  # where a file has no noise
            converted[f"{where}.noise_const"] = state.get(f"noises.noise_{number}", drawn).reshape(side, side)
            converted[f"{where}.resample_filter"] = filter.clone() if ours == "conv0" else fir()
        theirs, where = "to_rgb1" if side == 4 else f"to_rgbs.{place - 1}", f"b{side}.torgb"
        converted |= _modulated(state, theirs, where) | {f"{where}.bias": state[f"{theirs}.bias"].flatten()}
        converted[f"b{side}.resample_filter"] = filter.clone()
    converted["b4.const"] = converted.pop("const")
    tensors = {f"G.synthesis.{name}": value for name, value in converted.items()}
    # The mapping network.
    layers = _count(state, r"style\.(\d+)\.weight")
    for index in range(layers):
        for part in ("weight", "bias"):
            tensors[f"G.mapping.fc{index}.{part}"] = state[f"style.{index + 1}.{part}"]
    if isinstance(content.get("latent_avg"), Tensor):
        tensors["G.mapping.w_avg"] = content["latent_avg"].float().flatten()
    # Sizes, as our generator takes them.
    w_dim = state["style.1.weight"].shape[0]
    widths = {side: converted[f"b{side}.conv1.weight"].shape[0] for side in sides}
    generator = dict(
        z_dim=state["style.1.weight"].shape[1],
        c_dim=0,
        w_dim=w_dim,
        img_resolution=sides[-1],
        img_channels=3,
        mapping_kwargs=dict(num_layers=layers),
        synthesis_kwargs=dict(resample_filter=taps(filter), **generators.channel_options(widths)),
    )
    config: dict[str, Any] = {"G": generator, "D": None}
    if isinstance(content.get("ada_aug_p"), float | int):
        config["augment_p"] = float(content["ada_aug_p"])
    if discriminator:
        converted, config["D"] = _stylegan2_discriminator(discriminator, sides)
        tensors |= {f"D.{name}": value for name, value in converted.items()}
    return "stylegan2", tensors, config


def _modulated(state: State, theirs: str, ours: str) -> dict[str, Tensor]:
    return {
        f"{ours}.weight": state[f"{theirs}.conv.weight"][0],
        f"{ours}.affine.weight": state[f"{theirs}.conv.modulation.weight"],
        f"{ours}.affine.bias": state[f"{theirs}.conv.modulation.bias"],
    }


_D_LAYERS = {
    "conv1.0.weight": "conv0.weight",
    "conv1.1.bias": "conv0.bias",
    "conv2.1.weight": "conv1.weight",
    "conv2.2.bias": "conv1.bias",
    "skip.1.weight": "skip.weight",
}


def _stylegan2_discriminator(state: State, sides: list[int]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    filter = fir(taps(state.get("convs.1.conv2.0.kernel", fir())))
    names = {"convs.0.0.weight": f"b{sides[-1]}.fromrgb.weight", "convs.0.1.bias": f"b{sides[-1]}.fromrgb.bias"}
    kernels = {f"b{sides[-1]}.fromrgb": fir(), "b4.conv": fir()}
    for index, side in enumerate(reversed(sides[1:]), 1):
        block = f"b{side}"
        for theirs, ours in _D_LAYERS.items():
            names[f"convs.{index}.{theirs}"] = f"{block}.{ours}"
        kernels |= {block: filter, f"{block}.conv0": fir(), f"{block}.conv1": filter, f"{block}.skip": filter}
    names |= {"final_conv.0.weight": "b4.conv.weight", "final_conv.1.bias": "b4.conv.bias"}
    names |= {
        f"final_linear.{i}.{part}": f"b4.{ours}.{part}" for i, ours in enumerate(("fc", "out")) for part in ("weight", "bias")
    }
    converted = {ours: state[theirs] for theirs, ours in names.items()}
    converted |= {f"{index}.resample_filter": kernel.clone() for index, kernel in kernels.items()}
    config = dict(c_dim=0, img_resolution=sides[-1], img_channels=3, resample_filter=taps(filter))
    return converted, config | discriminator_channels(converted, sides)


# The two that grow, in which all layers but their last have He's gain: weight times sqrt(2 / fan_in).


def _trained(levels: int, path: Path, resolution: int | None) -> list[int]:
    """The resolutions that a growing network was trained to."""
    sides = generators.resolutions(4 * 2 ** (levels - 1))
    if resolution is None:
        step = re.search(r"train_step-([0-9]+)", path.name)  # files are named after the step that comes next
        resolution = sides[max(0, min(int(step[1]), levels) - 1)] if step else sides[-1]
    if resolution not in sides:
        raise StyleLoomError(f"{path} has layers for {', '.join(map(str, sides))} px, none for {resolution}; choose one of those")
    return sides[: sides.index(resolution) + 1]


def _he(state: State, theirs: str, ours: str, *, to: float = GAIN) -> dict[str, Tensor]:
    """A layer with He's gain, as one with the gain ``to``."""
    return {f"{ours}.weight": state[f"{theirs}.weight_orig"] * (GAIN / to), f"{ours}.bias": state[f"{theirs}.bias"]}


def _stylegan(state: State, discriminator: State, path: Path, resolution: int | None) -> Converted:
    levels = _count(state, r"generator\.progression\.(\d+)\.")
    sides = _trained(levels, path, resolution)
    converted: dict[str, Tensor] = {}
    for place, side in enumerate(sides):
        block = f"generator.progression.{place}"
        drawn = generators.latents([place], side * side).view(side, side)  # their files have none: it was always drawn anew
        for index in (0, 1):
            ours = f"synthesis.b{side}.conv{index}"
            theirs = f"{block}.conv{index + 1}"
            if side == 4 and not index:
                converted[f"{ours}.const"] = state[f"{block}.conv1.input"][0]
                width = converted[f"{ours}.const"].shape[0]
                converted[f"{ours}.bias"] = torch.zeros(width)
            elif f"{theirs}.0.weight" in state:  # doubling within the convolution: a kernel [in, out, k, k] that is not flipped
                converted[f"{ours}.conv.weight"] = state[f"{theirs}.0.weight"].transpose(0, 1).flip(2, 3) / 4
                converted[f"{ours}.bias"] = state[f"{theirs}.0.bias"]
            else:
                theirs = f"{theirs}.1.conv" if f"{theirs}.1.conv.bias" in state else f"{theirs}.conv"
                converted[f"{ours}.conv.weight"] = state[f"{theirs}.weight_orig"]
                converted[f"{ours}.bias"] = state[f"{theirs}.bias"]
            width = converted[f"{ours}.bias"].shape[0]
            noise = state[f"{block}.noise{index + 1}.weight_orig"].flatten()
            converted[f"{ours}.noise_strength"] = noise * math.sqrt(2 / width)
            converted[f"{ours}.noise_const"] = drawn.clone()
            style = _he(state, f"{block}.adain{index + 1}.style.linear", f"{ours}.affine", to=1.0)
            style[f"{ours}.affine.bias"] = style[f"{ours}.affine.bias"] - torch.cat([torch.ones(width), torch.zeros(width)])
            converted |= style
        converted |= _he(state, f"generator.to_rgb.{place}.conv", f"synthesis.b{side}.torgb", to=1.0)
    layers = _count(state, r"style\.(\d+)\.linear")
    for index in range(layers):
        converted |= _he(state, f"style.{2 * index + 1}.linear", f"mapping.fc{index}")
    widths = {side: converted[f"synthesis.b{side}.conv1.bias"].shape[0] for side in sides}
    w_dim = converted["mapping.fc0.weight"].shape[0]
    generator = dict(
        z_dim=converted["mapping.fc0.weight"].shape[1],
        c_dim=0,
        w_dim=w_dim,
        img_resolution=sides[-1],
        img_channels=3,
        mapping_kwargs=dict(num_layers=layers, lr_multiplier=1.0),
        synthesis_kwargs=dict(norm_epsilon=1e-5, bias_first=True, shared_noise=True, **generators.channel_options(widths)),
    )
    tensors = {f"G.{name}": value for name, value in converted.items()}
    config: dict[str, Any] = {"G": generator, "D": None}
    if discriminator:
        converted, config["D"] = _stylegan_discriminator(discriminator, sides)
        tensors |= {f"D.{name}": value for name, value in converted.items()}
    return "stylegan", tensors, config


def _stylegan_discriminator(state: State, sides: list[int]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    levels = _count(state, r"progression\.(\d+)\.")
    activate = "from_rgb.0.0.conv.weight_orig" in state
    converted: dict[str, Tensor] = {}
    for index, side in enumerate(sides):
        number = levels - 1 - index
        block = f"progression.{number}"
        converted |= _he(state, f"from_rgb.{number}{'.0' if activate else ''}.conv", f"b{side}.fromrgb")
        if side == 4:
            converted |= _he(state, f"{block}.conv1.0.conv", "b4.conv")
            converted |= _he(state, f"{block}.conv2.0.conv", "b4.fc")
            converted["b4.fc.weight"] = converted["b4.fc.weight"].flatten(1)
            continue
        converted |= _he(state, f"{block}.conv1.0.conv", f"b{side}.conv0")
        if f"{block}.conv2.1.weight" in state:  # halving within the convolution
            converted |= {f"b{side}.conv1.{part}": state[f"{block}.conv2.1.{part}"] for part in ("weight", "bias")}
        else:
            converted |= _he(state, f"{block}.conv2.1.conv", f"b{side}.conv1")
    converted |= _he(state, "linear.linear", "b4.out", to=1.0)
    widths = {side: converted[f"b{side}.fromrgb.bias"].shape[0] for side in sides}
    return converted, dict(
        c_dim=0,
        img_resolution=sides[-1],
        img_channels=3,
        mbstd_group_size=None,
        filter=[1, 2, 1],
        classes="product",
        widen_first=True,
        activate_rgb=activate,
        **generators.channel_options(widths),
    )


def _progan(state: State, path: Path, resolution: int | None) -> Converted:
    """The generator; the discriminator of that repository sees the spread of images, not of features, and is not read."""
    sides = _trained(_count(state, r"progression\.(\d+)\."), path, resolution)
    first = state["progression.0.conv.0.conv.weight_orig"]  # [C, in, 4, 4], over an image of one pixel with three around it
    converted = {
        "synthesis.dense.weight": first.flip(2, 3).permute(0, 2, 3, 1).reshape(-1, first.shape[1]),
        "synthesis.bias": state["progression.0.conv.0.conv.bias"],
    }
    for index, side in enumerate(sides):
        block = f"progression.{index}.conv"
        if side > 4:
            converted |= _he(state, f"{block}.0.conv", f"synthesis.b{side}.conv0")
        converted |= _he(state, f"{block}.3.conv", f"synthesis.b{side}.conv1")
        weight = state[f"to_rgb.{index}.weight"]
        converted[f"synthesis.b{side}.torgb.weight"] = weight * math.sqrt(weight.shape[1])
        converted[f"synthesis.b{side}.torgb.bias"] = state[f"to_rgb.{index}.bias"]
    embed = state["label_embed.weight"]
    classes = embed.shape[0]
    converted["mapping.embed.weight"] = embed.T * math.sqrt(classes)
    converted["mapping.w_avg"] = torch.zeros(first.shape[1])
    widths = {side: converted[f"synthesis.b{side}.conv1.bias"].shape[0] for side in sides}
    generator = dict(
        z_dim=first.shape[1] - classes,
        c_dim=classes,
        img_resolution=sides[-1],
        img_channels=3,
        mapping_kwargs=dict(embed_classes=True),
        synthesis_kwargs=dict(norm_first=True, **generators.channel_options(widths)),
    )
    return "progan", {f"G.{name}": value for name, value in converted.items()}, {"G": generator, "D": None}
