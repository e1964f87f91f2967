"""How close vgg19-lite is to its teachers, on 200 photographs that it never saw.

    python benchmarks/features.py --photos photos256.zip --teachers teachers/ --contents content/ --paintings paintings/

R^2 is that of one linear read-out a layer (with a constant), fitted by ridge regression on training photographs and
judged on the held-out ones: against the true VGG-19 at relu1_1, relu2_1 and relu3_1, against the compressed teacher at
relu4_1 and relu5_1. The Spearman correlation is between the networks' distances of Gram matrices over all pairs of the
held-out photographs. Writes ``results/features.json`` and ``results/features_painted.jpg``.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from recipes.vgg19_lite import read_photos, read_teachers
from scipy.stats import spearmanr
from torch import Tensor

from styleloom.data.images import read, resize, resize_to_fit, write
from styleloom.nn.losses import gram_matrix
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import load_features
from styleloom.papers import gatys

RESULTS = Path(__file__).parent / "results"
LAYERS = {"relu1_1": "true", "relu2_1": "true", "relu3_1": "true", "relu4_1": "teacher", "relu5_1": "teacher"}
FIT_ON = 120  # training photographs for the read-outs


def features_of(network: Features, photo: Tensor, layers: list[str]) -> dict[str, Tensor]:
    """Feature maps [1, C, H, W] of the middle 256 x 256 pixels of a photograph."""
    height, width = photo.shape[-2:]
    top, left = max(0, (height - 256) // 2), max(0, (width - 256) // 2)
    crop = photo[None, :, top : top + 256, left : left + 256].float() / 255
    with torch.no_grad():
        return network(crop, layers)


def flat(features: Tensor, step: int) -> Tensor:
    """Every ``step``-th position in both directions: [1, C, H, W] -> [positions, C + 1], the last column 1."""
    rows = features[0, :, ::step, ::step].flatten(1).T.double()
    return torch.cat([rows, torch.ones(len(rows), 1, dtype=torch.float64)], 1)


def agreement(
    student: Features, teachers: dict[str, Features], training: list[Tensor], held_out: list[Tensor]
) -> dict[str, dict[str, Any]]:
    """R^2 and Spearman correlation of each layer."""
    report = {}
    for layer, which in LAYERS.items():
        teacher = teachers[which]
        step = {"1": 4, "2": 2}.get(layer[4], 1)
        xtx, xty = torch.zeros(()), torch.zeros(())
        for photo in training[:FIT_ON]:
            x = flat(features_of(student, photo, [layer])[layer], step)
            y = flat(features_of(teacher, photo, [layer])[layer], step)[:, :-1]
            xtx, xty = xtx + x.T @ x, xty + x.T @ y
        readout = torch.linalg.solve(xtx + 1e-9 * xtx.diagonal().mean() * torch.eye(len(xtx)), xty)
        error = total = first = torch.zeros(())
        count, grams = 0, ([], [])  # type: tuple[int, tuple[list[Tensor], list[Tensor]]]
        for photo in held_out:
            found, wanted = (features_of(network, photo, [layer])[layer] for network in (student, teacher))
            x, y = flat(found, step), flat(wanted, step)[:, :-1]
            error, total, first, count = (
                error + (x @ readout - y).square().sum(0),
                total + y.square().sum(0),
                first + y.sum(0),
                count + len(y),
            )
            for kept, features in zip(grams, (found, wanted), strict=True):
                kept.append(gram_matrix(features)[0].flatten())
        variance = total - first.square() / count
        pairs = torch.triu_indices(len(held_out), len(held_out), offset=1)
        distances = [torch.cdist(torch.stack(kept), torch.stack(kept))[pairs[0], pairs[1]] for kept in grams]
        report[layer] = dict(
            against=which,
            r2=round(1 - (error.sum() / variance.sum()).item(), 4),
            r2_mean_of_channels=round((1 - error / variance.clamp_min(1e-9)).mean().item(), 4),
            gram_distance_spearman=round(float(spearmanr(*distances).statistic), 4),
        )
        print(layer, report[layer], flush=True)
    return report


def painted(student: Features, teacher: Features, contents: Path, paintings: Path) -> Tensor:
    """Rows of content, style, painted with vgg19-lite, painted with the teacher."""
    pairs = [
        ("kodim15.jpg", "hokusai_great_wave.jpg"),
        ("kodim23.jpg", "vangogh_starry_night_1889.jpg"),
        ("kodim05.jpg", "munch_scream_1893.jpg"),
    ]
    rows = []
    for content, style in pairs:
        photo, painting = read(contents / content), read(paintings / style)
        results = [gatys.stylize(photo, painting, gatys.configure("draft"), features=network) for network in (student, teacher)]
        row = [resize(image, (256, 384)) for image in (resize_to_fit(photo, 384), resize_to_fit(painting, 384), *results)]
        rows.append(torch.cat(row, 3))
        print("painted", content, style, flush=True)
    return torch.cat(rows, 2)


def main() -> None:
    """Measure, paint, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("photos", "teachers", "contents", "paintings"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--model", default="vgg19-lite")
    options = parser.parse_args()
    start = time.time()
    training, held_out = read_photos(options.photos)
    true, small = read_teachers(options.teachers)
    student = load_features(options.model)
    report = agreement(student, {"true": true, "teacher": small}, training, held_out)
    RESULTS.mkdir(exist_ok=True)
    size = sum(parameter.numel() for parameter in student.parameters())
    result = dict(model=options.model, parameters=size, held_out=len(held_out), torch=torch.__version__, layers=report)
    (RESULTS / "features.json").write_text(json.dumps(result, indent=1) + "\n")
    write(painted(student, small, options.contents, options.paintings), RESULTS / "features_painted.jpg", quality=88)
    print(f"{time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
