"""Whether what a fast optimizer finds is as good as what a slow one finds: at equal loss, and when it is edited.

    python -m benchmarks.inversion_domain toonfaces-64 held-out.zip

Each held-out image is inverted by tuned Adam for 100 steps, from the mean w, and by the others until they have what that came to;
by the learned optimizer from the encoder's w as well, and with a weak in-domain term. Of these latents: the distance of images by
unit features (Zhang 2018, vgg19-lite), and how far the encoder's w of the image is from them, |w - E(G(w))|^2. For a generator
of toonfaces also edits: w is moved along each attribute's own direction (a regression of what ``toonfaces-attributes`` tells of
4,000 samples on w), by one and by two standard deviations to either side, and the change of the attribute is given as a share
of what it is in the generator's own samples. Medians of images, with intervals of 95% of 1,000 bootstraps:
``results/inversion_domain_<model>.json``.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from benchmarks.inversion import RESULTS, Contender, bootstrapped, case_of, factory_of, parser_of, settings_of, untouched
from torch import Tensor

from styleloom.metrics.image import perceptual_distances
from styleloom.nn import labeler as labeler
from styleloom.nn.generators import Generator
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import load_features
from styleloom.papers import image2stylegan, learned_optimizer
from styleloom.papers.image2stylegan import LAYERS, Encoder, Factory, InversionConfig, Objective
from styleloom.tasks.inversion import Tools

SAMPLES, SHIFTS = 4_000, (-2.0, -1.0, 1.0, 2.0)
DEFAULT = InversionConfig()
CONFIGS = {
    "learned, from the encoder": InversionConfig(init="encoder"),
    "learned, in-domain": InversionConfig(in_domain_weight=1e-4),
}


def found_latents(
    generator: Generator,
    targets: Tensor,
    factory: Factory,
    goals: Tensor | None,
    config: InversionConfig = DEFAULT,
    encoder: Encoder | None = None,
) -> tuple[Tensor, Tensor]:
    """ws and losses of the first step that has each image's goal; without goals, or where it is never met, the best of 100.

    Losses are those of the images, without the in-domain term.
    """
    alone: Objective | None = None  # without the in-domain term
    if config.in_domain_weight:
        alone = Objective(generator, targets, load_features().prepare(targets.device, torch.float32), DEFAULT)
    held, losses = torch.empty(0), torch.full((len(targets),), torch.inf)
    for step in image2stylegan.steps(generator, targets, config, optimizer=factory, encoder=encoder):
        waits = torch.full_like(losses, True, dtype=torch.bool) if goals is None else losses > goals
        if not waits.any():
            break
        each = step.each
        if alone is not None:
            with torch.no_grad():
                each = torch.stack(list(alone(step.ws)[1].values())).sum(0)
        better = waits & (each < losses)
        held = torch.where(better[:, None, None], step.ws, held) if len(held) else step.ws
        losses = torch.where(better, each, losses)
    return held, losses


def directions(generator: Generator, network: labeler.Labeler) -> dict[str, tuple[Tensor, float]]:
    """Each numeric attribute's step of one standard deviation in w, [w_dim], and the mean change that it makes in samples."""
    ws = torch.cat([generator.map(range(start, start + 500))[:, 0] for start in range(0, SAMPLES, 500)])
    whole = ws[:, None].expand(-1, generator.num_ws, -1)
    made = torch.cat([network(each)[0] for each in _images(generator, whole).split(500)])
    centered = ws - ws.mean(0)
    slopes = torch.linalg.lstsq(centered.double(), (made - made.mean(0)).double()).solution.float()  # [w_dim, numbers]
    found = {}
    for name, slope in zip(network.numbers, slopes.unbind(1), strict=True):
        along = centered @ (slope / slope.norm())
        step = slope / slope.norm() * along.std()
        found[name] = step, float(_changes(generator, network, whole[:200], name, step).mean())
    return found


def _images(generator: Generator, ws: Tensor) -> Tensor:
    return torch.cat(list(generator.render(ws)))


def _changes(generator: Generator, network: labeler.Labeler, ws: Tensor, name: str, step: Tensor) -> Tensor:
    """How much the attribute changes for each of ws by a standard deviation along its direction: [N]."""
    told = [network.predict(_images(generator, ws + shift * step))[name] for shift in SHIFTS]
    return sum(value * shift for value, shift in zip(told, SHIFTS, strict=True)) / sum(s * s for s in SHIFTS)  # type: ignore[return-value]


def interval(values: Tensor, seed: int = 0) -> dict[str, float]:
    """Median, and 95% of its bootstraps."""
    array = values.numpy()
    medians = bootstrapped(array, seed)
    figures = dict(median=np.median(array), least=np.percentile(medians, 2.5), most=np.percentile(medians, 97.5))
    return {name: float(f"{value:.4g}") for name, value in figures.items()}


def measured(generator: Generator, features: Features, targets: Tensor, ws: Tensor, tools: Tools) -> dict[str, Tensor]:
    """Distance and, with an encoder, its disagreement: [N] each."""
    image = _images(generator, ws)
    found = {"distance": perceptual_distances(features, image, targets, LAYERS)}
    if tools.encoder is not None:
        with torch.no_grad():
            found["disagreement"] = (ws - tools.encoder.encode(generator, image)).square().mean((1, 2))
    return found


def main() -> None:
    """Measure and write the results."""
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=int, default=100)
    options = parser.parse_args()
    case = case_of(options)
    generator, tools, name = case.generator, case.tools, case.name
    assert tools.learned is not None
    settings, features = settings_of(name), load_features()
    contenders: dict[str, Factory] = {
        f"{each} tuned": factory_of(Contender(each, settings[each]), tools) for each in ("adam", "adam-eigenbasis")
    }
    contenders["learned"] = learned_optimizer.factory(tools.learned)
    encoder = tools.encoder.of(generator) if tools.encoder is not None else None
    if encoder is not None:
        contenders |= dict.fromkeys(CONFIGS, contenders["learned"])
    teller = labeler.load("toonfaces-attributes") if options.model.startswith("toonfaces") else None
    ways = directions(generator, teller) if teller is not None else {}
    parts: dict[str, dict[str, list[Tensor]]] = {label: {} for label in contenders}
    for targets in untouched(case.held_out, options.images).split(20):
        goals: Tensor | None = None
        for label, factory in contenders.items():
            ws, losses = found_latents(generator, targets, factory, goals, CONFIGS.get(label, DEFAULT), encoder)
            goals = losses if goals is None else goals
            kept = {"loss": losses, "never": (losses > goals).float(), **measured(generator, features, targets, ws, tools)}
            for attribute, (step, usual) in ways.items():
                assert teller is not None
                kept[f"edit {attribute}"] = _changes(generator, teller, ws, attribute, step) / usual
            for key, value in kept.items():
                parts[label].setdefault(key, []).append(value)
        print(sum(len(part) for part in parts["learned"]["loss"]), flush=True)
    result: dict[str, Any] = dict(model=options.model, images=options.images)
    for label, each in parts.items():
        never = float(torch.cat(each.pop("never")).mean())
        result[label] = {key: interval(torch.cat(value)) for key, value in each.items()} | dict(never=never)
    (RESULTS / f"inversion_domain_{name}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
