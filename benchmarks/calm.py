"""Calm places of what models of any style paint, beside the paintings' own.

    python -m benchmarks.calm --contents content/ --paintings paintings/ --model before=old.safetensors --model now=anystyle
    python -m benchmarks.calm --contents content/ --paintings paintings/ --preset quick --keep-faces

With ``--preset`` it is Gatys's descent that paints, with ``--keep-faces`` with a content mask of faces.

Each photograph is painted in the style of each painting, all of 512 px. Figures are medians over the pairs, by
``styleloom.metrics.calm``: the octave that most exceeds the painting's own in flat places (excess; 1: as calm), how regular
texture is there (regularity, and the painting's own), loss of light and dark (fog), and the share of faces whose landmarks moved
by less than 2% of the face's height. Distances to style and content are means, by ``styleloom.metrics.style``. Results go to
``results/calm.json``.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.styles import SIZE, read
from torch import Tensor

import styleloom as sl
from styleloom.metrics.calm import face_shift, fog, lattice
from styleloom.metrics.style import SCALES, content_distance, style_distance
from styleloom.nn.vgg import Features
from styleloom.papers import gatys, ghiasi

RESULTS = Path(__file__).parent / "results" / "calm.json"
KEPT = 0.02  # of a face's height


def measured(
    paint: Callable[[Tensor, Tensor], Tensor], photographs: list[Tensor], paintings: list[Tensor], features: Features
) -> dict[str, float]:
    """Figures of a model over all pairs."""
    rows: dict[str, list[float]] = {}
    for photograph in photographs:
        for painting in paintings:
            result = paint(photograph, painting)
            distances = style_distance(result, painting, features)
            figures = dict(zip(SCALES, (distances[scale] for scale in SCALES), strict=True))
            row = {f"style, scale {scale}": value for scale, value in figures.items()}
            row["content"] = content_distance(result, photograph, features)
            row["fog"] = fog(result, photograph)
            try:
                texture = lattice(result, photograph, painting)
                row |= dict(excess=texture.excess, regularity=texture.regularity, own_regularity=texture.own_regularity)
            except sl.StyleLoomError:
                pass  # a photograph without flat places
            if (shift := face_shift(result, photograph)) is not None:
                row["faces kept"] = float(shift < KEPT)
            for name, value in row.items():
                rows.setdefault(name, []).append(value)
    middle = {
        name: statistics.median(values)
        for name, values in rows.items()
        if name in ("fog", "excess", "regularity", "own_regularity")
    }
    means = {name: statistics.mean(values) for name, values in rows.items() if name not in middle}
    counts = {f"pairs of {name}": len(rows.get(name, ())) for name in ("fog", "excess", "faces kept")}
    return {name: round(value, 4) for name, value in (means | middle).items()} | counts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contents", type=Path, required=True)
    parser.add_argument("--paintings", type=Path, required=True)
    parser.add_argument("--model", action="append", default=[], help="name=model; repeat the option")
    parser.add_argument("--preset", action="append", default=[], choices=gatys.PRESETS, help="of Gatys; repeat the option")
    parser.add_argument("--keep-faces", action="store_true", help="in descents")
    given = parser.parse_args()
    photographs, paintings = (
        [read(path) for path in sorted(folder.glob("*.jpg"))] for folder in (given.contents, given.paintings)
    )
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    features = sl.load_features("vgg19-lite")
    ways: dict[str, Callable[[Tensor, Tensor], Tensor]] = {}
    for label, _, path in (entry.partition("=") for entry in given.model):
        ways[label] = partial(ghiasi.stylize, model=ghiasi.load(path))
    for preset in given.preset:
        label, mask = (", faces kept", "faces") if given.keep_faces else ("", None)
        ways[f"gatys, {preset}{label}"] = partial(sl.stylize, preset=preset, size=SIZE, features=features, content_mask=mask)
    for label, paint in ways.items():
        results[label] = measured(paint, photographs, paintings, features)
        print(label, results[label], flush=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
