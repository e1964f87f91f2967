"""``styleloom evaluate``: how good a generator is."""

from __future__ import annotations

from dataclasses import dataclass

from styleloom import jobs
from styleloom.jobs import Finished
from styleloom.nn.vgg_files import EMBEDDED
from styleloom.tasks.evaluation import LABELER

from .generate import numbers
from .options import Common, EngineOptions
from .report import Report

USUAL_SAMPLES = 50_000


@dataclass(frozen=True)
class Networks:
    """Options on the networks that measure.

    Args:
        features: vgg19-lite, or Inception's file of torch-fidelity or pytorch-fid, by path or hf:// address.
        attributes: the network that tells attributes, for separability.
    """

    features: str = EMBEDDED
    attributes: str = LABELER


def evaluate(
    model: str,
    data: list[str] | None = None,
    *,
    metrics: str = "fd,kid,pr",
    samples: int = 10_000,
    psi: float = 1.0,
    seeds: str = "0",
    resolution: int = 0,
    networks: Networks,
    engine: EngineOptions,
    common: Common,
) -> None:
    """Measure a generator: how near its images are to real ones, and how its latent space is laid out.

    A folder of made images is measured like a generator, by the distances of the two sets.

    Args:
        model: a name from "styleloom zoo", a model file, or a folder or zip of made images.
        data: folders or zips of real images that it was not trained on.
        metrics: some of fd (Fréchet distance), fid (the same, by Inception alone), kid, pr (precision and recall), ppl
            (path length) and separability, with commas.
        samples: images made, and real ones at most.
        psi: truncation of the images that are compared with real ones.
        seeds: repeat all with other latents: 0-2 gives means of three, and their ranges.
        resolution: side that folders of images are compared at; 0: that of the first made image.
    """
    report = Report(common)
    events = jobs.evaluate(
        model,
        data or None,
        metrics=[name.strip() for name in metrics.split(",") if name.strip()],
        samples=samples,
        truncation_psi=psi,
        seeds=numbers(seeds),
        features=networks.features,
        attributes=networks.attributes,
        resolution=resolution,
        engine=engine.chosen(),
        limits=common.limits(),
    )

    def outcome(finished: Finished) -> str:
        values = finished.values
        lines = []
        for name, figures in values.get("figures", {}).items():
            spread = f"  ({min(figures):.4g} to {max(figures):.4g})" if len(figures) > 1 else ""
            lines.append(f"{name:32} {values['means'][name]:.4g}{spread}")
        if values.get("features"):
            real, made = values["images"], values["made"]
            if made < USUAL_SAMPLES:
                lines.append(f"distances of {made} samples are biased upwards; published ones take {USUAL_SAMPLES:,}")
            lines.append(f"compared by {values['features']}; {made} samples at psi {psi:g}, {real} real images")
        if values.get("perceptual"):
            lines.append(f"path lengths by {values['perceptual']}")
        return "\n".join(lines)

    report.follow(events, lambda event: f"seed {event.item}: {event.seconds:.1f} s", outcome)
