"""Image translation of other projects -> networks of ours, and back: pytorch-CycleGAN-and-pix2pix and pix2pixHD.

Their files hold tensors and no config, so the architecture is read off names and shapes, and every tensor has to fit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from styleloom.core.errors import StyleLoomError
from styleloom.core.files import check_folder, replacing
from styleloom.core.pth import plain_names, read_state_dict
from styleloom.nn.translation import PatchGAN, ResNetGenerator, UNet
from styleloom.nn.translator import Translator, translator_config
from styleloom.papers.pix2pixhd import InstanceEncoder, LocalEnhancer, MultiScale, config_of

from .styles import Converted

Network = UNet | ResNetGenerator | LocalEnhancer | InstanceEncoder | PatchGAN | MultiScale
Names = dict[str, str]
"""Our name of a layer to theirs, without ``.weight`` and the like."""
BEGINNINGS = ("model.model.0.", "model.0.weight", "model.1.", "model1_1.", "net.0.", "scale0_layer0.")


def read_translator(path: str | Path) -> Network:
    """A generator, an encoder or a discriminator of those projects.

    Raises:
        StyleLoomError: no such file, or no such network.
    """
    return translator_of(read_state_dict(Path(path)), str(path))


def translator_of(tensors: Mapping[str, Tensor], name: str = "state dict") -> Network:
    """The network of a state dict.

    Prefixes of DataParallel and statistics that old files keep beside instance norm are passed over.

    Raises:
        StyleLoomError: not such a network, or tensors that are missing or left over.
    """
    tensors = {key: value.float() for key, value in plain_names(tensors).items()}
    tensors = {
        key: value
        for key, value in tensors.items()
        if not re.search(r"\.(running_(mean|var)|num_batches_tracked)$", key) or f"{key.rpartition('.')[0]}.weight" in tensors
    }
    network = _inferred(tensors, name)
    names = layer_names(network)
    own = network.state_dict()
    wanted = {key: f"{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}" for key in own}
    if missing := sorted(set(wanted.values()) - set(tensors)):
        raise StyleLoomError(f"{name} is not whole: it lacks {', '.join(missing[:3])}")
    if left := sorted(set(tensors) - set(wanted.values())):
        raise StyleLoomError(f"{name} holds more than a {type(network).__name__}: {', '.join(left[:3])}")
    for key, theirs in wanted.items():
        if own[key].shape != tensors[theirs].shape:
            raise StyleLoomError(f"{name}: {theirs} is {list(tensors[theirs].shape)}; wanted {list(own[key].shape)}")
    network.load_state_dict({key: tensors[theirs].to(own[key].dtype) for key, theirs in wanted.items()})
    return network.eval().requires_grad_(False)


def as_state_dict(network: nn.Module) -> dict[str, Tensor]:
    """A network's tensors under the names of those projects, to be saved by ``torch.save`` and loaded there."""
    names = layer_names(network)
    return {
        f"{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value.detach().clone()
        for key, value in network.state_dict().items()
    }


def convert_translator(path: Path, other: Path | None = None) -> Converted | None:
    """Kind, tensors and config of a model file, of a generator of those projects; None where it is no such network.

    Args:
        path: makes B of A.
        other: network of CycleGAN that makes A of B.

    Raises:
        StyleLoomError: a discriminator, which translates nothing, or networks that do not go together.
    """
    tensors = read_state_dict(path)
    if not any(name.startswith(BEGINNINGS) for name in tensors):
        return None
    networks = {"B": translator_of(tensors, str(path))} | ({"A": read_translator(other)} if other is not None else {})
    for name, network in networks.items():
        if isinstance(network, PatchGAN | MultiScale | InstanceEncoder):
            raise StyleLoomError(
                f"{path if name == 'B' else other} is a {type(network).__name__}; give the generator, which translates"
            )
    first = networks["B"]
    if other is not None and networks["A"].in_channels != first.out_channels:
        raise StyleLoomError(f"{other} takes other images than {path} makes; wanted the two generators of one CycleGAN")
    kind = "pix2pixhd" if isinstance(first, LocalEnhancer) else "pix2pix" if isinstance(first, UNet) else "cyclegan"
    model = Translator(networks)
    return kind, model.state_dict(), translator_config(model, config_of)


