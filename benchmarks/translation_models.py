"""How good the shipped translation models are: the figures of their cards, on portraits that they were not trained on.

    python -m benchmarks.translation_models held-out.zip

Each held-out portrait gives an input, and is the truth. Figures go to ``results/translation_models.json``, a sheet of the first
eight to ``docs/<model>.jpg``: input, result, truth.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from benchmarks.translation_ablation import made_of, pairs_of
from torch import Tensor

from styleloom.data.datasets import SquareImages
from styleloom.data.derive import DERIVATIONS
from styleloom.data.images import grid, write
from styleloom.data.pairs import open_domains
from styleloom.papers import pix2pix
from styleloom.tasks.compare import compare, last_figures
from styleloom.tasks.translate import translate

ROOT = Path(__file__).parents[1]
SHOWN, JUDGED = 8, 200
MODELS = ("edges2portrait", "colorize-portrait")

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
        results[name] = {
            "result": last_figures(compare(iter(made), len(made))),
            "input": last_figures(compare(iter(plain), len(plain))),
        }
        print(name, results[name], flush=True)
        rows = [torch.cat([pair[place] for pair in pairs_[:SHOWN]]) for pairs_, place in ((plain, 0), (made, 0), (made, 1))]
        write(grid(rows), ROOT / "docs" / f"{name}.jpg", quality=90)
    path = ROOT / "benchmarks" / "results" / "translation_models.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
