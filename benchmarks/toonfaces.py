"""How many cartoon faces are drawn in a second: ``python -m benchmarks.toonfaces``.

Attributes of seeds and images of them, medians of five runs each; results go to ``results/toonfaces.json``.
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path

import torch
from benchmarks.gatys import processor

from styleloom.drawn import toonfaces

RUNS = 5
COUNTS = {64: 1000, 128: 400, 256: 100}


def main() -> None:
    """Measure and write the results."""
    rates: dict[int, list[float]] = {size: [] for size in COUNTS}
    for _ in range(RUNS + 1):
        for size, count in COUNTS.items():
            mark = time.perf_counter()
            toonfaces.render([toonfaces.attributes(seed) for seed in range(count)], size)
            rates[size].append(count / (time.perf_counter() - mark))
    told = {f"{size} px": round(statistics.median(each[1:])) for size, each in rates.items()}
    result = dict(processor=processor(), threads=torch.get_num_threads(), torch=torch.__version__, faces_a_second=told)
    print(json.dumps(result))
    (Path(__file__).parent / "results" / "toonfaces.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
