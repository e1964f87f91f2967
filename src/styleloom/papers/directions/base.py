"""A direction of latent space: how far it reaches, its files, and those of other projects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from styleloom.core import checkpoint
from styleloom.core.arrays import read_arrays, read_tensor
from styleloom.core.errors import StyleLoomError
from styleloom.core.pth import SUFFIXES
from styleloom.core.settings import Range
from styleloom.nn.generators import Generator, check_made_for, generator_id

KIND = "directions"
SAMPLES = 4_000  # of w, that spreads are measured on


@dataclass(frozen=True, eq=False)
class Direction:
    """A change of w.

    Attributes:
        name: what changes.
        vector: [num_ws, w_dim], what strength 1 adds to ws; rows of layers that it leaves alone are 0.
        generator: the generator's :func:`~styleloom.nn.generators.generator_id`; empty: any of this shape.
        method: how it was found.
        low, high: strengths between which images stay sensible.
    """

    name: str
    vector: Tensor
    generator: str = ""
    method: str = ""
    low: float = -3.0
    high: float = 3.0

    def in_layers(self, layers: range) -> Direction:
        """The same, for some layers only."""
        chosen = torch.zeros(len(self.vector), 1)
        chosen[layers.start : layers.stop] = 1
        return replace(self, vector=self.vector * chosen.to(self.vector))


Directions = dict[str, Direction]


def edited(ws: Tensor, changes: Iterable[tuple[Direction, float]]) -> Tensor:
    """Ws [N, num_ws, w_dim] moved along directions, each by a strength.

    Raises:
        StyleLoomError: latents of another shape, or a strength that is no number.
    """
    for direction, strength in changes:
        Range().check(f"the strength of {direction.name}", strength)
        if ws.shape[1:] != direction.vector.shape:
            raise StyleLoomError(
                f"latents of shape {list(ws.shape)}; {direction.name} moves [N, {', '.join(map(str, direction.vector.shape))}]"
            )
        ws = ws + strength * direction.vector.to(ws)
    return ws


def scaled(generator: Generator, vector: Tensor, *, samples: int = SAMPLES) -> Tensor:
    """A direction at the length at which strength 1 is one standard deviation of w along it.

    Args:
        generator: the generator whose w is examined.
        vector: [w_dim] for all layers, or [num_ws, w_dim]; rows of 0 stay 0.
        samples: samples of w.

    Returns:
        [num_ws, w_dim].

    Raises:
        StyleLoomError: another shape, or no direction at all.
    """
    rows = vector.detach().float().to(generator.device)
    rows = rows.expand(generator.num_ws, -1) if rows.ndim == 1 or len(rows) == 1 else rows
    if rows.shape != (generator.num_ws, generator.w_dim):
        raise StyleLoomError(
            f"a direction of shape {list(vector.shape)}; this generator wants [{generator.w_dim}] or "
            f"[{generator.num_ws}, {generator.w_dim}]"
        )
    if not bool(rows.isfinite().all()) or not bool(rows.any()):
        raise StyleLoomError("a direction without a length leads nowhere; give one that is not 0")
    unit = F.normalize(rows, dim=1)
    w = generator.map(range(samples))[:, 0]  # [N, w_dim]
    return unit * (w @ unit.T).std(0)[:, None]


def save(directions: Directions, path: Path, license: str = "unknown") -> None:
    """Write directions of one generator into a model file, in half precision.

    Raises:
        StyleLoomError: none, or directions of several generators.
    """
    made_for = {direction.generator for direction in directions.values()}
    if len(made_for) != 1:
        raise StyleLoomError(f"directions of {len(made_for)} generators; a file holds those of one")
    tensors = {name: direction.vector.half().cpu().contiguous() for name, direction in directions.items()}
    about = {name: dict(method=each.method, low=each.low, high=each.high) for name, each in directions.items()}
    checkpoint.save_model(path, tensors, kind=KIND, config=dict(generator=made_for.pop(), directions=about), license=license)


def load(name: str | Path, generator: Generator | None = None) -> Directions:
    """Directions from a name in the zoo, a path or ``hf://owner/repo/file``, or from another project's file.

    Args:
        name: file of StyleLoom; or a boundary of InterFaceGAN or another direction (``.npy``, ``.pt``),
            or components of GANSpace (``.npz``).
        generator: the generator that it must be made for; another project's file needs it.

    Raises:
        StyleLoomError: no such file, one of another kind, or directions of another generator.
    """
    path = Path(name)
    if path.suffix.lower() in (".npy", ".npz", *SUFFIXES):
        return _foreign(path, generator)
    tensors, config = checkpoint.read_model(name, KIND)
    with checkpoint.rebuilding(name):
        about: dict[str, dict[str, Any]] = config["directions"]
        found = {}
        for key, details in about.items():
            current = key.replace("grey", "gray")  # versions 0.1 and 0.2 wrote "grey"
            found[current] = Direction(current, tensors[key].float(), config["generator"], **details)
        if len({each.vector.shape for each in found.values()}) != 1 or next(iter(found.values())).vector.ndim != 2:
            raise ValueError("vectors of several shapes")
    if generator is not None:
        check_made_for(str(name), config["generator"], generator)
    return found


def named_in_order(generator: Generator, prefix: str, vectors: Tensor, layers: range | None, method: str) -> Directions:
    """Name vectors [K, w_dim] by their order, such as pc0, and restrict them to layers."""
    made = {}
    for index, vector in enumerate(vectors):
        rows = vector.float().expand(generator.num_ws, -1).cpu()
        direction = Direction(f"{prefix}{index}", rows, generator_id(generator), method)
        made[direction.name] = direction.in_layers(layers) if layers else direction
    return made


def _foreign(path: Path, generator: Generator | None) -> Directions:
    """InterFaceGAN's boundaries, and GANSpace's components."""
    if generator is None:
        raise StyleLoomError(f"{path} does not say whose directions it holds; name the generator too")
    held = read_arrays(path) if path.suffix.lower() == ".npz" else {}
    if "lat_comp" in held:
        components = torch.from_numpy(held["lat_comp"]).float().reshape(-1, held["lat_comp"].shape[-1])
        if components.shape[1] != generator.w_dim:
            raise StyleLoomError(
                f"{path} holds components of {components.shape[1]} numbers; this generator's w has {generator.w_dim}"
            )
        stdev = torch.from_numpy(held["lat_stdev"]).float().reshape(-1, 1) if "lat_stdev" in held else 1.0
        return named_in_order(generator, "pc", components * stdev, None, "GANSpace")
    if path.suffix.lower() == ".npz":
        raise StyleLoomError(f"{path} holds {', '.join(held)}; wanted GANSpace's components (lat_comp)")
    vector = read_tensor(path)
    vector = vector.reshape(-1, vector.shape[-1]) if vector.ndim else vector
    return {path.stem: Direction(path.stem, scaled(generator, vector).cpu(), generator_id(generator), "InterFaceGAN")}
