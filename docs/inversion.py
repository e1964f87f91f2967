"""Curves of ``benchmarks/results/inversion_<model>.json``, drawn by matplotlib: ``python docs/inversion.py toonfaces-64``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt

HERE = Path(__file__).parent
WAYS = {
    "sgd .01": ("SGD at 0.01", "#cfc8bb"),
    "sgd tuned": ("SGD, tuned", "#9aa5ad"),
    "adam .01": ("Adam at 0.01", "#6d675f"),
    "gate": ("gate on Adam (a step at a time)", "#c98a1b"),
    "adam tuned": ("Adam, tuned", "#3f7fb5"),
    "adam-eigenbasis tuned": ("Adam in the eigenbasis", "#4c9a5f"),
    "learned": ("learned through whole descents", "#c2413a"),
}


def main(model: str) -> None:
    """Write ``inversion-<model>.png``: median losses by step, from each start."""
    file = HERE.parent / "benchmarks" / "results" / f"inversion_{model.replace('-', '_')}.json"
    result = json.loads(file.read_text())
    starts = [start for start in ("mean", "random", "encoder") if start in result]
    figure, axes = plt.subplots(1, len(starts), figsize=(4 * len(starts), 3.8), sharey=True, layout="constrained")
    for axis, start in zip(axes, starts, strict=True):
        for label, (title, color) in WAYS.items():
            if label in result[start]:
                axis.plot(result[start][label]["curve"], color=color, lw=1.8, label=title)
        axis.set(title=f"from {'the ' if start != 'random' else ''}{start}{' w' if start != 'encoder' else ''}", xlabel="step")
        axis.set_yscale("log")
        axis.grid(alpha=0.25, which="both")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel(f"loss, median of {result['pictures']} pictures")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(HERE / f"inversion-{model}.png", dpi=110)


if __name__ == "__main__":
    main(sys.argv[1])
