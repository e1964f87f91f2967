"""What each idea in the learned optimizer is worth: short trainings, each without one of them.

    python -m benchmarks.inversion_ablation toonfaces-64 held-out.zip toonfaces64.zip --out runs/ablation

Every variant is trained alike, 45 steps on pairs and 105 on descents of 5 to 20 steps, from the mean and from random w, and
inverts 32 held-out images from the mean: median losses after some steps, and the steps to what tuned Adam has after 100. The
whole is trained from three seeds, which tells how much of a difference is chance. Trainings that were interrupted go on.
Results go to ``results/inversion_ablation_<model>.json``, variant by variant.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from benchmarks.inversion import (
    MARKS,
    RESULTS,
    Contender,
    case_of,
    curves,
    factory_of,
    medians,
    parser_of,
    reached,
    settings_of,
    told,
    untouched,
)

from styleloom.core.run import Hardware, Run
from styleloom.loops.fit import MODEL
from styleloom.papers import learned_optimizer
from styleloom.papers.learned_optimizer import OptimizerRecipe
from styleloom.tasks.inversion import Tools

PICTURES = 32
WHOLE = OptimizerRecipe(num_steps=150, pretrain_fraction=0.3, unroll_length=20, anneal_start=20, starts=("mean", "random"))
UNPRETRAINED = WHOLE.num_steps - WHOLE.pretrain_steps
VARIANTS: dict[str, dict[str, Any]] = {
    "whole": {},
    "whole, second seed": dict(seed=1),
    "whole, third seed": dict(seed=2),
    "no step network": dict(channels=0, num_steps=UNPRETRAINED),
    "no pretraining of the step network": dict(pretrain_fraction=0.0, num_steps=UNPRETRAINED),
    "no quasi-Newton step": dict(use_quasi_newton=False),
    "Adam's momentum alone": dict(use_momenta=False),
    "neither time nor loss": dict(use_time_features=False),
    "descents of 5 steps": dict(unroll_length=5),
    "long descents alone": dict(first_unroll_length=20),
    "generated images alone": dict(synthetic=1.0),
}


def main() -> None:
    """Train what is not trained yet, measure, and write the results."""
    parser = parser_of(__doc__)
    parser.add_argument("training")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--precision", default="fp32")
    options = parser.parse_args()
    case = case_of(options)
    generator, tools, name = case.generator, case.tools, case.name
    targets = untouched(case.held_out, PICTURES)
    settings = settings_of(name)
    bare = Tools(basis=tools.basis)
    base = curves(generator, targets, factory_of(Contender("adam", settings["adam"]), bare), "mean", bare)
    starting = factory_of(Contender("adam-eigenbasis", settings["adam-eigenbasis"]), bare)
    result = {"Adam in the eigenbasis": _figures(curves(generator, targets, starting, "mean", bare), base)}
    hardware = Hardware(str(generator.device.type), precision=options.precision)
    for variant, changes in VARIANTS.items():
        out = options.out / variant.replace(" ", "-").replace("'", "")
        recipe = replace(WHOLE, **changes)
        for _ in learned_optimizer.train(
            generator, recipe, run=Run(out, hardware=hardware, resume=True), data=options.training, basis=tools.basis
        ):
            pass
        factory = learned_optimizer.factory(learned_optimizer.load(out / MODEL))
        result[variant] = _figures(curves(generator, targets, factory, "mean", bare), base)
        print(variant, result[variant], flush=True)
        (RESULTS / f"inversion_ablation_{name}.json").write_text(json.dumps(result, indent=1) + "\n")


def _figures(losses: torch.Tensor, base: torch.Tensor) -> dict[str, Any]:
    middle = medians(losses)
    marked = {str(mark): float(f"{middle[mark]:.4g}") for mark in MARKS}
    return dict(losses=marked, to_tuned=told(reached(losses, base[-1])))


if __name__ == "__main__":
    main()
