"""Where a further training of a loom begins that gives it a larger step network, which has learned nothing yet.

    python -m recipes.larger_step_network toonfaces-64-optimizer -o larger.safetensors
    styleloom train learned-optimizer toonfaces64.zip --generator toonfaces-64 --base larger.safetensors --out runs/pairs \
        --batch 4 --num-steps 3000 --pretrain-fraction 1 --pretrain-unroll-length 4 --encoder toonfaces-64-encoder
    styleloom train learned-optimizer toonfaces64.zip --generator toonfaces-64 --base runs/pairs/model.safetensors \
        --out runs/descents --num-steps 1000 --pretrain-fraction 0 --unroll-length 40 --encoder toonfaces-64-encoder

First it learns from pairs of generated images, four steps in a row from each, then the whole learns from descents.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from styleloom.core.errors import StyleLoomError
from styleloom.papers import learned_optimizer
from styleloom.papers.learned_optimizer import Loom


def base(source: str, *, channels: int, widest: int, step_hidden: int, blocks: int) -> Loom:
    """A trained loom with a fresh step network of these sizes."""
    torch.manual_seed(0)
    trained = learned_optimizer.load(source)
    if not isinstance(trained, Loom):
        raise StyleLoomError(f"{source} is no loom; give one, of a generator of your own")
    return learned_optimizer.with_new_step_network(trained, channels, widest=widest, step_hidden=step_hidden, blocks=blocks)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("-o", "--out", type=Path, required=True)
    for name, size in (("channels", 32), ("widest", 192), ("step-hidden", 384), ("blocks", 1)):
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--license", default="Apache-2.0")
    given = parser.parse_args()
    sizes = dict(channels=given.channels, widest=given.widest, step_hidden=given.step_hidden, blocks=given.blocks)
    learned_optimizer.save(base(given.source, **sizes), given.out, given.license)
