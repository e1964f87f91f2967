"""Curves and tables of ``benchmarks/results/inversion_*<model>.json``: ``python docs/inversion.py toonfaces-64``.

Writes ``inversion-<model>.png`` with matplotlib, and prints the tables of README and model cards, of what has been measured.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

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
ROUGH = {
    "nag fixed": "Nesterov's momentum at 0.01",
    "nag tuned": "Nesterov's momentum, tuned",
    "adagrad fixed": "Adagrad at 0.01",
    "adagrad tuned": "Adagrad, tuned",
    "rmsprop fixed": "RMSProp at 0.01",
    "rmsprop tuned": "RMSProp, tuned",
    "lbfgs fixed": "L-BFGS at 1",
    "lbfgs tuned": "L-BFGS, tuned",
    "lstm": "LSTM, learned through whole descents",
}
STARTS = {"mean": "from the mean w", "random": "from a random w", "encoder": "from the encoder"}
MARKS = ("5", "10", "20", "50", "100")
LONG = ("100", "300", "1000")
# Percent fewer steps that are claimed of the gate, from the encoder and from random w.
CLAIMS = (("adam .01", "Adam at 0.01", 35, 49), ("sgd .01", "SGD at 0.01", 86, 77), ("sgd tuned", "SGD, tuned", 86, 77))


def main(model: str) -> None:
    """Write the curves and print the tables of a model."""
    result = results(model)
    curves(result, HERE / f"inversion-{model}.png")
    for start in (start for start in STARTS if start in result):
        print(table(result[start], STARTS[start]), end="\n\n")
    if any(label in result["mean"] for label in ROUGH):
        print(rough_table(result), end="\n\n")
    if "gate" in result.get("encoder", {}):
        print(claims(result), end="\n\n")
    for kind, shown in (("long", long_table), ("ablation", ablation_table), ("domain", domain_table)):
        if found := results(model, f"{kind}_"):
            print(shown(found), end="\n\n")


def results(model: str, kind: str = "") -> dict[str, Any]:
    """What a benchmark found; empty where it has not been run."""
    file = HERE.parent / "benchmarks" / "results" / f"inversion_{kind}{model.replace('-', '_')}.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return found


def curves(result: dict[str, Any], path: Path) -> None:
    """Draw median losses by step, from each start."""
    starts = [start for start in STARTS if start in result]
    figure, axes = plt.subplots(1, len(starts), figsize=(4 * len(starts), 3.8), sharey=True, squeeze=False, layout="constrained")
    for axis, start in zip(axes[0], starts, strict=True):
        for label, (title, color) in WAYS.items():
            if label in result[start]:
                axis.plot(result[start][label]["curve"], color=color, lw=1.8, label=title)
        axis.set(title=STARTS[start], xlabel="step", yscale="log")
        axis.grid(alpha=0.25, which="both")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel(f"loss, median of {result['images']} images")
    named = {name: line for axis in axes[0] for line, name in zip(*axis.get_legend_handles_labels(), strict=True)}
    shown = [title for title, _ in WAYS.values() if title in named]
    figure.legend([named[title] for title in shown], shown, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=110)


def table(result: dict[str, Any], start: str) -> str:
    """Losses at some steps, and the steps to what Adam has after 100: the median image's, and nine of ten images'."""
    titles = [start, *(f"loss at {mark}" for mark in MARKS), "steps to Adam at 0.01", "to tuned Adam", "speedup"]
    rows = []
    for label, (title, _) in WAYS.items():
        if label in result:
            each = result[label]
            losses = [f"{each['losses'][mark]:.4f}" for mark in MARKS]
            goals = [_steps(each["to"][goal]) if goal in each["to"] else "-" for goal in ("adam .01", "adam tuned")]
            rows.append([title, *losses, *goals, str(each.get("times_fewer_seconds") or "-")])
    return tabled(titles, rows)


def rough_table(result: dict[str, Any]) -> str:
    """Of optimizers of which a rough place is enough: the loss after 100 steps, and the steps to what Adam has by then."""
    starts = [start for start in STARTS if start in result]
    titles = ["", *(f"{STARTS[start]}: loss at 100; steps to Adam at 0.01; to tuned Adam" for start in starts)]
    rows = []
    for label in (label for label in ROUGH if any(label in result[start] for start in starts)):
        rows.append([ROUGH[label]])
        for each in (result[start].get(label) for start in starts):
            goals = (_steps(each["to"][goal]) for goal in ("adam .01", "adam tuned")) if each else ()
            rows[-1].append("; ".join([f"{each['losses']['100']:.4f}", *goals]) if each else "")
    return tabled(titles, rows)


def claims(result: dict[str, Any]) -> str:
    """Of the gate: steps to what others have after 100, with what was claimed of it, read as fewer steps and as faster ones."""
    titles = ["steps to what comes after 100 of", STARTS["encoder"], "claimed", STARTS["random"], "claimed"]
    rows = []
    for goal, title, *claimed in CLAIMS:
        told = [_claim(result.get(start, {}).get("gate", {}).get("to", {}).get(goal)) for start in ("encoder", "random")]
        rows.append([title, told[0], f"{claimed[0]}%", told[1], f"{claimed[1]}%"])
    return tabled(titles, rows)


def long_table(result: dict[str, Any]) -> str:
    """Of each start: losses after 100 steps and more, and the share of images that are then nearer than tuned Adam's."""
    titles = ["", *(f"loss at {mark}" for mark in LONG), *(f"nearer at {mark}" for mark in LONG)]
    rows = []
    for start in (start for start in STARTS if start in result):
        for label in (label for label in WAYS if label in result[start]):
            each = result[start][label]
            losses = [f"{each['losses'][mark]:.5f}" for mark in LONG]
            shares = ["" if label == "adam tuned" else f"{each['lower_than_tuned'][mark]:.0%}" for mark in LONG]
            rows.append([f"{STARTS[start]}: {WAYS[label][0]}", *losses, *shares])
    return tabled(titles, rows)


