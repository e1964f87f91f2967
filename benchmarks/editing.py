"""What edits do: directions, expression transfer, inpainting, noise, pivotal tuning, morphs, the learned optimizer with masks.

python -m benchmarks.editing portraits128-heldout.zip [section ...] writes benchmarks/results/editing.json
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import styleloom as sl
from styleloom.data.datasets import SquareImages
from styleloom.data.masks import shape_mask
from styleloom.drawn import toonfaces
from styleloom.jobs.sources import NEAR
from styleloom.metrics.image import perceptual_distances
from styleloom.nn import labeler
from styleloom.nn.vgg_files import EMBEDDED, load_features
from styleloom.papers import directions, local_edit, pti, stylegan2
from styleloom.papers.image2stylegan import LAYERS
from styleloom.tasks import attribute_directions as found
from styleloom.tasks import editing, inversion
from styleloom.tasks import inpainting as local

OUT = Path(__file__).parent / "results" / "editing.json"
CONTINUOUS = tuple(toonfaces.RANGES)


def portraits(data: Path, count: int, side: int, first: int = 0) -> Tensor:
    """Held-out portraits: [N, 3, side, side] in [0, 1]."""
    dataset = SquareImages(data, side)
    return torch.stack([dataset[place] for place in range(first, first + count)])


def toon_directions(data: Path) -> dict[str, Any]:
    """Plain, conditional, and least squares: correlation of what was asked for with what changed, and what else changed."""
    generator = stylegan2.load("toonfaces-64")
    names, label = found.attribute_labels(labeler.load("toonfaces-attributes"), 64, CONTINUOUS)
    plain = found.from_labeler(generator, label, names, samples=8_000)
    conditional = {name: directions.conditional(each, [o for n, o in plain.items() if n != name]) for name, each in plain.items()}
    shipped = editing.directions_of(generator)
    ours = {name: shipped[name] for name in names}
    values: dict[str, Any] = {}
    for method, chosen, strengths in (
        ("plain", plain, (-2.0, 2.0)),
        ("conditional", conditional, (-2.0, 2.0)),
        ("least squares", ours, (-1.0, 1.0)),
    ):
        told = directions.effects(generator, chosen, label, names, strengths=strengths, samples=200)
        rows = {
            name: dict(correlation=round(float(told.correlation[i, i]), 3), change=round(float(told.mean[i, i]), 3))
            | {f"spill_{key}": round(value, 3) for key, value in told.spill(name, name).items()}
            for i, name in enumerate(names)
        }
        means = {key: round(statistics.mean(row[key] for row in rows.values()), 3) for key in next(iter(rows.values()))}
        values[method] = dict(attributes=rows, mean=means)
    return values


def expression(data: Path, count: int = 200) -> dict[str, Any]:
    """A smile from another face: how much nearer to the renderer's smiling face than the inverted neutral one is."""
    generator = stylegan2.load("toonfaces-64")
    features = load_features(EMBEDDED)
    seeds = range(1_000_500, 1_000_500 + count)
    calm = [replace(toonfaces.attributes(seed), smile=-0.5, mouth_open=0.1) for seed in seeds]
    glad = [replace(face, smile=1.0, mouth_open=0.5) for face in calm]
    model = [replace(toonfaces.attributes(2_000_000 + i), smile=-0.5, mouth_open=0.1) for i in range(16)]
    smiling = [replace(face, smile=1.0, mouth_open=0.5) for face in model]

    def ws_of(faces: list[toonfaces.Attributes]) -> Tensor:
        return sl.invert(generator, toonfaces.render(faces, 64), num_steps=50).ws

    neutral, others = ws_of(calm), ws_of(model)
    # As "styleloom express" does it: small steps from the neutral face's latents, so that little else differs.
    *_, last = inversion.steps(generator, toonfaces.render(smiling, 64), inversion.configure(**NEAR), init=others)
    happy = last.ws
    truth = toonfaces.render(glad, 64)
    before = torch.cat(list(generator.render(neutral)))
    result: dict[str, Any] = {}
    known = editing.directions_of(generator)
    ways = {
        "one pair": sl.express(generator, neutral, others[:1], happy[:1]),
        "mean of 16 pairs": sl.express(generator, neutral, others.mean(0, True), happy.mean(0, True)),
        "directions": sl.edit(generator, neutral, {known["smile"]: 2.0, known["mouth_open"]: 1.2}),
    }
    for title, moved in ways.items():
        after = torch.cat(list(generator.render(moved)))
        mouth = (slice(None), slice(None), slice(34, 54), slice(16, 48))
        nearer = {
            "features": perceptual_distances(features, after, truth, LAYERS)
            < perceptual_distances(features, before, truth, LAYERS),
            "mouth pixels": (after - truth)[mouth].square().mean((1, 2, 3)) < (before - truth)[mouth].square().mean((1, 2, 3)),
        }
        told = labeler.load("toonfaces-attributes")
        smile = [float(told.predict(each)["smile"].mean()) for each in (before, after, truth)]
        result[title] = {f"nearer by {key}": round(float(value.float().mean()), 3) for key, value in nearer.items()} | dict(
            smile_before=round(smile[0], 2), smile_after=round(smile[1], 2), smile_truth=round(smile[2], 2)
        )
    return result


