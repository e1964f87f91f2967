"""StyleGAN2 from NVIDIA's pickles: those of stylegan2-ada-pytorch and the stylegan3 repository, and TensorFlow's before them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from styleloom.blocks.errors import StyleLoomError
from styleloom.blocks.resample import fir

from .pickles import Object, read_pickle

KIND = "stylegan2"
Converted = tuple[str, dict[str, Tensor], dict[str, Any]]


class _Bag(dict):
    """dnnlib.EasyDict: a dictionary."""


ALLOWED = {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): Object,
    ("dnnlib.util", "EasyDict"): _Bag,
    ("dnnlib.tflib.network", "Network"): Object,
    ("dnnlib.submission.submit", "SubmitTarget"): Object,
}


def convert_stylegan2(path: Path) -> Converted:
    """Kind, tensors and config of a StyleGAN2 model file: the averaged generator as ``G.``, the discriminator as ``D.``.

    Args:
        path: a .pkl.

    Raises:
        StyleLoomError: no such file, a damaged one, one that asks for anything but networks, or other networks.
    """
    content = read_pickle(path, ALLOWED)
    if isinstance(content, dict) and isinstance(content.get("G_ema"), Object):
        return _from_torch(content, path)
    if isinstance(content, tuple) and len(content) == 3 and all(isinstance(each, Object) for each in content):
        return _from_tensorflow(content[2], content[1], path)
    raise StyleLoomError(f"{path} holds no StyleGAN2: wanted a dictionary with G_ema and D, or three networks of TensorFlow")


def _from_torch(content: dict[str, Any], path: Path) -> Converted:
    tensors: dict[str, Tensor] = {}
    config: dict[str, Any] = {}
    for ours, theirs, named in (("G", "G_ema", "Generator"), ("D", "D", "Discriminator")):
        network = content.get(theirs)
        if not isinstance(network, Object):
            config[ours] = None
            continue
        meta = network.arguments[0]
        state = meta["state"]
        if meta["class_name"] != named or (ours == "G" and "b4" not in _child(state, "synthesis").get("_modules", {})):
            raise StyleLoomError(f"{path} holds a {meta['class_name']} that is not StyleGAN2's {named}")
        tensors |= {f"{ours}.{name}": value for name, value in _flat(state).items()}
        config[ours] = _arguments(state["_init_kwargs"])
    return KIND, tensors, config


def _child(state: dict[str, Any], name: str) -> dict[str, Any]:
    found = state["_modules"].get(name)
    return found.arguments[0]["state"] if isinstance(found, Object) else {}


def _flat(state: dict[str, Any], prefix: str = "") -> dict[str, Tensor]:
    """A module's parameters and buffers, and those of the modules in it, by their dotted names."""
    found = {
        f"{prefix}{name}": value.detach().clone()
        for part in ("_parameters", "_buffers")
        for name, value in state[part].items()
        if isinstance(value, Tensor)
    }
    for name in state["_modules"]:
        found |= _flat(_child(state, name), f"{prefix}{name}.")
    return found


# What the official constructors take and ours do not, because it changes no value: precision, memory, freezing, names.
_IGNORED = {"num_fp16_res", "fused_modconv_default", "use_fp16", "fp16_channels_last", "class_name"}


def _arguments(given: dict[str, Any]) -> dict[str, Any]:
    """The constructor's arguments as plain values."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name in _IGNORED or (name == "block_kwargs" and set(value) <= {"freeze_layers"}):
            continue
        found[name] = _arguments(value) if isinstance(value, dict) else value
    return found


def _from_tensorflow(generator: Object, discriminator: Object, path: Path) -> Converted:
    if generator.state.get("version", 0) < 4 or "synthesis" not in generator.state.get("components", {}):
        raise StyleLoomError(f"{path} holds networks of TensorFlow, but not StyleGAN2's; wanted version 4")
    plain = generator.state["static_kwargs"]
    parts = generator.state["components"].items()
    variables = {f"{part}/{name}": value for part, stub in parts for name, value in _variables(stub).items()}
    tensors = {f"G.{name}": value for name, value in _generator_tensors(variables, _variables(generator)).items()}
    tensors |= {f"D.{name}": value for name, value in _discriminator_tensors(_variables(discriminator)).items()}
    tensors |= {f"{place}.resample_filter": fir() for place in _filtered(tensors)}
    other = discriminator.state["static_kwargs"]
    architecture = dict(
        G=plain.get("architecture", "skip"),
        D=other.get("architecture", "resnet"),
    )
    config = dict(
        G=dict(
            z_dim=plain.get("latent_size", 512),
            c_dim=plain.get("label_size", 0),
            w_dim=plain.get("dlatent_size", 512),
            img_resolution=plain["resolution"],
            img_channels=plain.get("num_channels", 3),
            mapping_kwargs=dict(
                num_layers=plain.get("mapping_layers", 8),
                layer_features=plain.get("mapping_fmaps", 512),
                lr_multiplier=plain.get("mapping_lrmul", 0.01),
            ),
            synthesis_kwargs=dict(_widths(plain), architecture=architecture["G"]),
        ),
        D=dict(
            c_dim=other.get("label_size", 0),
            img_resolution=other["resolution"],
            img_channels=other.get("num_channels", 3),
            architecture=architecture["D"],
            epilogue_kwargs=dict(
                mbstd_group_size=other.get("mbstd_group_size", 4), mbstd_num_channels=other.get("mbstd_num_features", 1)
            ),
            **_widths(other),
        ),
    )
    return KIND, tensors, config


def _filtered(tensors: dict[str, Tensor]) -> set[str]:
    """Places of the low-pass filters that NVIDIA's networks hold: in each block, and in each convolution but those to RGB."""
    layers = {name.removesuffix(".weight") for name, value in tensors.items() if name.endswith(".weight") and value.ndim == 4}
    layers = {layer for layer in layers if not layer.endswith("torgb")}
    return layers | {layer.rsplit(".", 1)[0] for layer in layers} - {"D.b4"}


