"""Enlarging four times: the perceptual network against bicubic interpolation and its twin trained for the squared error.

    python -m benchmarks.super_resolution --contents content/ --teachers teachers/ --network perceptual=upscale-x4 \\
        --network "mse twin=runs/upscale-mse/model.safetensors"

Photographs are reduced four times (bicubic, rounded to 8 bits) and enlarged again. PSNR and SSIM ask for the mean of what
may have been there; the distance of features (Zhang et al. 2018, without calibration) of the true VGG-19 at relu1_1, relu2_1
and relu3_1, which no training saw, asks for what it looks like. Hatching is the fine texture that the photograph does not have,
where it is smooth, in levels of 255. Results go to ``results/super_resolution.json``, with those of networks measured before.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from recipes.vgg19_lite import read_teachers
from torch import Tensor

import styleloom as sl
from styleloom.metrics.image import perceptual_distance, psnr, ssim
from styleloom.papers import super_resolution

RESULTS = Path(__file__).parent / "results"
LAYERS = ("relu1_1", "relu2_1", "relu3_1")
SMOOTH = 0.01  # fine texture below which a photograph is smooth


def hatching(image: Tensor, photo: Tensor) -> float:
    """Fine texture that a photograph [1, 3, H, W] does not have, where it is smooth, in levels of 255."""
    own, made = super_resolution.fine_texture(photo), super_resolution.fine_texture(image)
    return 255 * float((made - own).clamp_min(0)[own < SMOOTH].mean())


def compare(contents: list[Path], teachers: Path, models: dict[str, str]) -> dict[str, Any]:
    """Means over the photographs of each measure of each enlargement."""
    discriminator = read_teachers(teachers)[0]
    networks = {name: super_resolution.load(model) for name, model in models.items()}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ("bicubic", *networks)}
    for path in contents:
        photo = sl.read(path)
        photo = photo[..., : photo.shape[-2] // 8 * 8, : photo.shape[-1] // 8 * 8]
        small = super_resolution.reduced(photo)
        enlarged = {"bicubic": sl.resize(small, photo.shape[-2:])}
        enlarged |= {name: sl.upscale(small, network) for name, network in networks.items()}
        for name, image in enlarged.items():
            found[name].append(
                dict(
                    psnr=psnr(image, photo),
                    ssim=ssim(image, photo),
                    perceptual_distance=perceptual_distance(discriminator, image, photo, LAYERS),
                    hatching=hatching(image, photo),
                )
            )
    return {name: {key: round(statistics.mean(row[key] for row in rows), 4) for key in rows[0]} for name, rows in found.items()}


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("contents", "teachers"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--network", action="append", required=True, help="name=model; repeat the option")
    options = parser.parse_args()
    contents = sorted(options.contents.iterdir())
    networks = dict(each.split("=", 1) for each in options.network)
    path = RESULTS / "super_resolution.json"
    before = json.loads(path.read_text())["enlargements"] if path.exists() else {}
    measured = compare(contents, options.teachers, networks)
    result = dict(photographs=len(contents), enlargements=before | measured)
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
