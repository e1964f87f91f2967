"""``styleloom directions``: what a generator's images can be edited along."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from styleloom.core.checkpoint import check_model_path
from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.core.settings import Range
from styleloom.data import images
from styleloom.jobs.engine import check_apart
from styleloom.models import load_generator
from styleloom.nn.generators import Generator
from styleloom.nn.labeler import load as load_labeler
from styleloom.papers import directions as papers
from styleloom.papers.directions import Directions
from styleloom.tasks import attribute_directions as tasks
from styleloom.tasks import editing
from styleloom.tasks.sampling import layer_range

from .generate import numbers
from .options import Common
from .report import Report

METHODS = ("interfacegan", "ganspace", "sefa", "least-squares", "import")


def fit(
    model: str,
    *,
    out: Path,
    method: str = "interfacegan",
    labels: str | None = None,
    labeler: str | None = None,
    name: list[str] = [],  # noqa: B006 (typer copies it)
    file: list[str] = [],  # noqa: B006
    layers: str = "all",
    count: int = 10,
    samples: int = 4000,
    conditional: bool = False,
    damping: float = 0.03,
    reach: float = 3.0,
    license: str = "unknown",
    common: Common,
) -> None:
    """Find directions: from labels, or without any.

    Args:
        model: a name from "styleloom zoo", or a model file.
        out: file of directions to write (.safetensors).
        method: interfacegan (from labels), least-squares (from a network that tells attributes), ganspace (principal
            components), sefa (eigenvectors of the affine maps), or import (files of InterFaceGAN and GANSpace).
        labels: for interfacegan: a folder or zip of two folders of photographs, which are inverted, or a CSV of seeds or files of
            latents in its first column and numbers, a column a label, in the others.
        labeler: for interfacegan and least-squares: a network that tells attributes, as toonfaces-attributes.
        name: labels or attributes to take; all by default. May be given several times.
        file: for import: a file; may be given several times.
        layers: layers that are moved: coarse, middle, fine, all, or numbers as 0-3.
        count: number of components.
        samples: images, of a labeler or of ganspace.
        conditional: make each direction orthogonal to all others.
        damping: damping of least-squares: more keeps directions shorter, less keeps them purer.
        reach: the strength, up and down, to which images stay sensible; noted in the file.
        license: what the file may be used for, noted in it.
    """
    report = Report(common)
    check_model_path(out)
    check_apart([out], [model, *file, *(each for each in (labels, labeler) if each)])
    check_choice("method", method, METHODS)
    uses = dict(labels=("interfacegan",), labeler=("interfacegan", "least-squares"), file=("import",))
    uses |= dict(name=uses["labeler"], layers=tuple(each for each in METHODS if each != "import"))
    given = dict(labels=labels, labeler=labeler, file=file, name=name, layers=layers != "all")
    if labels and labeler:
        raise StyleLoomError("--labels and --labeler both say what is in the images; leave one out")
    for flag, value in given.items():
        if value and method not in uses[flag]:
            raise StyleLoomError(f"--{flag} does nothing with the method {method}; leave it out")
    generator = load_generator(model, common.torch_device())
    chosen = layer_range(layers, generator.num_ws)
    found = _found(report, generator, method, labels, labeler, name, file, chosen, count, samples, damping)
    if conditional:
        if len(found) < 2:
            raise StyleLoomError("there is one direction, so none to make it orthogonal to; leave --conditional out")
        found = {key: papers.conditional(each, [o for n, o in found.items() if n != key]) for key, each in found.items()}
    Range(above=0).check("--reach", reach)
    found = {key: replace(each, low=-reach, high=reach) for key, each in found.items()}
    papers.save(found, out, license)
    report.say(f"wrote {out}  ({len(found)} directions: {', '.join(found)})")
    report.outcome(out=str(out), directions=list(found))


def _found(
    report: Report,
    generator: Generator,
    method: str,
    labels: str | None,
    labeler: str | None,
    names: list[str],
    files: list[str],
    layers: range,
    count: int,
    samples: int,
    damping: float,
) -> Directions:
    if method == "ganspace":
        return papers.ganspace(generator, count, layers, samples=samples)
    if method == "sefa":
        return papers.sefa(generator, count, layers)
    if method == "import":
        if not files:
            raise StyleLoomError("import needs files; give --file")
        return {name: each for file in files for name, each in papers.load(file, generator).items()}
    if labeler is None and (labels is None or method == "least-squares"):
        raise StyleLoomError(f"{method} needs {'--labeler' if method == 'least-squares' else '--labels or --labeler'}")
    if labeler is not None:
        network = load_labeler(labeler)
        known, label = tasks.attribute_labels(network, generator.resolution, names)
        if method == "least-squares":
            loop = papers.least_squares(generator, label, known, layers, samples=samples, damping=damping)
            *_, last = report.watch(loop, "gradients")
            return last.directions
        return tasks.from_labeler(generator, label, known, layers, samples=samples)
    ws, table = _labeled(report, generator, Path(str(labels)))
    missing = [each for each in names if each not in table]
    if missing:
        raise StyleLoomError(f"no labels {missing}; there are {', '.join(table)}")
    return {
        name: papers.interfacegan(generator, ws, values, name).in_layers(layers)
        for name, values in table.items()
        if not names or name in names
    }


def _labeled(report: Report, generator: Generator, source: Path) -> tuple[Tensor, dict[str, Tensor]]:
    """Latents [N, num_ws, w_dim] and numbers [N] by label, from two classes of images or a CSV."""
    if source.is_dir() or source.suffix.lower() == ".zip":
        dataset = tasks.two_classes(source, generator.resolution)
        *_, last = report.watch(tasks.inverted(generator, dataset), "inverting")
        for name, reason in dataset.damaged.items():
            report.say(f"passed over {name}: {reason}")
        return last.ws, {dataset.classes[1]: last.labels}
    try:
        with source.open(newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StyleLoomError(f"cannot read {source}: wanted two folders in a folder or zip, or a CSV with a header") from error
    return tasks.from_table(generator, rows, source)


def show(model: str, *, directions: list[str] = [], common: Common) -> None:  # noqa: B006 (typer copies it)
    """List the directions of a generator, with the strengths between which its images stay sensible.

    Args:
        model: a name from "styleloom zoo", or a model file.
        directions: files of further directions; may be given several times.
    """
    report = Report(common)
    generator = load_generator(model, common.torch_device())
    found = editing.directions_of(generator, directions)
    for each in found.values():
        report.say(f"{each.name:20} {each.low:+.2g} to {each.high:+.2g}   {each.method}")
    if not found:
        report.say("none; find some with: styleloom directions fit")
    report.outcome(directions={each.name: dict(low=each.low, high=each.high, method=each.method) for each in found.values()})


def sheet(
    model: str,
    *,
    out: Path,
    directions: list[str] = [],  # noqa: B006 (typer copies it)
    name: list[str] = [],  # noqa: B006
    seeds: str = "0-1",
    columns: int = 5,
    psi: float = 0.7,
    common: Common,
) -> None:
    """Make a sheet of directions: a row a direction and seed, a column a strength.

    Args:
        model: a name from "styleloom zoo", or a model file.
        out: image to write.
        directions: files of further directions; may be given several times.
        name: directions to show; all by default. May be given several times.
        seeds: as 0-3 or 1,5.
        columns: strengths, from a direction's lowest to its highest.
        psi: truncation of the seeds.
    """
    report = Report(common)
    images.check_writable(out)
    check_apart([out], [model, *directions])
    generator = load_generator(model, common.torch_device())
    found = tasks.named(editing.directions_of(generator, directions), name)
    image = tasks.sheet(generator, found, numbers(seeds), columns=columns, truncation_psi=psi)
    images.write(image, out)
    report.say(f"wrote {out}  ({image.shape[3]} x {image.shape[2]}: {', '.join(found)})")
    report.outcome(out=str(out), directions=list(found))


def measure(
    model: str,
    *,
    labeler: str,
    out: Path | None = None,
    directions: list[str] = [],  # noqa: B006 (typer copies it)
    name: list[str] = [],  # noqa: B006
    samples: int = 100,
    common: Common,
) -> None:
    """Measure what directions change: a table of attributes, by a network that tells them.

    Args:
        model: a name from "styleloom zoo", or a model file.
        labeler: a network that tells attributes, as toonfaces-attributes.
        out: JSON file to write the table to.
        directions: files of further directions; may be given several times.
        name: directions to measure; all by default. May be given several times.
        samples: images.
    """
    report = Report(common)
    generator = load_generator(model, common.torch_device())
    found = tasks.named(editing.directions_of(generator, directions), name)
    known, label = tasks.attribute_labels(load_labeler(labeler), generator.resolution, [])
    values: dict[str, Any] = tasks.measured(generator, found, label, known, samples=samples)
    for direction, row in values["directions"].items():
        main = max(row["mean"], key=lambda each: abs(row["mean"][each]))
        others = sorted((each for each in known if each != main), key=lambda each: -abs(row["mean"][each]))[:3]
        also = ", ".join(f"{each} {row['mean'][each]:+.2f}" for each in others)
        report.say(f"{direction:16} {main} {row['mean'][main]:+.2f} (correlation {row['correlation'][main]:.2f}); also {also}")
    if out is not None:
        tasks.write_table(values, out)
    report.outcome(**values)