def save_as_junyanz(model: Translator, folder: str | Path) -> list[str]:
    """Write a model's networks as ``latest_net_G.pth`` and ``latest_net_D.pth``, of two directions ``G_A``, ``G_B`` and so on.

    Returns:
        Names of the files.

    Raises:
        StyleLoomError: networks that the other project has not, or files that are there already.
    """
    folder = Path(folder)
    both = len(model.networks) > 1
    # Their G_A makes B of A, and their D_A judges what it makes.
    letters = {"B": "_A" if both else "", "A": "_B", "codes": ""}
    states = {
        f"latest_net_{letter if domain != 'codes' else 'E'}{letters[domain]}.pth": as_state_dict(network)
        for letter, part in (("G", model.networks), ("D", model.discriminators))
        for domain, network in part.items()
    }
    check_folder(folder)
    if there := [name for name in states if (folder / name).exists()]:
        raise StyleLoomError(f"{folder / there[0]} exists already; give another folder")
    for name, state in states.items():
        with replacing(folder / name) as temporary:
            torch.save(state, temporary)
    return list(states)


def layer_names(network: nn.Module) -> Names:
    """Names of the layers in the other project.

    Raises:
        StyleLoomError: a network that it has not, such as one that upsamples to the nearest pixel.
    """
    if getattr(network, "config", {}).get("upsample", "transpose") != "transpose":
        raise StyleLoomError("no other project has a network with upsample nearest; only ones with transpose are written for it")
    if isinstance(network, UNet):
        return _unet_names(network)
    if isinstance(network, ResNetGenerator):
        return _resnet_names(network)
    if isinstance(network, PatchGAN):
        return _patch_names(network)
    if isinstance(network, MultiScale):
        return _multi_scale_names(network)
    if isinstance(network, InstanceEncoder):
        return {f"network.{ours}": theirs for ours, theirs in _resnet_names(network.network).items()}
    if isinstance(network, LocalEnhancer):
        return _enhancer_names(network)
    raise StyleLoomError(f"no other project has a {type(network).__name__}")


def _unet_names(network: UNet) -> Names:
    names, prefix, depth = {}, "model.", len(network.down)
    for level in range(depth):
        outermost, innermost = level == 0, level == depth - 1
        names[f"down.{level}"] = f"{prefix}model.{0 if outermost else 1}"
        names[f"down_norm.{level}"] = f"{prefix}model.2"
        up = 3 if outermost or innermost else 5
        names[f"up.{level}"], names[f"up_norm.{level}"] = f"{prefix}model.{up}", f"{prefix}model.{up + 1}"
        prefix += f"model.{1 if outermost else 3}."
    return names


def _resnet_names(network: ResNetGenerator) -> Names:
    names, index = {"stem": "model.1", "stem_norm": "model.2"}, 4
    for level in range(len(network.down)):
        names[f"down.{level}"], names[f"down_norm.{level}"] = f"model.{index}", f"model.{index + 1}"
        index += 3
    for block in range(len(network.blocks)):
        names |= _block_names(f"blocks.{block}", f"model.{index}", bool(network.config["dropout"]))
        index += 1
    for level in range(len(network.up)):
        names[f"up.{level}"], names[f"up_norm.{level}"] = f"model.{index}", f"model.{index + 1}"
        index += 3
    return names | {"head": f"model.{index + 1}"}


