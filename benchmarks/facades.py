"""pix2pix on the CMP facades, the paper's own task: photographs from label maps, at what two cores can do.

    python -m benchmarks.facades facades/ --out runs/facades-model --sheet sheet.png

``facades/`` has ``train`` and ``test`` as the paper's authors give them, photograph at the left and labels at the right (their
license is unclear, so neither images nor weights are part of the project). The paper's losses and discriminator, 128 px instead
of 256, a narrower U-Net, and half of the 200 epochs. The figures of the test set go to ``results/facades.json``.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch
from benchmarks.translation_ablation import made_of, pairs_of

from styleloom.core.run import Hardware, Run
from styleloom.data.images import grid, write
from styleloom.data.pairs import open_domains
from styleloom.loops.fit import MODEL
from styleloom.papers import pix2pix
from styleloom.tasks.comparison import compare, last_figures

RESULTS = Path(__file__).parent / "results" / "facades.json"
RECIPE = replace(
    pix2pix.RECIPES["128-small"],
    load_size=143,
    direction="BtoA",
    num_steps=10_000,
    log_every=50,
    save_every=250,
    sample_every=1000,
)
SHOWN = 6

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sheet", type=Path, help="labels, results and truths of the first test images")
    given = parser.parse_args()
    if not (given.out / MODEL).exists() or (given.out / "state.safetensors").exists():
        training = open_domains(str(given.data / "train"), aligned=True)
        resume = (given.out / "state.safetensors").exists()
        hardware = Hardware("cpu", precision="bf16")
        for tick in pix2pix.train(training, RECIPE, run=Run(given.out, hardware=hardware, resume=resume)):
            if tick.index % 100 == 0:
                print(tick.index, {name: round(float(value), 3) for name, value in tick.losses.items()}, flush=True)
    last = json.loads((given.out / "log.jsonl").read_text().splitlines()[-1])
    model = pix2pix.load(given.out / MODEL)
    pairs = pairs_of(open_domains(str(given.data / "test"), aligned=True).turned(), model.size)
    made = list(made_of(model, pairs))
    figures = last_figures(compare(iter(made), len(made)))
    results = dict(
        images=last["images"],
        seconds=last["seconds"],
        test=len(made),
        **{name: round(value, 4) for name, value in figures.items()},
    )
    print(results)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    if given.sheet:
        rows = [[x for x, _ in pairs], [image for image, _ in made], [truth for _, truth in made]]
        write(grid([torch.cat(row[:SHOWN]) for row in rows]), given.sheet)
