"""How good the shipped translation models are: the figures of their cards, on images that they were not trained on.

    python -m benchmarks.translation_models held-out.zip

Each held-out portrait gives an input, and is the truth; ``toon-hair`` is judged by the renderer's own image of each face with
the other hair. ``nearer`` is the share of results that are nearer to the truth than the input is, in feature distance. Figures
go to ``results/translation_models.json``, a sheet of the first eight to ``docs/<model>.jpg``: input, result, truth.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from benchmarks.translation_ablation import held_out, made_of, pairs_of
from torch import Tensor

from styleloom.data.datasets import SquareImages
from styleloom.data.derive import DERIVATIONS
from styleloom.data.images import grid, write
from styleloom.data.pairs import open_domains
from styleloom.papers import cyclegan, pix2pix
from styleloom.tasks.comparison import compare
from styleloom.tasks.translation import translate

ROOT = Path(__file__).parents[1]
SHOWN, JUDGED = 8, 200
MODELS = ("edges2portrait", "colorize-portrait")
TOONS = "toon-hair"


def figures(name: str, made: list[tuple[Tensor, Tensor]], plain: list[tuple[Tensor, Tensor]]) -> dict[str, object]:
    """Of results and of inputs, each with the truth; and a sheet of the first."""
    results, inputs = (list(compare(iter(pairs), len(pairs))) for pairs in (made, plain))
    rows = [torch.cat([pair[index] for pair in pairs[:SHOWN]]) for pairs, index in ((plain, 0), (made, 0), (made, 1))]
    write(grid(rows), ROOT / "docs" / f"{name}.jpg", quality=90)
    nearer = [one.image["features"] < other.image["features"] for one, other in zip(results, inputs, strict=True)]
    return {"result": dict(results[-1].figures), "input": dict(inputs[-1].figures), "nearer": sum(nearer) / len(nearer)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("held_out", type=Path)
    given = parser.parse_args()
    results = {}
    for name in MODELS:
        model = pix2pix.load(name)
        photos = [photo[None] for photo in map(SquareImages(given.held_out, model.size).__getitem__, range(JUDGED))]
        if DERIVATIONS[model.derive].drawn:
            pairs = pairs_of(open_domains(str(given.held_out), aligned=True, derive=model.derive), model.size)
            made = list(made_of(model, pairs))
            inputs = [x for x, _ in pairs]
        else:
            made = [(translate(model, photo), photo) for photo in photos]
            inputs = [photo.mean(1, keepdim=True) for photo in photos]
        plain: list[tuple[Tensor, Tensor]] = [
            (x.expand(-1, 3, -1, -1), truth) for x, (_, truth) in zip(inputs, made, strict=True)
        ]
        results[name] = figures(name, made, plain)
        print(name, results[name], flush=True)
    model = cyclegan.load(TOONS)
    plain = pairs_of(held_out("cyclegan", []), model.size)
    results[TOONS] = figures(TOONS, list(made_of(model, plain)), plain)
    print(TOONS, results[TOONS], flush=True)
    path = ROOT / "benchmarks" / "results" / "translation_models.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
