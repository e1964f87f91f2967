"""``portraits-128``: a StyleGAN2 with ADA of synthetic portraits, artflow.ai, CC BY 4.0 (the first 9,500 of 10,000).

python -m recipes.portraits_128 portraits128.zip --out runs/portraits-128 --device cuda --batch 64 --kimg 500
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from styleloom.core.run import Hardware, Run
from styleloom.papers import stylegan2

RECIPE = replace(
    stylegan2.RECIPES["64-small"],
    resolution=128,
    channel_base=4096,
    mirror=True,
    augment=True,
    r1_gamma=0.3,
    lr=0.002,
    log_every=20,
)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--kimg", type=float, default=400)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    run = stylegan2.train(
        given.data,
        replace(RECIPE, batch=given.batch, kimg=given.kimg),
        run=Run(given.out, license="CC-BY-4.0", hardware=Hardware(given.device, precision=given.precision), resume=given.resume),
        base=given.base,
    )
    for tick in run:
        if tick.index % 100 == 0:
            told = ", ".join(f"{name} {value:.3f}" for name, value in tick.losses.items())
            print(f"{tick.images / 1000:.1f} kimg: {told}; {tick.rate:.0f} images/s", flush=True)
