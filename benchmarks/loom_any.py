"""The optimizer of any generator on generators that it was not trained on.

    python -m benchmarks.loom_any portraits-128=held-out.zip runs/pool/sg2-64-facades=facades.zip --trained runs/trained

Each generator with images of its kind, or without any with its own; its eigenbasis and descent maps are made first. All
optimizers minimize the same loss in W+ (``benchmarks/inversion.py``). Adam, and Adam in the eigenbasis, have the settings that
were best on the first 16 images; the figures are of others. L-BFGS inverts one image at a time, the others 16. Optimizers that
need a training have one on each generator, six minutes on one core, from its own images, by

    styleloom train learned-optimizer --generator G --recipe R --synthetic 1 --starts mean,random --num-steps N --out TRAINED/G/R

with the recipes ``gate``, ``lstm`` and ``landscape``. Results go to ``results/loom_any.json``: of each generator and
start the median loss after some steps, the median number of steps to tuned Adam's loss at step 100 with the 90th percentile, and
the ratio of the times to it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.gatys import processor
from benchmarks.inversion import RESULTS, Contender, bootstrapped, curves, factory_of, medians, reached, seconds_a_step, together
from torch import Tensor

from styleloom.core.memory import keep_memory
from styleloom.data.datasets import SquareImages
from styleloom.models import load_generator
from styleloom.nn.generators import Generator
from styleloom.papers import learned_optimizer
from styleloom.papers.image2stylegan import OPTIMIZERS
from styleloom.papers.learned_optimizer import LoomAny
from styleloom.papers.learned_optimizer.optimizer import digest
from styleloom.tasks.tools import Tools, prepare

MARKS = (1, 2, 5, 10, 20, 30, 50, 100)
RATES = {"adam": (0.1, 0.2, 0.4), "adam-eigenbasis": (0.3, 0.6, 1.2)}
BETAS = ((0.9, 0.9),)
FIXED = {"adam, 0.01": Contender("adam", OPTIMIZERS["adam"].fixed), "l-bfgs": Contender("lbfgs", OPTIMIZERS["lbfgs"].tuned)}
TRAINED = ("gate", "lstm", "landscape")
VALIDATION, OWN_SEEDS = 16, 7_000_000


def tuned(generator: Generator, targets: Tensor, name: str, tools: Tools) -> dict[str, Any]:
    """The settings with the lowest mean log loss after 100 steps from the mean w."""
    found = []
    for rate in RATES[name]:
        for betas in BETAS:
            settings: dict[str, Any] = dict(lr=rate, betas=betas)
            losses = curves(generator, targets, factory_of(Contender(name, settings), tools), "mean", tools)
            found.append((float(losses[-1].clamp(min=1e-8).log10().nan_to_num(9).mean()), settings))
    return min(found, key=lambda each: each[0])[1]


def kept(file: Path, make: Callable[[], Any]) -> Any:
    """Load a measurement from its file, or make it and keep it."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(make(), file)
    return torch.load(file)


def measured(name: str, data: str, learned: LoomAny, count: int, runs: Path, trained: Path | None) -> dict[str, Any]:
    """All optimizers on one generator."""
    path = Path(name) / "model.safetensors" if Path(name).is_dir() else name
    generator = load_generator(str(path)).requires_grad_(False)
    *_, made = prepare(generator)
    assert made.basis is not None
    tools = Tools(basis=made.basis, learned=learned.bound(generator, made.basis, made.maps), maps=made.maps)
    if data:
        photos = SquareImages(data, generator.resolution)
        images = torch.stack([photos[index] for index in range(VALIDATION + count)])
    else:
        images = generator.generate(range(OWN_SEEDS, OWN_SEEDS + VALIDATION + count))
    first, targets = images[:VALIDATION], images[VALIDATION:]
    here = runs / f"{Path(name).name}-{'real' if data else 'own'}-{count}"
    settings = {each: kept(here / f"{each}.pt", lambda each=each: tuned(generator, first, each, tools)) for each in RATES}  # type: ignore[misc]
    assert tools.learned is not None
    contenders = {f"{each}, tuned": Contender(each, settings[each]) for each in RATES} | FIXED
    for network in TRAINED if trained is not None else ():
        file = trained / Path(name).name / network / "model.safetensors"  # type: ignore[operator]
        if file.exists():
            contenders[network] = Contender(network=learned_optimizer.load(file))
    contenders["loom-any"] = Contender(network=tools.learned)
    factories = {label: factory_of(each, tools) for label, each in contenders.items()}
    seconds = seconds_a_step(generator, targets[:16], factories, tools, rounds=3)
    result: dict[str, Any] = dict(resolution=generator.resolution, ws=[generator.num_ws, generator.w_dim], settings=settings)
    result |= dict(kind=type(generator).__module__.split(".")[2], images=count, seconds=seconds, starts={})
    for start in ("mean", "random"):
        losses = {}
        for label, each in contenders.items():
            found = partial(curves, generator, targets, factories[label], start, tools, batch=together(each))
            key = label if each.network is None else f"{label}-{digest(each.network)}"
            losses[label] = found() if label == "loom-any" else kept(here / f"{start}-{key}.pt", found)
        goal = losses["adam, tuned"][-1]
        rows = {}
        for label, course in losses.items():
            steps = reached(course, goal)
            at_median = _finite(np.median(steps))
            row: dict[str, Any] = {f"loss at {mark}": float(medians(course)[mark]) for mark in MARKS}
            row |= dict(
                steps=at_median, tenth=_finite(np.percentile(steps, 90, method="nearest")), never=float(np.isinf(steps).mean())
            )
            interval = [_finite(np.percentile(bootstrapped(steps), q, method="nearest")) for q in (2.5, 97.5)]
            row |= dict(interval=interval, worse_at_100=float((course[-1] > goal).float().mean()))
            if at_median:
                batch = str(together(contenders[label]))
                row["speedup"] = 100 * seconds["adam, tuned"][batch] / (at_median * seconds[label][batch])
            rows[label] = row
            print(
                Path(name).name,
                start,
                label,
                {k: v for k, v in row.items() if k in ("loss at 20", "steps", "tenth", "speedup")},
                flush=True,
            )
        result["starts"][start] = rows
    return result


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("generators", nargs="+", metavar="MODEL[=IMAGES]")
    parser.add_argument("--learned", default="loom-any")
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--runs", type=Path, default=Path("runs/loom_any_curves"), help="folder of the other optimizers' losses")
    parser.add_argument("--trained", type=Path, help="folder of optimizers that were trained for each generator")
    options = parser.parse_args()
    keep_memory()
    learned = learned_optimizer.load(options.learned)
    assert isinstance(learned, LoomAny)
    file = RESULTS / "loom_any.json"
    for text in options.generators:
        name, _, data = text.partition("=")
        result = measured(name, data, learned, options.images, options.runs, options.trained)
        found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        found[f"{Path(name).name}, {'real' if data else 'own'}"] = result
        found |= dict(processor=processor(), threads=torch.get_num_threads())
        file.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
