"""How good a shipped generator is: the figures of its model card.

    python -m benchmarks.generator_quality toonfaces-64 held-out.zip toonfaces64.zip --attributes
    python -m benchmarks.generator_quality portraits-64 held-out.zip portraits64.zip

Distances, precision and recall by vgg19-lite (not Inception's: they compare with each other only) between samples and pictures
that it was not trained on, at psi 1 and 0.7; beside them the floor: the same between those pictures and as many training
pictures. Path lengths in z and w and, with ``--attributes``, for generators of toonfaces, linear separability. Everything over
three seeds of latents, noise and choice of pictures. ``--earlier`` adds the distances of earlier states of the training, by
their files. Results go to ``results/quality_<model>.json``.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from styleloom import api
from styleloom.blocks.data import Labelled
from styleloom.blocks.distributions import real_pictures
from styleloom.blocks.generators import Generator
from styleloom.convert.inception import load_embedding
from styleloom.evaluation import COMPARING, compared, evaluate

RESULTS = Path(__file__).parent / "results"
SEEDS = (0, 1, 2)
PSIS = (1.0, 0.7)


def summary(runs: list[dict[str, float]]) -> dict[str, Any]:
    """Mean, least and most of each figure."""
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
        for values in [[run[name] for run in runs]]
    }


def floor(held_out: str, training: str, resolution: int, samples: int) -> list[dict[str, float]]:
    """What two sets of real pictures are apart."""
    embedding = load_embedding()
    sets = [Labelled(source, resolution) for source in (held_out, training)]
    runs = []
    for seed in SEEDS:
        first = embedding.of(real_pictures(sets[0], samples, seed))
        second = embedding.of(real_pictures(sets[1], len(first), seed))
        runs.append({key: value for name in COMPARING for key, value in compared(first, second, name, seed).items()})
    return runs


def measure(generator: Generator, held_out: str, psi: float, metrics: list[str], samples: int) -> tuple[dict[str, Any], str]:
    """Figures over seeds, and the name of the features."""
    runs, name = [], ""
    for seed in SEEDS:
        *_, last = evaluate(generator, held_out, metrics, samples=samples, truncation_psi=psi, seed=seed)
        runs.append(last.figures)
        name = last.features or name
    return summary(runs), name


def distance(model: Path, held_out: str, samples: int) -> float:
    """The Fréchet distance of a model file."""
    generator = api.load(model)
    assert isinstance(generator, Generator)
    *_, last = evaluate(generator, held_out, ["fid"], samples=samples)
    return round(last.figures["fid"], 3)


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("held_out")
    parser.add_argument("training")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--attributes", action="store_true")
    parser.add_argument("--earlier", type=Path, nargs="*", default=[], help="model files")
    options = parser.parse_args()
    generator = api.load(options.model)
    assert isinstance(generator, Generator)
    result: dict[str, Any] = dict(model=Path(options.model).stem, samples=options.samples, seeds=SEEDS)
    runs = floor(options.held_out, options.training, generator.resolution, options.samples)
    result["held_out"] = len(Labelled(options.held_out, generator.resolution))
    result["floor"] = summary(runs)
    for psi in PSIS:
        result[f"psi {psi:g}"], result["features"] = measure(generator, options.held_out, psi, list(COMPARING), options.samples)
        print(json.dumps(result), flush=True)
    result["earlier"] = {path.stem: distance(path, options.held_out, options.samples // 5) for path in options.earlier}
    metrics = ["ppl", "separability"] if options.attributes else ["ppl"]
    result["latent space"] = measure(generator, options.held_out, 1.0, metrics, options.samples)[0]
    print(json.dumps(result["latent space"]))
    name = result["model"].replace("-", "_")
    (RESULTS / f"quality_{name}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
