"""Directions found from what people have: labels, folders, networks; and what they show and change."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.files import replacing
from styleloom.core.progress import Progress
from styleloom.core.settings import Range
from styleloom.data import images
from styleloom.data.datasets import SquareImages
from styleloom.nn.generators import Generator
from styleloom.nn.labeler import Labeler
from styleloom.papers import directions as papers
from styleloom.papers.directions import Directions, Labels

from . import inversion
from .latents import load_latents

NONE = "none"  # the choice that means that something is not there


def attribute_labels(network: Labeler, resolution: int, names: Sequence[str]) -> tuple[list[str], Labels]:
    """Attributes of images by a labeler, as numbers that have gradients.

    A number is itself. A choice between "none" and others is its log-odds of not being none, under its own name; each other
    choice is log-odds, as ``hair_color:red``.

    Args:
        network: a network of the images' resolution.
        resolution: resolution of these.
        names: to take; all by default.

    Raises:
        StyleLoomError: a name that it does not tell, or another resolution.
    """
    if network.resolution != resolution:
        raise StyleLoomError(f"this network tells images of {network.resolution} px, and the generator's have {resolution}")
    network = network.eval().requires_grad_(False)
    known: dict[str, tuple[str, int]] = {name: (name, index) for index, name in enumerate(network.numbers)}
    for name, choices in network.choices.items():
        if NONE in choices:
            known[name] = (name, -1)
        known |= {f"{name}:{choice}": (name, index) for index, choice in enumerate(choices) if choice != NONE}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise StyleLoomError(f"no attributes {unknown}; there are {', '.join(known)}")
    chosen = [known[name] for name in names or known]

    def label(image: Tensor) -> Tensor:
        numbers, logits = network(image)
        columns = []
        for name, index in chosen:
            if name in network.numbers:
                columns.append(numbers[:, index])
                continue
            own = network.choices[name].index(NONE) if index < 0 else index
            others = [other for other in range(logits[name].shape[1]) if other != own]
            odds = logits[name][:, own] - logits[name][:, others].logsumexp(1)
            columns.append(-odds if index < 0 else odds)
        return torch.stack(columns, 1)

    return list(names or known), label


@torch.no_grad()
def from_labeler(
    generator: Generator, label: Labels, names: Sequence[str], layers: range | None = None, *, samples: int = 4_000
) -> Directions:
    """Directions of each attribute that a network tells of a generator's own images (InterFaceGAN).

    Args:
        generator: the generator whose latent space is examined.
        label: images to numbers [N, K].
        names: names of these K.
        layers: layers that are moved; all by default.
        samples: images.
    """
    ws = generator.map(range(samples))
    labels = papers.labels_of(generator, label, ws)
    found = {name: papers.interfacegan(generator, ws[:, 0], labels[:, index], name) for index, name in enumerate(names)}
    return {name: each.in_layers(layers) for name, each in found.items()} if layers else found


@dataclass(frozen=True)
class Inverted(Progress):
    """Progress of :func:`inverted`.

    Attributes:
        ws: [N, num_ws, w_dim] so far.
        labels: [N], of each image 0 or 1.
    """

    ws: Tensor = field(default_factory=lambda: torch.empty(0))
    labels: Tensor = field(default_factory=lambda: torch.empty(0))


def two_classes(source: Path, side: int) -> SquareImages:
    """The images of a folder or zip that has two folders, one without and one with what is looked for.

    Raises:
        StyleLoomError: not two folders, or no images.
    """
    dataset = SquareImages(source, side, conditional=True)
    if len(dataset.classes) != 2:
        raise StyleLoomError(f"{source} has {len(dataset.classes)} classes; wanted two folders, one without and one with it")
    return dataset


def inverted(generator: Generator, dataset: SquareImages, *, num_steps: int = 20) -> Iterator[Inverted]:
    """The latents and labels of images, by the learned optimizer where there is one; damaged ones are left out.

    Raises:
        StyleLoomError: not an image can be read.
    """
    began = time.perf_counter()
    tools, config = inversion.tools_of(generator), inversion.configure(num_steps=num_steps)
    parts, labels = list[Tensor](), list[int]()
    for start in range(0, len(dataset), config.batch):
        indices = range(start, min(start + config.batch, len(dataset)))
        readable = [(index, image) for index in indices if (image := dataset.read(index)) is not None]
        if readable:
            targets = torch.stack([image for _, image in readable])
            *_, last = inversion.steps(generator, targets, config, tools)
            parts.append(last.ws)
            labels += [dataset.labels[index] for index, _ in readable]
        if not parts:
            continue
        seconds = time.perf_counter() - began
        yield Inverted(indices.stop, len(dataset), {}, seconds, torch.cat(parts), torch.tensor(labels, dtype=torch.float32))
    if not parts:
        raise dataset.images.unreadable()


def from_table(generator: Generator, rows: Sequence[Sequence[str]], source: Path) -> tuple[Tensor, dict[str, Tensor]]:
    """Latents and labels of a table: a header, and of each row a seed or file of latents, and numbers.

    Raises:
        StyleLoomError: no rows, columns that are missing, or what is no number.
    """
    rows = [row for row in rows if row]
    if len(rows) < 3 or len(rows[0]) < 2:
        raise StyleLoomError(f"{source} has {len(rows)} rows; wanted a header, and of each row a seed or file and numbers")
    header, *body = rows
    wrong = next((index for index, row in enumerate(body, 2) if len(row) != len(header)), None)
    if wrong is not None:
        raise StyleLoomError(f"row {wrong} of {source} has {len(body[wrong - 2])} columns, and the header has {len(header)}")
    try:
        numbers = torch.tensor([[float(each) for each in row[1:]] for row in body])
    except ValueError as error:
        raise StyleLoomError(f"{source}: {error}; labels are numbers") from error
    seeds = [row[0].strip() for row in body]
    if all(each.isdigit() for each in seeds):
        ws = generator.map([int(each) for each in seeds])
    else:
        paths = [path if path.exists() else source.parent / path for path in map(Path, seeds)]
        ws = torch.cat([load_latents(path, generator).ws[:1] for path in paths])
    return ws, {name.strip(): numbers[:, index] for index, name in enumerate(header[1:])}


def named(directions: Directions, names: Sequence[str]) -> Directions:
    """Some of the directions, or all.

    Raises:
        StyleLoomError: there are none, or none of a name.
    """
    unknown = [name for name in names if name not in directions]
    if unknown or not directions:
        have = ", ".join(directions) or "none for this generator: styleloom directions fit"
        raise StyleLoomError(f"no directions {unknown}; there are {have}" if unknown else f"there are {have}")
    return {name: directions[name] for name in names or directions}


def sheet(
    generator: Generator, directions: Directions, seeds: Sequence[int], *, columns: int = 5, truncation_psi: float = 0.7
) -> Tensor:
    """A row a direction and seed, a column a strength, from the lowest to the highest: [1, 3, H, W] in [0, 1].

    Raises:
        StyleLoomError: fewer than two columns.
    """
    Range(2, 100).check("columns", columns, whole=True)
    ws = generator.map(seeds, truncation_psi=truncation_psi)
    rows = []
    for direction in directions.values():
        strengths = torch.linspace(direction.low, direction.high, columns).tolist()
        for each in ws.split(1):
            moved = torch.cat([papers.edited(each, [(direction, strength)]) for strength in strengths])
            rows.append(torch.cat(list(generator.render(moved))))
    return images.grid(rows)


def measured(
    generator: Generator, directions: Directions, label: Labels, names: Sequence[str], *, samples: int = 100
) -> dict[str, Any]:
    """Effects of directions as plain values.

    For each direction and attribute: the mean change at strength 1, its mean size, and the correlation of change and strength.
    """
    found = papers.effects(generator, directions, label, names, samples=samples)
    tables = dict(mean=found.mean, size=found.size, correlation=found.correlation)
    rows = {
        name: {
            key: {attribute: round(float(table[row, column]), 4) for column, attribute in enumerate(names)}
            for key, table in tables.items()
        }
        for row, name in enumerate(found.directions)
    }
    return dict(attributes=list(names), samples=samples, directions=rows)


def write_table(values: dict[str, Any], path: Path) -> None:
    """Write :func:`measured`'s values as JSON."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n")