def _block_names(ours: str, theirs: str, dropout: bool) -> Names:
    second = 6 if dropout else 5
    return {
        f"{ours}.conv1": f"{theirs}.conv_block.1",
        f"{ours}.norm1": f"{theirs}.conv_block.2",
        f"{ours}.conv2": f"{theirs}.conv_block.{second}",
        f"{ours}.norm2": f"{theirs}.conv_block.{second + 1}",
    }


def _patch_indices(network: PatchGAN) -> list[int]:
    """Indices of the convolutions in a sequence of convolutions, norms and ReLUs; the first has no norm after it."""
    return [0, *range(2, 3 * len(network.convs) - 3, 3)]


def _patch_names(network: PatchGAN) -> Names:
    name = "model" if network.config["layers"] else "net"
    positions = _patch_indices(network)
    convs = {f"convs.{index}": f"{name}.{position}" for index, position in enumerate(positions)}
    return convs | {f"norms.{index}": f"{name}.{position + 1}" for index, position in enumerate(positions[1:-1], 1)}


def _multi_scale_names(network: MultiScale) -> Names:
    last = len(network.scales) - 1  # the finest is their last
    names = {}
    for scale_index, scale in enumerate(network.scales):
        for ours in _patch_names(scale):  # type: ignore[arg-type]
            kind, index = ours.split(".")
            names[f"scales.{scale_index}.{ours}"] = f"scale{last - scale_index}_layer{index}.{1 if kind == 'norms' else 0}"
    return names


def _enhancer_names(network: LocalEnhancer) -> Names:
    inner = {ours: theirs for ours, theirs in _resnet_names(network.inner).items() if ours != "head"}
    names = {f"inner.{ours}": theirs for ours, theirs in inner.items()}
    names |= {"stem": "model1_1.1", "stem_norm": "model1_1.2", "down": "model1_1.4", "down_norm": "model1_1.5"}
    count = len(network.blocks)
    for block in range(count):
        names |= _block_names(f"blocks.{block}", f"model1_2.{block}", dropout=False)
    return names | {"up": f"model1_2.{count}", "up_norm": f"model1_2.{count + 1}", "head": f"model1_2.{count + 4}"}


def _inferred(tensors: Mapping[str, Tensor], name: str) -> Network:
    """A network of the shape that names and shapes tell of."""
    if "model.model.0.weight" in tensors:
        return _inferred_unet(tensors)
    if "model1_1.1.weight" in tensors:
        return _inferred_enhancer(tensors)
    if "scale0_layer0.0.weight" in tensors:
        return _inferred_scales(tensors)
    if "net.0.weight" in tensors or "model.0.weight" in tensors:
        return _inferred_patches(tensors)
    if "model.1.weight" in tensors and tensors["model.1.weight"].ndim == 4:
        return _inferred_resnet(tensors)
    first = next(iter(tensors), None)
    raise StyleLoomError(f"{name} is no network of pytorch-CycleGAN-and-pix2pix or pix2pixHD: its first tensor is {first!r}")


def _norm_of(tensors: Mapping[str, Tensor], conv: str, norm: str) -> str:
    """Batch norm has weights; before instance norm convolutions have a bias; where there is neither, nothing normalizes."""
    if f"{norm}.weight" in tensors:
        return "batch"
    return "instance" if f"{conv}.bias" in tensors else "none"


def _inferred_unet(tensors: Mapping[str, Tensor]) -> UNet:
    prefix, widths = "model.model.1.", [len(tensors["model.model.0.weight"])]
    while f"{prefix}model.1.weight" in tensors:
        widths.append(len(tensors[f"{prefix}model.1.weight"]))
        prefix += "model.3."
    first = "model.model.1.model"
    top = max(widths)
    return UNet(
        tensors["model.model.0.weight"].shape[1],
        tensors["model.model.3.weight"].shape[1],
        width=widths[0],
        depth=len(widths),
        norm=_norm_of(tensors, f"{first}.1", f"{first}.2"),
        dropout=True,  # it has no weights, so it may have been there, and acts only where it is asked to
        max_width=None if top == min(8, 2 ** (len(widths) - 1)) * widths[0] else top,
    )


