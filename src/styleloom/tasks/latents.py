"""Latents as files: StyleLoom's own, and those that other projects write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styleloom.core import checkpoint, pth
from styleloom.core.arrays import read_arrays, read_tensor
from styleloom.core.errors import StyleLoomError
from styleloom.data.frames import Frame
from styleloom.nn.generators import Generator, generator_id

KIND = "latents"


@dataclass(frozen=True)
class Latents:
    """Latents, and where they come from.

    Attributes:
        ws: [N, num_ws, w_dim].
        noise: noise maps [N, 1, H, W], where they were descended on.
        frame: the square of the photograph that they stand for.
        photo: file of the photograph.
        metrics: how near their images are.
    """

    ws: Tensor
    noise: tuple[Tensor, ...] = ()
    frame: Frame | None = None
    photo: str = ""
    metrics: dict[str, float] = field(default_factory=dict)


def save_latents(
    path: Path,
    ws: Tensor,
    generator: Generator,
    noise: Sequence[Tensor] = (),
    *,
    frame: Frame | None = None,
    photo: str = "",
    metrics: Mapping[str, float] | None = None,
) -> None:
    """Write latents in full precision.

    Args:
        path: a ``.safetensors``.
        ws: [N, num_ws, w_dim].
        generator: the generator whose they are, noted in the file.
        noise: noise maps [N, 1, H, W], as ``noise.0`` and so on.
        frame: the square of the photograph that they stand for.
        photo: file of the photograph.
        metrics: how near their images are.
    """
    tensors = {"ws": ws.cpu()} | {f"noise.{index}": each.cpu() for index, each in enumerate(noise)}
    config: dict[str, Any] = dict(generator=generator_id(generator))
    config |= dict(frame=asdict(frame)) if frame else {}
    config |= dict(photo=photo) if photo else {}
    config |= dict(metrics=dict(metrics)) if metrics else {}
    checkpoint.save_model(path, tensors, kind=KIND, config=config, license="unknown")


def load_latents(path: str | Path, generator: Generator) -> Latents:
    """Latents from a file that :func:`save_latents` wrote, or from NVIDIA's projector (``projected_w.npz``).

    Args:
        path: path of the file.
        generator: the generator whose latents they must be.

    Raises:
        StyleLoomError: no such file, one of another kind, or of another generator.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return Latents(_fitted(_projected(path), path, generator))
    if suffix == ".npy":
        return Latents(_fitted(read_tensor(path), path, generator))
    if suffix in pth.SUFFIXES:
        return Latents(_fitted(_foreign_ws(path), path, generator))
    tensors, config = checkpoint.read_model(path, KIND)
    if config["generator"] != generator_id(generator):
        raise StyleLoomError(f"{path} holds latents of another generator; invert its images again with this one")
    noise = tuple(tensors[f"noise.{index}"].to(generator.device) for index in range(len(tensors) - 1))
    frame = Frame(**config["frame"]) if "frame" in config else None
    return Latents(tensors["ws"].to(generator.device), noise, frame, config.get("photo", ""), config.get("metrics", {}))


def _projected(path: Path) -> Tensor:
    """``w`` of NVIDIA's ``projected_w.npz``: [1, num_ws, w_dim], or [1, 1, w_dim] for all layers."""
    held = read_arrays(path)
    if "w" not in held:
        raise StyleLoomError(f"{path} holds {', '.join(held)}; wanted w, as NVIDIA's projector writes it")
    return torch.from_numpy(held["w"]).float()


def _fitted(ws: Tensor, path: Path, generator: Generator) -> Tensor:
    """Latents of one image or several as [N, num_ws, w_dim]; a single w serves all layers.

    Raises:
        StyleLoomError: latents of another shape.
    """
    shape = list(ws.shape)
    if ws.ndim == 1 or (ws.ndim == 2 and ws.shape[0] != generator.num_ws):
        ws = ws.view(-1, 1, ws.shape[-1])  # a w for each image
    ws = ws[None] if ws.ndim == 2 else ws
    ws = ws.expand(-1, generator.num_ws, -1) if ws.ndim == 3 and ws.shape[1] == 1 else ws
    if ws.ndim != 3 or ws.shape[1:] != (generator.num_ws, generator.w_dim):
        raise StyleLoomError(
            f"{path} holds latents of shape {shape}; this generator wants [N, {generator.num_ws}, {generator.w_dim}]"
        )
    return ws.to(generator.device).contiguous()


def _foreign_ws(path: Path) -> Tensor:
    """Latents of another project: a tensor (e4e, SOAT), or ``{file: {"latent": ...}}`` of rosinality's projector.

    Raises:
        StyleLoomError: no latents, with what is there instead.
    """
    held = pth.read_checkpoint(path)
    if isinstance(held, Tensor):
        return held.detach().float()
    entries = list(held.values()) if isinstance(held, dict) else []
    found = [each["latent"] for each in entries if isinstance(each, dict) and isinstance(each.get("latent"), Tensor)]
    if isinstance(held, dict) and isinstance(held.get("latent"), Tensor):
        found = [held["latent"]]
    if found and len(found) == max(1, sum(isinstance(each, dict) for each in entries)):
        return torch.stack([each.detach().float() for each in found]) if found[0].ndim < 3 else torch.cat(found).float()
    raise StyleLoomError(_description(path, held))


def _description(path: Path, held: Any) -> str:
    """An error for a checkpoint of another project that was given for latents."""
    state = held.get("state_dict", held) if isinstance(held, dict) else {}
    encodes = isinstance(state, dict) and any(str(key).startswith("encoder.") for key in state)
    if encodes and any(str(key).startswith("decoder.") for key in state):
        return (
            f"{path} is a checkpoint of a pSp, e4e or ReStyle encoder, which StyleLoom does not run: convert its generator with "
            "styleloom convert, and invert with the learned optimizer or an encoder of your own (styleloom train encoder)"
        )
    return (
        f"{path} holds no latents; wanted a .safetensors of styleloom invert, projected_w.npz of NVIDIA's projector, or a tensor "
        "(.pt, .npy)"
    )
