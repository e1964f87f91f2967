"""Samples of a generator beside the training images that they are nearest to: does it remember, or make?

    python -m benchmarks.nearest portraits-128 portraits128.zip -o docs/portraits-128-nearest.jpg

Nearest by the bundled features that the Frechet distance compares, among the images and their mirror images. In the first row
the samples, at psi 1, in the second the nearest images, in the third the second nearest.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from styleloom.data.datasets import SquareImages
from styleloom.data.images import grid, write
from styleloom.metrics.inception import load_embedding
from styleloom.papers import stylegan2

SEEDS = range(100, 108)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("training", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    given = parser.parse_args()
    generator = stylegan2.load(given.model)
    made = generator.generate(SEEDS)
    images = SquareImages(given.training, generator.resolution)
    embedding = load_embedding()
    batches = [torch.stack([images[index] for index in part]) for part in torch.arange(len(images)).split(50)]
    own = embedding.of([made]).float()
    both = [embedding.of(batch if not turned else batch.flip(3) for batch in batches).float() for turned in (False, True)]
    distances = torch.minimum(*(torch.cdist(own, each) for each in both))
    nearest = distances.topk(2, largest=False).indices
    rows = [made, *(torch.stack([images[int(index)] for index in column]) for column in nearest.T)]
    write(grid(rows), given.out, quality=90)
    print([round(float(value), 3) for value in distances.min(1).values])