def _blocks(tensors: Mapping[str, Tensor]) -> tuple[int, int, int]:
    """The place of the first residual block, how many there are, and of convolutions before."""
    blocks = sorted({int(found[1]) for key in tensors if (found := re.match(r"model\.(\d+)\.conv_block", key))})
    if blocks:
        return blocks[0], len(blocks), (blocks[0] - 4) // 3
    convs = sorted(
        int(found[1]) for key in tensors if (found := re.match(r"model\.(\d+)\.weight", key)) and tensors[key].ndim == 4
    )
    halvings = (len(convs) - 2) // 2
    return 4 + 3 * halvings, 0, halvings


def _resnet_options(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    first, blocks, downsamplings = _blocks(tensors)
    norm = _norm_of(tensors, "model.1", "model.2")
    has_bias = "model.1.bias" in tensors
    return dict(
        width=len(tensors["model.1.weight"]),
        blocks=blocks,
        downsamplings=downsamplings,
        norm=norm,
        dropout=f"model.{first}.conv_block.6.weight" in tensors and tensors[f"model.{first}.conv_block.6.weight"].ndim == 4,
        always_bias=has_bias and norm == "batch",
    )


def _inferred_resnet(tensors: Mapping[str, Tensor]) -> ResNetGenerator | InstanceEncoder:
    options = _resnet_options(tensors)
    in_channels = tensors["model.1.weight"].shape[1]
    last = max(int(found[1]) for key in tensors if (found := re.match(r"model\.(\d+)\.weight", key)))
    out_channels = len(tensors[f"model.{last}.weight"])
    if options["blocks"]:
        return ResNetGenerator(in_channels, out_channels, **options)
    norm, width, halvings = options["norm"], options["width"], options["downsamplings"]
    return InstanceEncoder(in_channels, out_channels, width=width, downsamplings=halvings, norm=norm)


def _inferred_enhancer(tensors: Mapping[str, Tensor]) -> LocalEnhancer:
    if "model2_1.1.weight" in tensors:
        raise StyleLoomError("a generator with two local enhancers; one is read, as in the paper")
    options = _resnet_options(tensors)
    local = len({key.split(".")[1] for key in tensors if key.startswith("model1_2.") and "conv_block" in key})
    return LocalEnhancer(
        tensors["model1_1.1.weight"].shape[1],
        len(tensors[f"model1_2.{local + 4}.weight"]),
        width=len(tensors["model1_1.1.weight"]),
        blocks=options["blocks"],
        local_blocks=local,
        downsamplings=options["downsamplings"],
        norm=options["norm"],
    )


def _inferred_patches(tensors: Mapping[str, Tensor]) -> PatchGAN:
    if "net.0.weight" in tensors:
        width, in_channels = tensors["net.0.weight"].shape[:2]
        return PatchGAN(in_channels, width=width, layers=0, norm=_norm_of(tensors, "net.2", "net.3"))
    width, in_channels = tensors["model.0.weight"].shape[:2]
    convs = [key for key, value in tensors.items() if key.endswith(".weight") and value.ndim == 4]
    return PatchGAN(in_channels, width=width, layers=len(convs) - 2, norm=_norm_of(tensors, "model.2", "model.3"))


def _inferred_scales(tensors: Mapping[str, Tensor]) -> MultiScale:
    scales = {int(found[1]) for key in tensors if (found := re.match(r"scale(\d+)_layer", key))}
    layers = {int(found[1]) for key in tensors if (found := re.match(r"scale0_layer(\d+)\.", key))}
    width, in_channels = tensors["scale0_layer0.0.weight"].shape[:2]
    norm = "batch" if "scale0_layer1.1.weight" in tensors else "instance"
    return MultiScale(in_channels, width=width, layers=len(layers) - 2, num=len(scales), norm=norm)
