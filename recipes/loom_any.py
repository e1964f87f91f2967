"""Training of ``loom-any``, the learned optimizer of any generator, on a pool of small ones.

bash recipes/loom_any_pool.sh paintings.zip portraits128-train.zip photos.zip      # trains the pool's generators
python -m recipes.loom_any runs/loom-any toonfaces-64=toonfaces.zip runs/pool/sg2-32-portraits=portraits128-train.zip ...

Each source is a model file, a run's folder or a name in the zoo, and after "=" images of its kind. Eigenbases and descent maps
are made first and kept beside the run.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from styleloom.core.run import Run
from styleloom.loops import eigenbasis
from styleloom.models import load_generator
from styleloom.nn.generators import generator_id
from styleloom.papers import learned_optimizer
from styleloom.papers.learned_optimizer import RECIPES, LoomAny, Source, basis, train_any


def source_of(text: str, folder: Path) -> Source:
    """A generator of the pool, with its basis and maps, which are made where they are not there."""
    name, _, data = text.partition("=")
    path = Path(name) / "model.safetensors" if Path(name).is_dir() else name
    generator = load_generator(str(path)).requires_grad_(False)
    stem = f"{Path(name).name.removesuffix('.safetensors')}-{generator_id(generator)}"
    kept = folder / f"{stem}.safetensors"
    if not kept.exists():
        *_, _ = basis.prepare(generator, kept)
    print(stem, "ready", flush=True)
    maps = basis.load_maps(kept)
    assert maps is not None
    return Source(generator, eigenbasis.load(kept), maps, data or None)


def train(options: argparse.Namespace) -> Iterator[object]:
    """Train on all sources."""
    folder = options.out.parent / f"{options.out.name}-bases"
    folder.mkdir(parents=True, exist_ok=True)
    sources = [source_of(text, folder) for text in options.sources]
    base = learned_optimizer.load(options.base) if options.base else None
    recipe = replace(RECIPES["any"], num_steps=options.num_steps, batch=options.batch, lr=options.lr, seed=options.seed)
    recipe = replace(recipe, unroll_length=options.unroll_length, first_unroll_length=options.first_unroll_length)
    resume = (options.out / "state.safetensors").exists()
    assert base is None or isinstance(base, LoomAny)
    yield from train_any(sources, recipe, run=Run(options.out, resume=resume), base=base)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--base")
    parser.add_argument("--num-steps", type=int, default=1600)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--unroll-length", type=int, default=60)
    parser.add_argument("--first-unroll-length", type=int, default=8)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    for step in train(parser.parse_args()):
        print(step, flush=True)
