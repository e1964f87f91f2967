"""Where the training of ``portraits-128-optimizer`` begins: what ``portraits-64-optimizer`` learned of the k-th coordinate, and a
step network of its own size that has learned nothing yet.

styleloom train eigenbasis portraits-128 --samples 4000 --out basis.safetensors
python -m recipes.portraits_128_optimizer basis.safetensors -o base.safetensors
styleloom train learned-optimizer portraits128-train.zip --generator portraits-128 --encoder portraits-128-encoder \
    --base base.safetensors --out runs/optimizer-128 --batch 4 --num-steps 1200 --pretrain-fraction 0.25 \
    --first-unroll-length 8 --unroll-length 50 --synthetic 0.3
styleloom train learned-optimizer portraits128-train.zip --generator portraits-128 --encoder portraits-128-encoder \
    --base runs/optimizer-128/model.safetensors --out runs/optimizer-128b --batch 4 --num-steps 700 --pretrain-fraction 0 \
    --first-unroll-length 12 --unroll-length 50 --synthetic 0.2 --starts encoder,mean,random --lr 0.0008 --seed 1
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from styleloom.loops import eigenbasis
from styleloom.papers import learned_optimizer, stylegan2
from styleloom.papers.learned_optimizer import Loom

BASE, GENERATOR = "portraits-64-optimizer", "portraits-128"


def base(basis: Path, source: str = BASE, generator: str = GENERATOR) -> Loom:
    """A loom for a generator in its eigenbasis, with another's coordinate network and a fresh step network."""
    torch.manual_seed(0)
    basis_there = eigenbasis.load(basis)
    trained = learned_optimizer.load(source)
    assert isinstance(trained, Loom)
    network = stylegan2.load(generator)
    moved = learned_optimizer.transferred(trained, network, basis_there)
    return learned_optimizer.with_new_step_network(moved, trained.config["channels"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("basis", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--source", default=BASE)
    given = parser.parse_args()
    learned_optimizer.save(base(given.basis, given.source), given.out, "CC-BY-4.0")