def _opencv(image: Tensor, hole: Tensor, method: str) -> Tensor:
    import cv2

    flag = cv2.INPAINT_TELEA if method == "Telea" else cv2.INPAINT_NS
    mask = ((hole[0, 0].numpy() > 0) * 255).astype(np.uint8)
    filled = [cv2.inpaint((each.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8), mask, 3, flag) for each in image]
    return torch.stack([torch.from_numpy(each).permute(2, 0, 1).float() / 255 for each in filled])


def inpainting(data: Path, count: int = 100, model: str = "portraits-128") -> dict[str, Any]:
    """Feature distance of filled holes to the truth, beside Telea's and Navier-Stokes inpainting (OpenCV), and biharmonic."""
    generator = stylegan2.load(model)
    side = generator.resolution
    image = portraits(data, count, side)
    hole = shape_mask(f"box:{0.3 * side},{0.45 * side},{0.7 * side},{0.85 * side}", side, side)
    features = load_features(EMBEDDED)
    began = time.perf_counter()
    parts = [local.run(generator, local_edit.inpainting(each, hole)) for each in image.split(16)]
    seconds = (time.perf_counter() - began) / count
    filled = {"ours": torch.cat([part.image for part in parts])}
    with contextlib.suppress(ImportError):  # pip install opencv-python-headless
        filled |= {name: _opencv(image, hole, name) for name in ("Telea", "Navier-Stokes")}
    distance = {
        name: perceptual_distances(features, torch.lerp(image, each, hole), image, LAYERS) for name, each in filled.items()
    }
    return dict(
        median={name: round(float(each.median()), 4) for name, each in distance.items()},
        better={
            name: round(float((distance["ours"] < each).float().mean()), 3) for name, each in distance.items() if name != "ours"
        },
        outside_untouched=all(math.isinf(part.psnr) for part in parts),
        seconds_an_image=round(seconds, 2),
    )


