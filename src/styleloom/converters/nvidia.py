"""StyleGAN2 from pickles of stylegan2-ada-pytorch and of the stylegan3 repository, and back to their names.

The modules' own attributes are read, not the arguments that they were made with: defaults differ between versions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from safetensors.torch import save_file
from torch import Tensor

from styleloom.core import checkpoint
from styleloom.core.errors import StyleLoomError
from styleloom.core.files import replacing
from styleloom.core.pickles import Object, check_amount
from styleloom.nn import generators

KIND = "stylegan2"
Converted = tuple[str, dict[str, Tensor], dict[str, Any]]
"""Kind, tensors and config of a model file; generators' names begin with ``G.``, discriminators' with ``D.``."""


class Bag(dict[str, Any]):
    """dnnlib.EasyDict: a dictionary."""


ALLOWED: dict[tuple[str, str], type] = {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): Object,
    ("dnnlib.util", "EasyDict"): Bag,
}


def convert_pickled(content: Mapping[str, Any], path: Path) -> Converted:
    """The averaged generator and the discriminator of a pickle's content.

    Args:
        content: a dictionary with ``G_ema`` and perhaps ``D`` and ``augment_pipe``.
        path: where it was read, for messages.

    Raises:
        StyleLoomError: other networks.
    """
    tensors: dict[str, Tensor] = {}
    config: dict[str, Any] = {"G": None, "D": None}
    for ours, theirs, named, describe in (("G", "G_ema", "Generator", _generator), ("D", "D", "Discriminator", _discriminator)):
        network = content.get(theirs)
        if not _is_module(network):
            continue
        meta = network.arguments[0]
        state = meta["state"]
        if meta.get("class_name") != named or not _is_stylegan2(state, ours):
            raise StyleLoomError(f"{path} holds a {meta.get('class_name')} that is not StyleGAN2's {named}")
        flat = _flat(state)
        check_amount(flat.values(), path)
        tensors |= {f"{ours}.{name}": value.clone() for name, value in flat.items()}
        config[ours] = describe(state, flat, path)
    if config["G"] is None:
        raise StyleLoomError(f"{path} holds no StyleGAN2: its G_ema is no network")
    pipe = content.get("augment_pipe")
    if _is_module(pipe) and isinstance(p := pipe.arguments[0]["state"].get("_buffers", {}).get("p"), Tensor):
        config["augment_p"] = float(p)
    return KIND, tensors, config


def _is_module(given: Any) -> TypeGuard[Object]:
    meta = given.arguments[0] if isinstance(given, Object) and given.arguments else None
    return isinstance(meta, dict) and isinstance(meta.get("state"), dict)


def _child(state: dict[str, Any], name: str) -> dict[str, Any]:
    converted = state.get("_modules", {}).get(name)
    return converted.arguments[0]["state"] if _is_module(converted) else {}


def _is_stylegan2(state: dict[str, Any], key: str) -> bool:
    return bool(_child(_child(state, "synthesis"), "b4") if key == "G" else _child(state, "b4"))


def _flat(state: dict[str, Any], prefix: str = "") -> dict[str, Tensor]:
    """A module's parameters and buffers, and those of the modules in it, four deep, by their dotted names."""
    converted = {
        f"{prefix}{name}": value.detach()
        for part in ("_parameters", "_buffers")
        for name, value in state.get(part, {}).items()
        if isinstance(value, Tensor)
    }
    for name in state.get("_modules", {}) if prefix.count(".") < 4 else ():
        converted |= _flat(_child(state, name), f"{prefix}{name}.")
    return converted


def _mapping(state: dict[str, Any], flat: Mapping[str, Tensor]) -> dict[str, Any]:
    layers = int(state["num_layers"])
    converted: dict[str, Any] = dict(num_layers=layers)
    if layers:
        converted["lr_multiplier"] = float(_child(state, "fc0")["bias_gain"])
    if layers > 1:
        converted["layer_features"] = flat["mapping.fc0.weight"].shape[0]
    if "mapping.embed.weight" in flat:
        converted["embed_features"] = flat["mapping.embed.weight"].shape[0]
    return converted


def _generator(state: dict[str, Any], flat: Mapping[str, Tensor], path: Path) -> dict[str, Any]:
    mapping, synthesis = _child(state, "mapping"), _child(state, "synthesis")
    side = int(state["img_resolution"])
    top = _child(synthesis, f"b{side}")
    layer = _child(top, "conv1")
    _check_activation(layer, path)
    widths = {r: flat[f"synthesis.b{r}.conv1.weight"].shape[0] for r in generators.resolutions(side)}
    return dict(
        z_dim=int(state["z_dim"]),
        c_dim=int(state["c_dim"]),
        w_dim=int(state["w_dim"]),
        img_resolution=side,
        img_channels=int(state["img_channels"]),
        mapping_kwargs=_mapping(mapping, flat) | dict(w_avg_beta=mapping.get("w_avg_beta", 0.995)),
        synthesis_kwargs=generators.channel_options(widths)
        | dict(
            architecture=top["architecture"],
            conv_clamp=layer["conv_clamp"],
            resample_filter=taps(flat[f"synthesis.b{side}.resample_filter"]),
            use_noise=bool(layer.get("use_noise", True)),
        ),
    )


