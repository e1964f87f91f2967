"""Peak resident memory of ``styleloom stylize``, from file to file, for large photographs.

    python -m benchmarks.peak_memory

Each is a process of its own, with a JPEG in and a JPEG out; what Python and torch take before any image counts as well. Results
go to ``results/peak_memory.json``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from benchmarks.gatys import processor

import styleloom as sl
from styleloom.data import images

RESULTS = Path(__file__).parent / "results" / "peak_memory.json"
SIZES = ((3000, 2000), (8000, 6000))
COMMANDS = {
    "ghiasi": ["wave", "--method", "ghiasi"],
    "adain": ["wave", "--method", "adain"],
    "dumoulin": ["wave", "--method", "dumoulin"],
    "johnson": ["johnson-swirls", "--method", "johnson"],
    "johnson, --stroke-size 0": ["johnson-swirls", "--method", "johnson", "--stroke-size", "0"],
    "johnson, --stroke-size 0 --tile 512": ["johnson-swirls", "--method", "johnson", "--stroke-size", "0", "--tile", "512"],
}


def peak_mib(command: list[str]) -> float:
    """What a command's process took at most; a small process starts it, since a fork's peak begins with its parent's."""
    start = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=2); "
    tell = "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    return int(subprocess.run([sys.executable, "-c", start + tell, *command], check=True, capture_output=True).stdout) / 1024


def main() -> None:
    """Measure and write the results."""
    results: dict[str, object] = dict(machine=processor(), threads=torch.get_num_threads())
    with tempfile.TemporaryDirectory() as folder:
        for width, height in SIZES:
            photo, out = f"{folder}/{width}.jpg", f"{folder}/out.jpg"
            images.write(images.resize(sl.bundled("astronaut"), (height, width)), photo)
            for name, options in COMMANDS.items():
                command = [
                    sys.executable,
                    "-m",
                    "styleloom",
                    "stylize",
                    photo,
                    *options,
                    "-o",
                    out,
                    "--overwrite",
                    "--device",
                    "cpu",
                ]
                peak = round(peak_mib(command))
                results.setdefault(f"{width} x {height}", {})[name] = peak  # type: ignore[index]
                print(f"{width} x {height}", name, peak, "MiB", flush=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