def noise_and_tuning(data: Path, count: int = 8, model: str = "portraits-128") -> dict[str, Any]:
    """PSNR after an inversion, after noise maps too, and after pivotal tuning; and whether an edit still moves what it moved."""
    generator = stylegan2.load(model)
    image = portraits(data, count, generator.resolution, first=100)
    w_plus = sl.invert(generator, image, num_steps=100)
    noise = sl.invert(generator, image, num_steps=100, noise_steps=300)
    known = editing.directions_of(generator)
    moves = {name: known[name] for name in ("light", "feminine", "age") if name in known}
    brightness = lambda x: x[..., 66:104].mean((1, 2, 3)) - x[..., 24:62].mean((1, 2, 3))  # noqa: E731
    psnr, kept, sizes, ratios = [], [], [], []
    for row in range(count):
        target, pivot = image[row : row + 1], w_plus.ws[row : row + 1]
        tuned = pti.tune(generator, target, pivot, pti.PTIConfig(num_steps=150))
        path = Path("/tmp") / f"styleloom-tuning-{os.getpid()}.safetensors"
        kept.append(pti.save(tuned, generator, path))
        sizes.append(path.stat().st_size / 2**20)
        small = pti.tuned_by(generator, path)
        path.unlink()
        error = [(next(each.render(pivot)) - target).square().mean() for each in (tuned, small)]
        psnr.append([float(-10 * each.log10()) for each in error])
        if "light" in moves:
            ws = sl.edit(generator, pivot, {moves["light"]: 1.5})
            change = [
                float(brightness(next(each.render(ws))) - brightness(next(each.render(pivot)))) for each in (generator, tuned)
            ]
            ratios.append(change[1] / change[0])
    return dict(
        psnr=dict(
            w_plus=round(float(w_plus.metrics["psnr"].median()), 2),
            noise=round(float(noise.metrics["psnr"].median()), 2),
            tuned=round(statistics.median(each[0] for each in psnr), 2),
            tuned_file=round(statistics.median(each[1] for each in psnr), 2),
        ),
        file_mib=round(statistics.median(sizes), 2),
        difference_kept=round(statistics.median(kept), 3),
        light_moved_as_before=[round(each, 3) for each in ratios],
    )


def morphs(data: Path, pairs: int = 6) -> dict[str, Any]:
    """The largest step of a morph between inverted portraits, over the median one, in feature distance."""
    generator = stylegan2.load("portraits-128")
    features = load_features(EMBEDDED)
    ws = sl.invert(generator, portraits(data, 2 * pairs, 128, first=200), num_steps=50).ws
    ratio: dict[str, list[float]] = {"even": [], "straight": []}
    for pair in range(pairs):
        for title in ratio:
            mode = torch.cat(
                [w for w, _ in sl.morph(generator, ws[2 * pair, None], ws[2 * pair + 1, None], frames=24, even=title == "even")]
            )
            made = torch.cat(list(generator.render(mode)))
            steps = perceptual_distances(features, made[:-1], made[1:], LAYERS).sqrt()
            ratio[title].append(round(float(steps.max() / steps.median()), 3))
    return ratio


def optimizers(data: Path, count: int = 24, model: str = "portraits-128") -> dict[str, Any]:
    """Median loss of the learned optimizer and of tuned Adam at 10, 20 and 50 steps: plain, with masks, a prior, in-domain."""
    generator = stylegan2.load(model)
    side = generator.resolution
    image = portraits(data, count, side, first=300)
    tools = inversion.tools_of(generator)
    hole = 1 - shape_mask(f"box:{0.3 * side},{0.45 * side},{0.7 * side},{0.85 * side}", side, side)
    half = shape_mask(f"box:0,0,{side / 2},{side}", side, side)
    cases: dict[str, dict[str, Any]] = {
        "plain": {},
        "a hole": dict(masks=hole),
        "half of the image": dict(masks=half),
        "a prior": dict(prior_weight=local_edit.PRIOR_WEIGHT),
        "in-domain": dict(in_domain_weight=0.003, init="encoder"),
    }
    values: dict[str, Any] = {}
    for title, case in cases.items():
        masks = case.pop("masks", None)
        rows = {}
        for optimizer in ("learned", "adam-eigenbasis", "adam"):
            config = inversion.configure(num_steps=50, optimizer=optimizer, **case)
            *_, last = inversion.steps(generator, image, config, tools, masks=masks)
            median = last.history.median(1).values
            rows[optimizer] = {f"at {step}": round(float(median[step]), 5) for step in (10, 20, 50)}
        values[title] = rows
    return values


SECTIONS: dict[str, Callable[[Path], dict[str, Any]]] = dict(
    directions=toon_directions,
    expression=expression,
    inpainting=inpainting,
    noise_and_tuning=noise_and_tuning,
    morphs=morphs,
    optimizers=optimizers,
)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("sections", nargs="*", default=list(SECTIONS))
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    results = json.loads(given.out.read_text()) if given.out.exists() else {}
    for section in given.sections:
        results[section] = SECTIONS[section](given.data)
        print(section, json.dumps(results[section], indent=1), flush=True)
        given.out.write_text(json.dumps(results, indent=1) + "\n")
