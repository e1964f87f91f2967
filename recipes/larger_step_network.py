"""A larger step network for a loom: where its training begins, and how its file becomes smaller in the end.

    python -m recipes.larger_step_network base toonfaces-64-optimizer -o larger.safetensors
    styleloom train learned-optimizer toonfaces64.zip --generator toonfaces-64 --base larger.safetensors --out runs/pairs \
        --batch 4 --num-steps 3000 --pretrain-fraction 1 --pretrain-unroll-length 4 --encoder toonfaces-64-encoder
    styleloom train learned-optimizer toonfaces64.zip --generator toonfaces-64 --base runs/pairs/model.safetensors \
        --out runs/descents --num-steps 1000 --pretrain-fraction 0 --unroll-length 40 --encoder toonfaces-64-encoder
    python -m recipes.larger_step_network reduce runs/descents/model.safetensors -o optimizer.safetensors --rank 256 \
        --anneal-start 30 --step-decay-start 15

At first it has learned nothing. It learns from pairs of generated images, four steps in a row from each, then the whole learns
from descents. Last, the matrix of its second step keeps the hidden units of the largest weights, and a schedule is set that was
chosen on images kept for that.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from styleloom.core.errors import StyleLoomError
from styleloom.papers import learned_optimizer
from styleloom.papers.learned_optimizer import Loom


def trained(source: str) -> Loom:
    """A loom by name or file."""
    network = learned_optimizer.load(source)
    if not isinstance(network, Loom):
        raise StyleLoomError(f"{source} is no loom; give one, of a generator of your own")
    return network


def base(source: str, *, channels: int, widest: int, step_hidden: int, blocks: int) -> Loom:
    """A trained loom with a fresh step network of these sizes."""
    torch.manual_seed(0)
    return learned_optimizer.with_new_step_network(
        trained(source), channels, widest=widest, step_hidden=step_hidden, blocks=blocks, rank=0
    )


def reduced(source: str, rank: int, **schedule: int) -> Loom:
    """The same loom, whose second step is by a matrix of a lower rank, with another schedule where it is given."""
    network = trained(source)
    step = network.step_network
    if step is None:
        raise StyleLoomError(f"{source} has no step network; give a loom with one")
    weights = step.up.weight.norm(dim=0) * step.down.weight.norm(dim=1)
    kept = weights.argsort(descending=True)[:rank].sort().values
    state = network.state_dict()
    for name in ("down.weight", "gate.weight", "gate.bias"):
        state[f"step_network.{name}"] = state[f"step_network.{name}"][kept]
    state["step_network.up.weight"] = state["step_network.up.weight"][:, kept]
    smaller = Loom(
        network.basis,
        w_avg=network.w_avg,
        **network.config | dict(rank=len(kept), schedule=replace(network.schedule, **schedule)),
    )
    smaller.load_state_dict(state)
    return smaller


def main() -> None:
    """Write the file of either."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("base", "reduce"))
    parser.add_argument("source")
    parser.add_argument("-o", "--out", type=Path, required=True)
    for name, size in (("channels", 32), ("widest", 192), ("step-hidden", 384), ("blocks", 1), ("rank", 256)):
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--anneal-start", type=int, default=30)
    parser.add_argument("--step-decay-start", type=int, default=15)
    parser.add_argument("--license", default="Apache-2.0")
    given = parser.parse_args()
    if given.what == "base":
        sizes = dict(channels=given.channels, widest=given.widest, step_hidden=given.step_hidden, blocks=given.blocks)
        network = base(given.source, **sizes)
    else:
        schedule = dict(anneal_start=given.anneal_start, step_decay_start=given.step_decay_start)
        network = reduced(given.source, given.rank, **schedule)
    learned_optimizer.save(network, given.out, given.license)


if __name__ == "__main__":
    main()
