"""How near a generator's pictures are to real ones that its training did not see.

    python -m benchmarks.generator_quality portraits-32 ../shared/data/portraits128.zip

A Fréchet distance of two normal distributions, of the means over each picture of ``vgg19-lite``'s features at relu2_1, relu3_1
and relu4_1 (not Inception's: numbers compare with each other only), between samples and the last 500 pictures of the set;
beside it that of as many training pictures, the floor, and of noise-free copies of the mean picture. Results go to
``results/<model>.json``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from styleloom.blocks import images
from styleloom.blocks.data import Pictures
from styleloom.convert.vgg import load_features
from styleloom.papers import stylegan2
from styleloom.zoo.train_portraits_32 import HELD_OUT

LAYERS = ("relu2_1", "relu3_1", "relu4_1")
SIDE = 64  # that pictures are shown to the features at


@torch.no_grad()
def features(pictures: Iterable[Tensor]) -> np.ndarray:
    """Means over each picture of features: [N, channels]."""
    network = load_features()
    found = []
    for part in pictures:
        taps = network(images.resize(part, (SIDE, SIDE)), LAYERS)
        found.append(torch.cat([taps[layer].mean((2, 3)) for layer in LAYERS], 1))
    return torch.cat(found).double().numpy()


def frechet(first: np.ndarray, second: np.ndarray) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) (Dowson and Landau 1982)."""
    c1, c2 = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = np.sqrt(np.linalg.eigvals(c1 @ c2).real.clip(0)).sum()  # the trace of the square root
    return float(np.square(first.mean(0) - second.mean(0)).sum() + np.trace(c1) + np.trace(c2) - 2 * root)


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--count", type=int, default=4000)
    options = parser.parse_args()
    generator = stylegan2.load(options.model)
    real = Pictures(options.pictures, shorter=generator.resolution)
    held_out = features(real[i][None] for i in range(len(real) - HELD_OUT, len(real)))
    known = np.random.RandomState(0).permutation(len(real) - HELD_OUT)[: options.count]
    result: dict[str, float] = {"floor": frechet(held_out, features(real[int(i)][None] for i in known))}
    for psi in (1.0, 0.7, 0.5):
        ws = generator.map(range(options.count), truncation_psi=psi)
        result[f"psi {psi:g}"] = frechet(held_out, features(generator.render(ws)))
    result = {name: float(f"{value:.4g}") for name, value in result.items()}
    print(json.dumps(result))
    told = dict(model=options.model, samples=options.count, held_out=HELD_OUT, features=f"vgg19-lite {LAYERS}", distance=result)
    path = Path(__file__).parent / "results" / f"{Path(options.model).stem.replace('-', '_')}.json"
    path.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
