"""What a pass of ``anystyle`` takes: seconds and peak resident memory of the process, model and style loaded anew.

    python -m benchmarks.anystyle

Each size is painted by a process of its own: five times, medians; the first pass is not counted. Memory is the peak of the whole
process. Results go to ``results/anystyle.json``.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from benchmarks.gatys import processor

import styleloom as sl
from styleloom.core.memory import keep_memory

RESULTS = Path(__file__).parent / "results" / "anystyle.json"
SIZES = ((512, 512), (1024, 1024), (3000, 2000), (8000, 6000))
PASSES = 5


def one(width: int, height: int) -> dict[str, float]:
    """Seconds of a pass, and this process's peak memory in MiB."""
    keep_memory()
    content, style = torch.randint(256, (1, 3, height, width), dtype=torch.uint8), sl.draw("wave")
    model = sl.ghiasi.load()
    seconds = []
    for _ in range(PASSES + 1):
        mark = time.perf_counter()
        sl.ghiasi.stylize(content, style, model=model)
        seconds.append(time.perf_counter() - mark)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return dict(seconds=round(statistics.median(seconds[1:]), 3), peak_mib=round(peak))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(one(*map(int, sys.argv[1:]))))
    else:
        found: dict[str, object] = {"machine": processor(), "threads": torch.get_num_threads()}
        for width, height in SIZES:
            command = [sys.executable, "-m", "benchmarks.anystyle", str(width), str(height)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[f"{width} x {height}"] = json.loads(done.stdout)
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
        print(json.dumps(found, indent=1))
