"""How far second order reaches: exact Gauss-Newton steps from where the learned optimizer is after 20.

    python -m benchmarks.inversion_gauss_newton portraits-128 held-out.zip

Each such step knows what no optimizer of this toolkit can afford, all columns of the Jacobian of pixels and features, which are
1,280 images' worth of work at 64 px, and takes the best by the true loss of nine dampings and two lengths. Where it still needs
several steps, what is in the way is not curvature: images are not linear in w. Median losses of images, and the steps in all
to what tuned Adam has after 100, go to ``results/inversion_gauss_newton_<model>.json``.
"""

from __future__ import annotations

import json

import torch
from benchmarks.inversion import (
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
from torch import Tensor

from styleloom.loops.eigenbasis import Eigenbasis
from styleloom.nn.vgg_files import load_features
from styleloom.papers import image2stylegan, learned_optimizer
from styleloom.papers.image2stylegan import LAYERS, InversionConfig
from styleloom.papers.image2stylegan.objective import Objective, Weights, render

BEFORE, AFTER = 20, 4  # steps of the learned optimizer, and of Gauss-Newton
DAMPINGS = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)  # shares of the largest curvature
LENGTHS = (1.0, 0.5)
SHIFT, TOGETHER = 0.02, 8  # difference quotients: standard deviations of the prior, and images at a time


def residual(objective: Objective, ws: Tensor) -> Tensor:
    """What the loss is the squared length of, of images with one target: [N, numbers]."""
    image, weights = render(objective.generator, ws), objective.weights
    differences = [(image - objective.targets, weights.pixel_weight)]
    taps = objective.features(image, LAYERS)
    differences += [(taps[layer] - objective.target_features[layer], weights.perceptual_weight / len(LAYERS)) for layer in LAYERS]
    return torch.cat([each.flatten(1) * (weight / each[0].numel()) ** 0.5 for each, weight in differences], 1)


def gauss_newton(objective: Objective, ws: Tensor, basis: Eigenbasis) -> tuple[Tensor, float]:
    """The best step of one image, ws [1, num_ws, w_dim], by the true loss; and that loss."""
    here = residual(objective, ws)
    ways = (basis.vectors * basis.prior_std).T.unflatten(1, ws.shape[1:])
    moved = (residual(objective, ws + SHIFT * some) for some in ways.split(TOGETHER))
    columns = torch.cat([((each - here) / SHIFT).half() for each in moved])
    parts = [part.float() for part in columns.split(65_536, 1)]
    matrix = sum(part @ part.T for part in parts)
    slope = sum(part @ now for part, now in zip(parts, here[0].split(65_536), strict=True))
    values, vectors = torch.linalg.eigh(matrix.double())
    along = vectors.T @ slope.double()
    steps = torch.stack([-(vectors @ (along / (values + share * values[-1]))) for share in DAMPINGS]).float()
    tried = torch.cat([ws + length * (steps @ ways.flatten(1)).unflatten(1, ws.shape[1:]) for length in LENGTHS])
    losses = torch.cat([residual(objective, some).square().sum(1) for some in tried.split(TOGETHER)])
    best = int(losses.argmin())
    return tried[best : best + 1], float(losses[best])


@torch.no_grad()
def main() -> None:
    """Measure and write the results."""
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=int, default=8)
    options = parser.parse_args()
    case = case_of(options)
    generator, tools, name = case.generator, case.tools, case.name
    assert tools.learned is not None and tools.basis is not None
    targets = untouched(case.held_out, options.images)
    adam = factory_of(Contender("adam", settings_of(name)["adam"]), tools)
    goals = curves(generator, targets, adam, "mean", tools)[-1]
    descent = list(
        image2stylegan.steps(generator, targets, InversionConfig(), optimizer=learned_optimizer.factory(tools.learned))
    )
    learned = torch.stack([step.each for step in descent])
    features = load_features().prepare(generator.device, torch.float32)
    losses = torch.cat([learned[: BEFORE + 1], torch.empty(AFTER, options.images)])
    for row in range(options.images):
        objective = Objective(generator, targets[row : row + 1], features, Weights())
        ws = descent[BEFORE].ws[row : row + 1]
        for step in range(BEFORE + 1, BEFORE + AFTER + 1):
            ws, losses[step, row] = gauss_newton(objective, ws, tools.basis)
        print(row, losses[BEFORE:, row].tolist(), flush=True)
    result = dict(
        model=options.model,
        images=options.images,
        learned={str(step): float(f"{medians(learned)[step]:.4g}") for step in (20, 25, 30, 40, 50, 100)},
        gauss_newton={str(step): float(f"{medians(losses)[step]:.4g}") for step in range(BEFORE, BEFORE + AFTER + 1)},
        to_tuned=dict(learned=told(reached(learned, goals)), gauss_newton=told(reached(losses, goals))),
    )
    (RESULTS / f"inversion_gauss_newton_{name}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
