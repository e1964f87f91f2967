"""Model files of every kind: loaded, and converted from other projects'."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeVar, overload

import torch
from torch import nn

from styleloom.converters.official import convert_official
from styleloom.core import checkpoint
from styleloom.core.errors import StyleLoomError
from styleloom.core.files import cache_folder, check_folder
from styleloom.core.precision import precision_on
from styleloom.nn import labeler
from styleloom.nn.generators import Generator
from styleloom.nn.vgg_files import load_features
from styleloom.papers import (
    adain,
    cyclegan,
    dumoulin,
    ghiasi,
    indomain,
    johnson,
    learned_optimizer,
    pix2pix,
    pix2pixhd,
    progan,
    stylegan,
    stylegan2,
    super_resolution,
)

GENERATORS: dict[str, ModuleType] = {module.KIND: module for module in (progan, stylegan, stylegan2)}
TRANSLATION: dict[str, ModuleType] = {module.KIND: module for module in (pix2pix, cyclegan, pix2pixhd)}
LOADERS: dict[str, Callable[[Path], nn.Module]] = {
    "features": load_features,
    **{module.KIND: module.load for module in (johnson, dumoulin, ghiasi, adain, super_resolution)},
    **{module.KIND: module.load for module in (*GENERATORS.values(), *TRANSLATION.values())},
    labeler.KIND: labeler.load,
    indomain.KIND: indomain.load,
    learned_optimizer.KIND: learned_optimizer.load,
}
"""Loaders of model files, by the kind that each file notes."""


GeneratorName = Literal["portraits-128", "toonfaces-64"]
M = TypeVar("M", bound=nn.Module)


@overload
def load(name: GeneratorName) -> Generator: ...
@overload
def load(name: str | Path) -> nn.Module: ...
@overload
def load(name: str | Path, wanted: type[M]) -> M: ...
def load(name: str | Path, wanted: type[nn.Module] = nn.Module) -> nn.Module:
    """A network, of whatever kind, from a name in the zoo, a path or ``hf://owner/repo/file``, in fp32.

    A file of another project is converted first, as :func:`convert` does it. The result is kept in the cache.

    Args:
        name: name of the model.
        wanted: class that the network must be of, such as ``styleloom.Generator``; type checkers then know it.

    Raises:
        StyleLoomError: no such model, one that is not known, a damaged one, or one of another class.
    """
    path = checkpoint.model_path(name)
    kind = checkpoint.read_metadata(path).get("kind")
    if kind not in LOADERS:
        raise StyleLoomError(f"{path} holds {kind or 'no StyleLoom model'!r}; wanted a model of one of {', '.join(LOADERS)}")
    network = LOADERS[kind](path)
    if not isinstance(network, wanted):
        raise StyleLoomError(f"{name} holds a {type(network).__name__}; wanted a {wanted.__name__}")
    return network


def kept_conversion(path: Path) -> Path:
    """Model file in the cache that a file of another project is converted to, where that has not been done before.

    Args:
        path: see :func:`convert`.

    Raises:
        StyleLoomError: what :func:`convert` refuses, or a cache that cannot be written.
    """
    file = path.stat()
    key = checkpoint.fingerprint([str(path.resolve()), file.st_size, file.st_mtime_ns], [])
    kept = check_folder(cache_folder() / "converted") / f"{path.stem}-{key[:16]}.safetensors"
    if not kept.exists():
        convert(path, kept)
    return kept


def convert(
    source: str | Path,
    out: str | Path,
    *,
    encoder: str | Path | None = None,
    other: str | Path | None = None,
    resolution: int | None = None,
    license: str = "unknown",
) -> dict[str, Any]:
    """Write a network of another project as a model file.

    Nothing in the source is ever run; a file that asks for more than tensors is refused.

    Args:
        source: a ``.pkl`` of NVIDIA's ProGAN, StyleGAN or StyleGAN2, a checkpoint of rosinality's repositories, a style
            network of pytorch/examples, rrmina or naoto0804, or a generator of pytorch-CycleGAN-and-pix2pix or pix2pixHD.
        out: a ``.safetensors``.
        encoder: naoto0804's ``vgg_normalised.pth``, for its decoder.
        other: the second generator of a CycleGAN, which goes back.
        resolution: side in pixels to which a growing network of rosinality was trained, where its name does not say.
        license: what the file may be used for, noted in the model.

    Returns:
        ``kind``, ``config`` and ``numbers``, how many there are.

    Raises:
        StyleLoomError: no such file, a damaged, foreign or hostile one, another network, or another suffix.
    """
    out = Path(out)
    checkpoint.check_model_path(out)
    kind, tensors, config = convert_official(
        Path(source), encoder=Path(encoder) if encoder else None, other=Path(other) if other else None, resolution=resolution
    )
    if kind in GENERATORS:
        estimate = "G.mapping.w_avg" not in tensors  # in files of projects that estimate it each time
        if estimate:
            tensors["G.mapping.w_avg"] = torch.zeros(config["G"].get("w_dim", 0))
        files = GENERATORS[kind].FILES
        built = {key: files.build(source, key, tensors, config) for key in "GD" if config.get(key)}
        if estimate:
            tensors["G.mapping.w_avg"] = built["G"].estimate_w_avg()
    checkpoint.save_model(out, tensors, kind=kind, config=config, license=license)
    return dict(kind=kind, config=config, numbers=sum(tensor.numel() for tensor in tensors.values()))


def load_generator(model: str | Path, device: str | torch.device = "cpu", precision: str = "fp32") -> Generator:
    """Load a generator onto a device, in fp32 or with its four highest resolutions in bf16.

    Raises:
        StyleLoomError: no such model, one that is no generator, or bf16 where that cannot be had.
    """
    dtype = precision_on(torch.device(device), precision)
    generator = load(model)
    if not isinstance(generator, Generator):
        raise StyleLoomError(f"{model} is no generator of images; choose a progan, stylegan or stylegan2 model")
    if dtype != torch.float32:
        if not isinstance(generator, stylegan2.Generator):
            raise StyleLoomError(f"{model} is computed in fp32 only; bf16 is for StyleGAN2")
        stylegan2.reduce_precision(generator.synthesis, dtype)
    return generator.to(device)