def ablation_table(result: dict[str, Any]) -> str:
    """Of each variant: losses at some steps, and the steps to what tuned Adam has after 100."""
    titles = ["", *(f"loss at {mark}" for mark in MARKS), "steps to tuned Adam"]
    rows = []
    for variant, each in result.items():
        losses = [f"{each['losses'][mark]:.4f}" for mark in MARKS]
        rows.append([variant, *losses, _steps(each["to_tuned"])])
    return tabled(titles, rows)


def domain_table(result: dict[str, Any]) -> str:
    """Of each optimizer's latents, at what tuned Adam comes to: medians, with intervals of 95%."""
    ways = [label for label in WAYS if label in result]
    kinds = [kind for kind in result[ways[0]] if kind != "never"]
    told = "{median:.3g} ({least:.3g} to {most:.3g})"
    rows = [[kind, *(told.format(**result[label][kind]) for label in ways)] for kind in kinds]
    return tabled(["", *(WAYS[label][0] for label in ways)], rows)


def tabled(titles: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    head, *body = (f"| {' | '.join(row)} |" for row in (titles, *rows))
    return "\n".join([head, "|---" * len(titles) + "|", *body])


def _claim(to: dict[str, Any] | None) -> str:
    if to is None:
        return "-"
    if to["median"] is None:
        return f"never: {to['never']:.0%} of images do not come there"
    least, most = ("never" if to[name] is None else f"{to[name]:.0f}" for name in ("least", "most"))
    fewer, faster = 100 - to["median"], 100 * (100 / to["median"] - 1)
    return f"{to['median']:g} ({least} to {most}): {fewer:.0f}% fewer, {faster:.0f}% faster"


def _steps(to: dict[str, Any]) -> str:
    median, tenth = ("never" if to[name] is None else f"{to[name]:g}" for name in ("median", "tenth"))
    return median if median == tenth == "never" else f"{median} ({tenth})"


if __name__ == "__main__":
    main(sys.argv[1])
