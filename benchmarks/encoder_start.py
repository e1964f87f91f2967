"""How much nearer an inversion begins with an encoder: the loss at the start and after some steps of Adam.

    python -m benchmarks.encoder_start portraits-128 held-out.zip --encoder portraits-128-encoder

The loss that inversion minimizes, in W+, median of held-out images, from the mean w and from the encoder. Results go to
``results/encoder_start_<model>.json``.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch

from styleloom.data.datasets import SquareImages
from styleloom.papers import image2stylegan, indomain, stylegan2
from styleloom.tasks.inversion import Tools, steps

RESULTS = Path(__file__).parent / "results"
COUNT, STEPS, BATCH = 48, 50, 8
MARKS = (1, 10, 25, 50)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("held_out", type=Path)
    parser.add_argument("--encoder", required=True)
    given = parser.parse_args()
    generator = stylegan2.load(given.model).requires_grad_(False)
    images = SquareImages(given.held_out, generator.resolution)
    tools = Tools(encoder=indomain.load(given.encoder))
    results: dict[str, object] = dict(images=COUNT, optimizer="adam, default rate")
    for init in ("mean", "encoder"):
        config = replace(image2stylegan.configure("default"), num_steps=STEPS, optimizer="adam", init=init)
        losses: dict[int, list[float]] = {mark: [] for mark in MARKS}
        for start in range(0, COUNT, BATCH):
            targets = torch.stack([images[index] for index in range(start, start + BATCH)])
            for step in steps(generator, targets, config, tools, first=start):
                if step.index in MARKS:
                    losses[step.index] += step.history.amin(0).tolist()
        results[init] = {f"step {mark}": round(float(torch.tensor(each).median()), 5) for mark, each in losses.items()}
        print(init, results[init], flush=True)
    (RESULTS / f"encoder_start_{given.model.replace('-', '_')}.json").write_text(json.dumps(results, indent=1) + "\n")
