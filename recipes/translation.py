"""The translation models that ship: pix2pix and CycleGAN, small.

    python -m recipes.translation paintings paintings.zip -o impressionists.zip
    python -m recipes.translation train photo2painting photos256.zip impressionists.zip --out runs/photo2painting
    python -m recipes.translation train edges2portrait portraits128.zip --out runs/edges2portrait
    python -m recipes.translation ship runs/edges2portrait -o edges2portrait.safetensors

``--seconds`` trains for about that long: the number of steps follows from how long the first ones take.
"""

from __future__ import annotations

import argparse
import csv
import io
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from styleloom import models
from styleloom.core import checkpoint
from styleloom.core.run import Hardware, Run
from styleloom.data.pairs import open_domains
from styleloom.loops.fit import MODEL
from styleloom.loops.task import TrainingStep
from styleloom.nn.translator import Translator
from styleloom.papers import cyclegan, pix2pix

IMPRESSIONISTS = (
    "Claude Monet",
    "Vincent van Gogh",
    "Pierre-Auguste Renoir",
    "Paul Cezanne",
    "Alfred Sisley",
    "Camille Pissarro",
    "Berthe Morisot",
)
CHANGED = dict(
    batch=int, num_steps=int, lr=float, width=int, max_width=int, blocks=int, upsample=str
)  # what may differ from the recipe below
TRIAL = 60  # steps that are timed, after as many that are not

PORTRAITS = replace(pix2pix.RECIPES["128-small"], load_size=136)
MODELS: dict[str, tuple[Any, Any, dict[str, Any], str]] = {
    # kind, recipe, how the data are opened, license
    "edges2portrait": (pix2pix, PORTRAITS, dict(aligned=True, derive="edges"), "CC-BY-4.0"),
    "colorize-portrait": (pix2pix, PORTRAITS, dict(aligned=True, derive="gray"), "CC-BY-4.0"),
    "photo2painting": (
        cyclegan,
        replace(
            cyclegan.RECIPES["128-small"],
            size=160,
            load_size=192,
            discriminator_width=32,
            norm="batch",
            identity_weight=0.3,
            batch=2,
            lr=3e-4,
        ),
        dict(aligned=False),
        "Apache-2.0",
    ),
    "toon-hair": (
        cyclegan,
        replace(
            cyclegan.RECIPES["128-small"],
            size=64,
            load_size=64,
            width=16,
            blocks=4,
            discriminator_width=16,
            norm="batch",  # instance norm leaves droplets where an image has large dark areas
            batch=4,
            lr=4e-4,
            num_steps=6000,
        ),
        dict(aligned=False),
        "Apache-2.0",
    ),
}


def paintings(source: Path, out: Path) -> None:
    """Pack the paintings of the impressionists."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(out, "w") as target:
        for row in csv.DictReader(io.StringIO(archive.read("paintings.csv").decode())):
            if row["artist"] in IMPRESSIONISTS:
                target.writestr(row["file"], archive.read(row["file"]))


def ship(run: Path, out: Path) -> None:
    """Write a run's model without its discriminators, which translate nothing."""
    path = run / MODEL
    model = models.load(path, Translator)
    model.discriminators.clear()
    models.TRANSLATION[checkpoint.read_config(path)[0]].save(model, out, checkpoint.license_of(path))


def train(arguments: argparse.Namespace) -> None:
    """Train a model."""
    module, recipe, options, license = MODELS[arguments.model]
    data, *other = arguments.data
    domains = open_domains(str(data), other[0] if other else None, **options)
    changed = {name: value for name in CHANGED if (value := getattr(arguments, name)) is not None}
    recipe = replace(recipe, log_every=20, **changed)
    hardware = Hardware(arguments.device, precision=arguments.precision)

    def run(recipe: Any, out: Path, resume: bool = False) -> Iterator[TrainingStep]:
        base = module.load(arguments.base) if arguments.base else None
        loop: Iterator[TrainingStep] = module.train(
            domains, recipe, run=Run(out, license=license, hardware=hardware, resume=resume), base=base
        )
        return loop

    if arguments.seconds:
        recipe = replace(recipe, num_steps=_steps(run, recipe, arguments.out, arguments.seconds))
    recipe = replace(recipe, save_every=max(1, recipe.num_steps // 10), sample_every=max(1, recipe.num_steps // 10))
    for tick in run(recipe, arguments.out, arguments.resume):
        if tick.index % 100 == 0:
            told = ", ".join(f"{name} {value:.3f}" for name, value in tick.losses.items())
            print(f"step {tick.index} of {tick.total}: {told}; {tick.rate:.1f} examples/s", flush=True)


def _steps(run: Callable[..., Iterator[TrainingStep]], recipe: Any, out: Path, seconds: float) -> int:
    """How many steps fit into the seconds, with those that find it out."""
    begin, start, rate = time.monotonic(), 0.0, 1.0
    trial = run(recipe, out / "trial")
    for tick in trial:
        if tick.index == TRIAL:
            start = time.monotonic()
        if tick.index == 2 * TRIAL:
            rate = TRIAL / (time.monotonic() - start)
            break
    trial.close()  # type: ignore[attr-defined]
    steps = max(1, int(rate * 0.95 * (seconds - (time.monotonic() - begin) - 5)))
    print(f"{rate:.2f} steps a second; {steps} steps", flush=True)
    return steps


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    packing = commands.add_parser("paintings")
    packing.add_argument("source", type=Path)
    packing.add_argument("-o", "--out", type=Path, required=True)
    packing.set_defaults(run=lambda given: paintings(given.source, given.out))
    shipping = commands.add_parser("ship")
    shipping.add_argument("run_folder", type=Path)
    shipping.add_argument("-o", "--out", type=Path, required=True)
    shipping.set_defaults(run=lambda given: ship(given.run_folder, given.out))
    training = commands.add_parser("train")
    training.add_argument("model", choices=MODELS)
    training.add_argument("data", nargs="+")
    training.add_argument("--out", type=Path, required=True)
    training.add_argument("--base", type=Path)
    for name, kind in CHANGED.items():
        training.add_argument(f"--{name.replace('_', '-')}", type=kind)
    training.add_argument("--seconds", type=float, default=0)
    training.add_argument("--device", default="auto")
    training.add_argument("--precision", default="bf16")
    training.add_argument("--resume", action="store_true")
    training.set_defaults(run=train)
    given = parser.parse_args()
    given.run(given)