def _discriminator(state: dict[str, Any], flat: Mapping[str, Tensor], path: Path) -> dict[str, Any]:
    side, last = int(state["img_resolution"]), _child(state, "b4")
    top = _child(state, f"b{side}")
    layer = _child(top, "conv1")
    _check_activation(layer, path)
    spread = _child(last, "mbstd")
    classes = int(state["c_dim"])
    return dict(
        c_dim=classes,
        img_resolution=side,
        img_channels=int(state["img_channels"]),
        architecture=top["architecture"],
        conv_clamp=layer["conv_clamp"],
        resample_filter=taps(flat[f"b{side}.resample_filter"]),
        cmap_dim=int(last["cmap_dim"]) if classes else None,
        mapping_kwargs=_mapping(_child(state, "mapping"), flat) if classes else {},
        epilogue_kwargs=dict(
            mbstd_group_size=spread.get("group_size", 4), mbstd_num_channels=spread.get("num_channels", 0) if spread else 0
        ),
        **discriminator_channels(flat, generators.resolutions(side)),
    )


def discriminator_channels(tensors: Mapping[str, Tensor], sides: Sequence[int]) -> dict[str, Any]:
    """The arguments for the channels of a discriminator whose tensors have NVIDIA's names."""
    widths = {side: tensors[f"b{side}.conv{'0' if side > 4 else ''}.weight"].shape[0] for side in sides}
    return generators.channel_options(widths)


def _check_activation(layer: dict[str, Any], path: Path) -> None:
    if layer.get("activation", "lrelu") != "lrelu":
        raise StyleLoomError(f"{path} has the activation {layer['activation']!r}; only networks with leaky ReLUs are read")


def taps(kernel: Tensor) -> list[float]:
    """One row of a separable filter [K, K], as small whole numbers where it is made of them."""
    row = (kernel.double().sum(0) / kernel.double().sum()).tolist()
    least = min(abs(value) for value in row if value)
    whole = [value / least for value in row]
    return [float(round(value)) for value in whole] if all(math.isclose(v, round(v), abs_tol=1e-4) for v in whole) else row


def save_as_nvidia(name: str | Path, path: Path) -> list[str]:
    """Write a StyleGAN2 of ours under NVIDIA's names: ``G_ema.`` and ``D.`` and those of stylegan2-ada-pytorch.

    The metadata ``init_kwargs`` has, as JSON, the arguments of the official ``Generator`` and ``Discriminator``.

    Args:
        name: our model, see :func:`~styleloom.core.checkpoint.resolve`.
        path: a ``.safetensors``.

    Returns:
        The networks that were written.

    Raises:
        StyleLoomError: another kind of model, or one that the official constructors cannot make.
    """
    tensors, config = checkpoint.read_model(name, KIND)
    theirs, arguments = {"G": "G_ema", "D": "D"}, {}
    for key, official in theirs.items():
        if config.get(key):
            arguments[official] = _official(key, dict(config[key]), name)
    renamed = {f"{theirs[index[0]]}{index[1:]}": t.float() for index, t in tensors.items() if index[:2] in ("G.", "D.")}
    if path.resolve() == checkpoint.resolve(name).resolve():
        raise StyleLoomError(f"{path} is the model itself; give another file to write")
    with replacing(path) as temporary:
        save_file(renamed, temporary, metadata={"init_kwargs": json.dumps(arguments)})
    return list(arguments)


def convert_named(path: Path) -> Converted:
    """A StyleGAN2 under NVIDIA's names, as :func:`save_as_nvidia` writes it.

    Raises:
        StyleLoomError: another kind of file.
    """
    tensors, metadata = checkpoint.read_tensors(path)
    if "init_kwargs" not in metadata:
        kind = metadata.get("kind")
        reason = f"is a {kind} of StyleLoom already" if kind else "does not say what network it holds"
        raise StyleLoomError(f"{path} {reason}; wanted a file of another project")
    arguments = json.loads(metadata["init_kwargs"])
    generator, discriminator = arguments.get("G_ema"), arguments.get("D")
    if discriminator:
        filter = discriminator.pop("block_kwargs", {}).get("resample_filter")
        discriminator |= {} if filter is None else {"resample_filter": filter}
    ours = {"G_ema": "G", "D": "D"}
    named = {f"{ours[index.split('.')[0]]}.{index.split('.', 1)[1]}": tensor for index, tensor in tensors.items()}
    return KIND, named, {"G": generator, "D": discriminator}


def _official(key: str, config: dict[str, Any], name: str | Path) -> dict[str, Any]:
    """The arguments of an official constructor."""
    inner = dict(config.get("synthesis_kwargs") or {}) if key == "G" else config
    mapping = dict(config.get("mapping_kwargs") or {})
    unusual = [
        what
        for what, converted in (
            ("channels that follow no rule", inner.get("channels")),
            (f"normalization {inner.get('normalization')!r}", inner.get("normalization", "demodulate") != "demodulate"),
            ("joint normalization of z and class", mapping.get("joint")),
        )
        if converted
    ]
    if unusual:
        raise StyleLoomError(f"{name} has {' and '.join(unusual)}, which NVIDIA's networks don't know")
    filter = inner.pop("resample_filter", None)
    for ours in ("channels", "normalization"):
        inner.pop(ours, None)
    mapping.pop("joint", None)
    if key == "G":
        extra = {} if filter is None else dict(resample_filter=filter)
        return config | dict(synthesis_kwargs=inner | extra, mapping_kwargs=mapping)
    return inner | dict(mapping_kwargs=mapping, block_kwargs={} if filter is None else dict(resample_filter=filter))
