"""How good a shipped generator is: the figures of its model card.

    python -m benchmarks.generator_quality toonfaces-64 held-out.zip toonfaces64.zip --attributes
    python -m benchmarks.generator_quality portraits-128 held-out.zip portraits128.zip

Distances, precision and recall by vgg19-lite (not Inception's: they compare with each other only) between samples and images
that it was not trained on, at psi 1 and 0.7; beside them the floor: the same between those images and as many training
images. Path lengths in z and w and, with ``--attributes``, for generators of toonfaces, linear separability. Everything over
three seeds of latents, noise and choice of images. ``--earlier`` adds the distances of earlier states of the training, by
their files. Results go to ``results/quality_<model>.json``; with ``--part images`` or ``--part latents`` that part of it alone
is measured anew, so that two processes can share the work, and earlier states that were measured before are kept.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor

from styleloom import models
from styleloom.data.datasets import SquareImages
from styleloom.metrics.distribution import frechet_distance, made_images, real_images
from styleloom.metrics.inception import load_embedding
from styleloom.nn.generators import Generator
from styleloom.tasks.evaluation import COMPARING, compared, evaluate

RESULTS = Path(__file__).parent / "results"
SEEDS = (0, 1, 2)
PSIS = (1.0, 0.7)


def summary(runs: list[dict[str, float]]) -> dict[str, Any]:
    """Mean, least and most of each figure that all runs have."""
    return {
        name: {
            key: float(f"{value:.4g}")
            for key, value in zip(
                ("mean", "least", "most"),
                (statistics.mean(values), min(values), max(values)),
                strict=True,
            )
        }
        for name in runs[0]
        if all(name in run for run in runs)
        for values in [[run[name] for run in runs]]
    }


def compared_to(real: Tensor, others: Iterable[Tensor]) -> list[dict[str, float]]:
    """Distances, precision and recall of one set of features [N, D] and each of others, for each seed."""
    return [
        {key: value for name in COMPARING if name != "fid" for key, value in compared(real, other, name, seed).items()}
        for seed, other in zip(SEEDS, others, strict=True)
    ]


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("held_out")
    parser.add_argument("training")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--attributes", action="store_true")
    parser.add_argument("--part", choices=("all", "images", "latents"), default="all")
    parser.add_argument("--earlier", type=Path, nargs="*", default=[], help="model files")
    options = parser.parse_args()
    generator = models.load(options.model)
    assert isinstance(generator, Generator)
    result: dict[str, Any] = dict(model=Path(options.model).stem, samples=options.samples, seeds=SEEDS)
    if options.part != "latents":
        result |= of_images(generator, options)
    if options.part != "images":
        metrics = ["ppl", "separability"] if options.attributes else ["ppl"]
        runs = [list(evaluate(generator, None, metrics, samples=options.samples, seed=seed))[-1].figures for seed in SEEDS]
        result["latent space"] = summary(runs)
    file = RESULTS / f"quality_{result['model'].replace('-', '_')}.json"
    before = json.loads(file.read_text()) if file.exists() and options.part != "all" else {}
    if "earlier" in result and "earlier" in before:
        result["earlier"] = before["earlier"] | result["earlier"]
    file.write_text(json.dumps(before | result, indent=1) + "\n")


def of_images(generator: Generator, options: argparse.Namespace) -> dict[str, Any]:
    """Samples of a generator and of earlier states beside real images."""
    result: dict[str, Any] = {}
    held_out, training = (SquareImages(source, generator.resolution) for source in (options.held_out, options.training))
    embedding = load_embedding()
    real = embedding.of(real_images(held_out, options.samples))
    result |= dict(held_out=len(real), features=embedding.name)
    others = (embedding.of(real_images(training, len(real), seed)) for seed in SEEDS)
    result["floor"] = summary(compared_to(real, others))
    for psi in PSIS:
        sets = (embedding.of(made_images(generator, options.samples, truncation_psi=psi, seed=seed)) for seed in SEEDS)
        result[f"psi {psi:g}"] = summary(compared_to(real, sets))
        print(json.dumps(result), flush=True)
    few = options.samples // 5
    result["earlier"] = {}
    for path in options.earlier:
        earlier = models.load(path)
        assert isinstance(earlier, Generator)
        made = embedding.of(made_images(earlier, few))
        result["earlier"][path.stem] = round(frechet_distance(real[:few], made), 3)
    return result


if __name__ == "__main__":
    main()
