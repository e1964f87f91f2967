"""``styleloom evaluate``: how good a generator is."""

from __future__ import annotations

import statistics

from styleloom.blocks.errors import StyleLoomError
from styleloom.convert.vgg import EMBEDDED
from styleloom.evaluation import LABELLER, METRICS
from styleloom.evaluation import evaluate as evaluation

from .generate import loaded, numbers
from .options import Common
from .report import Report


def evaluate(
    model: str,
    data: list[str] | None = None,
    *,
    metrics: str = "fid,kid,pr",
    samples: int = 10_000,
    psi: float = 1.0,
    seeds: str = "0",
    features: str = EMBEDDED,
    attributes: str = LABELLER,
    common: Common,
) -> None:
    """Measure a generator: how near its pictures are to real ones, and how its latent space is laid out.

    Args:
        model: a name from "styleloom zoo", or a model file.
        data: folders or zips of real pictures that it was not trained on.
        metrics: some of fid, kid, pr (precision and recall), ppl (path length) and separability, with commas.
        samples: pictures made, and real ones at most.
        psi: truncation of the pictures that are compared with real ones.
        seeds: repeat all with other latents: 0-2 gives means of three, and their ranges.
        features: vgg19-lite, or torch-fidelity's Inception file, by path or hf:// address.
        attributes: the network that tells attributes, for separability.
    """
    report = Report(common)
    generator = loaded(model, common)
    chosen = [name.strip() for name in metrics.split(",") if name.strip()]
    if not chosen:
        raise StyleLoomError(f"--metrics is empty; choose some of {', '.join(METRICS)}")
    runs: list[dict[str, float]] = []
    for seed in numbers(seeds):
        loop = evaluation(
            generator,
            data or None,
            chosen,
            samples=samples,
            truncation_psi=psi,
            features=features,
            attributes=attributes,
            seed=seed,
        )
        *_, last = report.watch(loop, title=f"seed {seed}")
        runs.append(last.figures)
    told = {name: [run[name] for run in runs if name in run] for name in runs[0]}
    for name, values in told.items():
        spread = f"  ({min(values):.4g} to {max(values):.4g})" if len(values) > 1 else ""
        report.say(f"{name:32} {statistics.mean(values):.4g}{spread}")
    if last.features:
        report.say(f"compared by {last.features}; {samples} samples at psi {psi:g}, {last.pictures} real pictures")
    if last.perceptual:
        report.say(f"path lengths by {last.perceptual}")
    report.outcome(
        model=model,
        samples=samples,
        psi=psi,
        pictures=last.pictures,
        features=last.features,
        perceptual=last.perceptual,
        figures=told,
    )
