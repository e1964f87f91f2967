"""Inversion at the official sizes: StyleGAN2 of 256 and 1,024 px with the widths of NVIDIA's files, random weights.

    python -m benchmarks.official_sizes [--sides 256,1024]

Of each, in processes of their own: seconds and peak resident memory of ``styleloom train eigenbasis``, and of
``styleloom invert`` of one photograph in 30 steps with ``loom-any`` in that basis. Time and memory do not depend on what the
weights have learned. Results go to ``results/official_sizes.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from benchmarks.gatys import processor
from benchmarks.peak_memory import peak_mib

import styleloom as sl
from styleloom.papers import stylegan2

RESULTS = Path(__file__).parent / "results" / "official_sizes.json"
STEPS = 30
MEMORY = {256: 2.5, 512: 4.0, 1024: 4.0}  # GiB that the basis is to stay within
WIDTHS = {256: 16384, 512: 32768, 1024: 32768}  # channels times side, as in NVIDIA's configurations


def timed(arguments: list[str]) -> dict[str, float]:
    """Seconds and peak memory of a command."""
    began = time.perf_counter()
    peak = peak_mib([sys.executable, "-m", "styleloom", *arguments, "--device", "cpu"])
    return dict(seconds=round(time.perf_counter() - began, 1), peak_mib=round(peak))


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", default="256,1024")
    options = parser.parse_args()
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results |= dict(processor=processor(), threads=int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    for side in map(int, options.sides.split(",")):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            torch.manual_seed(0)
            generator = stylegan2.Generator(
                img_resolution=side, synthesis_kwargs=dict(channel_base=WIDTHS[side], channel_max=512)
            )
            model, photo, basis = str(folder / "model.safetensors"), str(folder / "photo.png"), str(folder / "basis.safetensors")
            stylegan2.save(generator, Path(model), license="CC0-1.0")
            found: dict[str, Any] = dict(ws=[generator.num_ws, generator.w_dim])
            del generator
            sl.write(sl.resize(sl.bundled("astronaut"), (side, side)), photo)
            found["basis"] = timed(["train", "eigenbasis", model, "--out", basis, "--memory", str(MEMORY[side])])
            words = ["--basis", basis, "--num-steps", str(STEPS), "--init", "mean", "-o", f"{name}/found/"]
            found["inversion"] = timed(["invert", model, photo, *words])
            results[str(side)] = found
            print(side, found, flush=True)
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
