"""What each part of pix2pix and CycleGAN is for, at small scale: the papers' ablations.

    python -m benchmarks.translation_ablation pix2pix portraits128.zip held-out.zip
    python -m benchmarks.translation_ablation cyclegan

pix2pix draws portraits from their edges at 96 px: L1 alone, GAN terms alone, both, a discriminator that does not see the input,
patches of other sizes; judged on portraits that were kept out. CycleGAN makes the black hair of cartoon faces of 64 px blond,
without pairs: both terms, each alone, and without the identity term; judged against the true counterfactuals. ``z`` tells how
much the noise of a trained model matters: the spread of results over seeds beside their distance to the truth. Figures go to
``results/translation_<which>.json``, a sheet to ``results/translation_<which>.jpg``; runs that are there already are kept.

    python -m benchmarks.translation_ablation z held-out.zip
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from numpy.random import RandomState
from torch import Tensor

from styleloom.core.run import Hardware, Run
from styleloom.data.images import grid, write
from styleloom.data.pairs import Domains, open_domains, toons
from styleloom.loops.fit import MODEL
from styleloom.nn.translator import Translator
from styleloom.papers import cyclegan, pix2pix
from styleloom.tasks.comparison import compare, last_figures
from styleloom.tasks.translation import translate

RESULTS = Path(__file__).parent / "results"
HELD_OUT = 200
PAIRS = pix2pix.Pix2PixRecipe(
    size=96, load_size=96, width=24, max_width=96, depth=5, discriminator_width=24, batch=4, num_steps=5000, lr=3e-4,
    save_every=5000, sample_every=5000, upsample="nearest", norm="batch", ema_decay=0.995,
)  # fmt: skip
CYCLE = cyclegan.CycleGANRecipe(
    size=64, load_size=64, width=16, blocks=4, discriminator_width=16, batch=4, num_steps=1500, lr=4e-4,
    save_every=1500, sample_every=500, upsample="nearest", residual=True, norm="batch", ema_decay=0.99,
)  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "pix2pix": {
        "L1": replace(PAIRS, gan_weight=0.0),
        "cGAN": replace(PAIRS, l1_weight=0.0),
        "L1 + cGAN": PAIRS,
        "L1 + GAN": replace(PAIRS, conditional=False),
        "L1 + cGAN, 1 px": replace(PAIRS, discriminator_layers=0),
        "L1 + cGAN, 16 px": replace(PAIRS, discriminator_layers=1),
        "L1 + cGAN, 286 px": replace(PAIRS, discriminator_layers=5),
    },
    "cyclegan": {
        "cycle + GAN + identity": CYCLE,
        "cycle + GAN": replace(CYCLE, identity_weight=0.0),
        "cycle": replace(CYCLE, gan_weight=0.0, identity_weight=0.0),
        "cycle + GAN + identity, not residual": replace(CYCLE, residual=False),
        "cycle + GAN + identity, instance norm": replace(CYCLE, norm="instance"),
        "GAN": replace(CYCLE, cycle_weight_x=0.0, cycle_weight_y=0.0, identity_weight=0.0),
    },
}
CHANGE = "toonfaces:hair_color=black:blond"
FIRST_HELD_OUT = 1_000_000  # seed of the faces that are judged
SHOWN, SEEDS = 6, 4


def held_out(which: str, data: list[str]) -> Domains:
    """Pairs whose truth is known and that nothing was trained on."""
    if which == "pix2pix":
        return open_domains(data[1], aligned=True, derive="edges")
    return toons(CHANGE, aligned=True, count=HELD_OUT, first=FIRST_HELD_OUT)


def pairs_of(domains: Domains, size: int) -> list[tuple[Tensor, Tensor]]:
    """Inputs and answers [1, C, size, size] in [0, 1]."""
    item = domains.example(size, size, flip=False)
    examples = [item(index, RandomState([index])) for index in range(min(HELD_OUT, len(domains)))]
    return [(x[None].add(1).div(2), y[None].add(1).div(2)) for x, y in examples]


def made_of(model: Translator, pairs: list[tuple[Tensor, Tensor]], seed: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
    """What the model makes of each input, beside the truth."""
    for x, y in pairs:
        yield translate(model, x, drawing=bool(model.derive), seed=seed), y


def noise(data: str) -> None:
    """How far results of one input lie apart, beside how far they are from the truth."""
    model = pix2pix.load("edges2portrait")
    pairs = pairs_of(open_domains(data, aligned=True, derive="edges"), model.size)
    several = torch.stack([torch.cat([made for made, _ in made_of(model, pairs, seed)]) for seed in range(SEEDS)])
    truth = torch.cat([y for _, y in pairs])
    figures = {"spread over z": float(several.std(0).mean()), "l1": float((several - truth).abs().mean())}
    print(figures)
    (RESULTS / "translation_z.json").write_text(json.dumps(figures, indent=1) + "\n")


def main() -> None:
    """Train and judge each variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=[*VARIANTS, "z"])
    parser.add_argument("data", nargs="*")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--variants", nargs="*", help="some of them")
    given = parser.parse_args()
    if given.which == "z":
        noise(given.data[0])
        return
    path = RESULTS / f"translation_{given.which}.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    module = pix2pix if given.which == "pix2pix" else cyclegan
    aligned = given.which == "pix2pix"
    training = open_domains(given.data[0], aligned=True, derive="edges") if aligned else toons(CHANGE, aligned=False)
    size = VARIANTS[given.which]["L1 + cGAN" if aligned else "cycle"].size
    pairs = pairs_of(held_out(given.which, given.data), size)
    columns = [torch.cat([torch.cat([each[place].expand(-1, 3, -1, -1) for each in pairs[:SHOWN]])]) for place in (0, 1)]
    rows = [columns[0]]
    if not aligned:
        results["input"] = last_figures(compare(iter(pairs), len(pairs)))
    for name, recipe in VARIANTS[given.which].items():
        if given.variants and name not in given.variants:
            continue
        kept = Path("runs/ablation") / given.which / f"{name.replace(' ', '')}.safetensors"
        if not kept.exists():
            with tempfile.TemporaryDirectory() as folder:
                begin = time.perf_counter()
                run: Any = module.train
                for _ in run(training, recipe, run=Run(folder + "/run", hardware=Hardware("cpu", precision=given.precision))):
                    pass
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(f"{folder}/run/{MODEL}", kept)
                results.setdefault(name, {})["seconds"] = round(time.perf_counter() - begin, 1)
        model = module.load(kept)
        results.setdefault(name, {}).update(last_figures(compare(made_of(model, pairs), len(pairs))))
        rows.append(torch.cat([made for made, _ in made_of(model, pairs[:SHOWN])]))
        print(name, {key: round(value, 4) for key, value in results[name].items()}, flush=True)
        path.write_text(json.dumps(results, indent=1) + "\n")
    write(grid([*rows, columns[1]]), path.with_suffix(".jpg"), quality=90)


if __name__ == "__main__":
    main()
