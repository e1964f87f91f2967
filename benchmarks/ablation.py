"""The papers' story on cartoon faces: what each idea from ProGAN to StyleGAN2 changes, in images and in latent space.

    styleloom data toonfaces -o toonfaces.zip --count 50000
    styleloom data toonfaces -o held-out.zip --count 5000 --seed 1000000
    python -m benchmarks.ablation train --faces toonfaces.zip --out runs/ablation    # hours; goes on where it stopped
    python -m benchmarks.ablation measure --faces held-out.zip --out runs/ablation

Six generators of 32 px with the same widths, seeds, images and number of images seen. Up to StyleGAN they share StyleGAN's
discriminator, loss and R1 penalty, so that only the generator changes, and none grows; StyleGAN2 brings its own. Measured are the
Fréchet distance, precision and recall by vgg19-lite, path lengths in z and w, and the bits that a plane in z or w leaves open of
each attribute of which more than one class is made, which the shipped ``toonfaces-attributes`` tells. Results go to
``results/ablation.json``, uncurated samples, a row each, to ``results/ablation_samples.jpg``.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from styleloom.core.run import Hardware, Run
from styleloom.data import images
from styleloom.loops.adversarial import GANRecipe
from styleloom.loops.fit import MODEL
from styleloom.papers import stylegan, stylegan2
from styleloom.tasks.evaluation import METRICS, evaluate

RESULTS = Path(__file__).parent / "results" / "ablation.json"
SAMPLES = RESULTS.with_name("ablation_samples.jpg")
SEEDS = (0, 1, 2)
COMMON: dict[str, Any] = dict(
    resolution=32, channel_base=1024, channel_max=96, z_dim=96, w_dim=96, mapping_layers=4, lr=(0.002,), batch=(16,), r1_gamma=5.0
)
PROGAN = stylegan.StyleGANRecipe(**COMMON, growing=False, styles=False, const_input=False, noise=False, style_mixing_prob=0.0)
STYLED = replace(PROGAN, styles=True, const_input=True)
RECIPES: dict[str, tuple[ModuleType, GANRecipe]] = {
    "ProGAN": (stylegan, replace(PROGAN, mapping_layers=0)),
    "+ mapping": (stylegan, PROGAN),
    "+ styles": (stylegan, STYLED),
    "+ noise": (stylegan, replace(STYLED, noise=True)),
    "+ mixing (StyleGAN)": (stylegan, replace(STYLED, noise=True, style_mixing_prob=0.9)),
    "StyleGAN2": (stylegan2, stylegan2.StyleGAN2Recipe(**COMMON | dict(lr=0.002, batch=16))),
}
"""Each line's paper and recipe; a line changes one thing of the line before it."""


def folder(out: Path, name: str) -> Path:
    """Where a line's run is."""
    return out / "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-")


def train(faces: str, out: Path, kimg: float, only: str | None, precision: str) -> None:
    """Train every line, or one, from where its run stopped."""
    for name, (module, recipe) in RECIPES.items():
        if only is not None and name != only:
            continue
        recipe = replace(recipe, kimg=kimg, sample_every=1000, save_every=1000, log_every=100)
        hardware = Hardware("cpu", precision=precision)
        for tick in module.train(faces, recipe, run=Run(folder(out, name), hardware=hardware, resume=True)):
            if tick.index % 200 == 0:
                print(name, tick.index, tick.total, f"{tick.rate:.1f}/s", flush=True)
            if tick.stopped:
                return


def measure(faces: str, out: Path, samples: int) -> dict[str, Any]:
    """All figures of every line: means over seeds, and their ranges."""
    told: dict[str, Any] = {}
    rows = []
    for name, (module, _) in RECIPES.items():
        path = folder(out, name) / MODEL
        if not path.exists():
            continue
        generator = module.load(path)
        runs = []
        for seed in SEEDS:
            *_, last = evaluate(generator, faces, METRICS, samples=samples, seed=seed)
            runs.append(last.figures)
        figures = {key: [run[key] for run in runs] for key in runs[0] if all(key in run for run in runs)}
        told[name] = dict(
            parameters=sum(parameter.numel() for parameter in generator.parameters()),
            figures={
                key: dict(mean=round(statistics.mean(values), 4), least=round(min(values), 4), most=round(max(values), 4))
                for key, values in figures.items()
            },
        )
        rows.append(generator.generate(range(16)))
        print(name, json.dumps(told[name]["figures"]), flush=True)
    whole = images.grid(rows)
    images.write(images.resize(whole, (2 * whole.shape[2], 2 * whole.shape[3])), SAMPLES, quality=90)
    return told


def main() -> None:
    """Train, or measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "measure"])
    parser.add_argument("--faces", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kimg", type=float, default=45.0)
    parser.add_argument("--only", choices=list(RECIPES))
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--samples", type=int, default=3000)
    options = parser.parse_args()
    if options.what == "train":
        train(options.faces, options.out, options.kimg, options.only, options.precision)
        return
    found = measure(options.faces, options.out, options.samples)
    result = dict(kimg=options.kimg, samples=options.samples, seeds=SEEDS, torch=torch.__version__, lines=found)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