def _widths(plain: dict[str, Any]) -> dict[str, int]:
    return dict(channel_base=2 * plain.get("fmap_base", 16384), channel_max=plain.get("fmap_max", 512))


def _variables(stub: Object) -> dict[str, np.ndarray[Any, Any]]:
    """A network's numbers by name."""
    found = {}
    for name, value in stub.state["variables"]:
        found[name] = getattr(value, "array", value)
    return found


def _kernel(value: np.ndarray[Any, Any], flip: bool = False) -> Tensor:
    """[k, k, in, out] -> [out, in, k, k]."""
    kernel = torch.from_numpy(np.array(value)).permute(3, 2, 0, 1)
    return (kernel.flip(2, 3) if flip else kernel).contiguous()


def _plain(value: Any) -> Tensor:
    return torch.from_numpy(np.array(value, dtype=np.float32))


def _layer(variables: dict[str, Any], prefix: str, ours: str, flip: bool = False) -> dict[str, Tensor]:
    """A modulated layer under NVIDIA's names of PyTorch."""
    found = {
        f"{ours}.weight": _kernel(variables[f"{prefix}/weight"], flip),
        f"{ours}.bias": _plain(variables[f"{prefix}/bias"]),
        f"{ours}.affine.weight": _plain(variables[f"{prefix}/mod_weight"]).T.contiguous(),
        f"{ours}.affine.bias": _plain(variables[f"{prefix}/mod_bias"]) + 1,
    }
    if f"{prefix}/noise_strength" in variables:
        found[f"{ours}.noise_strength"] = _plain(variables[f"{prefix}/noise_strength"])
    return found


def _generator_tensors(variables: dict[str, Any], whole: dict[str, Any]) -> dict[str, Tensor]:
    found = {"mapping.w_avg": _plain(whole["dlatent_avg"])}
    for name, value in variables.items():
        part, *rest = name.split("/")
        if part == "mapping" and rest[0].startswith("Dense"):
            where = f"mapping.fc{rest[0].removeprefix('Dense')}.{rest[1]}"
            found[where] = _plain(value).T.contiguous() if rest[1] == "weight" else _plain(value)
    if "mapping/LabelConcat/weight" in variables:
        raise StyleLoomError("class-conditional networks of TensorFlow are not read: they embed classes in another way")
    for prefix in sorted({name.rsplit("/", 1)[0] for name in variables if name.startswith("synthesis/") and name.count("/") > 1}):
        _, block, layer = prefix.split("/")
        resolution = int(block.split("x")[0])
        if layer == "Const":
            found["synthesis.b4.const"] = _plain(variables[f"{prefix}/const"])[0]
        elif layer == "Skip":
            found[f"synthesis.b{resolution}.skip.weight"] = _kernel(variables[f"{prefix}/weight"], flip=True)
        else:
            ours = {"Conv": "conv1", "Conv0_up": "conv0", "Conv1": "conv1", "ToRGB": "torgb"}[layer]
            found |= _layer(variables, prefix, f"synthesis.b{resolution}.{ours}", flip=layer == "Conv0_up")
            if layer != "ToRGB":
                index = 2 * int(np.log2(resolution)) - (4 if layer != "Conv0_up" else 5)
                found[f"synthesis.b{resolution}.{ours}.noise_const"] = _plain(variables[f"synthesis/noise{index}"])[0, 0]
    return found


def _discriminator_tensors(variables: dict[str, Any]) -> dict[str, Tensor]:
    names = {"FromRGB": "fromrgb", "Conv0": "conv0", "Conv1_down": "conv1", "Skip": "skip", "Conv": "conv", "Dense0": "fc"}
    found = {}
    for name, value in variables.items():
        if name == "lod":
            continue
        *block, layer, what = name.split("/")
        ours = "b4.out" if layer == "Output" else f"b{block[0].split('x')[0]}.{names[layer]}"
        if what == "bias":
            found[f"{ours}.bias"] = _plain(value)
        else:
            found[f"{ours}.weight"] = _kernel(value) if np.ndim(value) == 4 else _plain(value).T.contiguous()
    return found
