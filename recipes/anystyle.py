"""``anystyle``: any style in one pass, trained on paintings that are free to use and on the drawn styles.

    python -m recipes.anystyle prepare paintings.zip drawn/ -o styles.zip
    python -m recipes.anystyle train photos256.zip styles.zip --teachers teachers/ --out runs/anystyle

``prepare`` puts each artist's paintings, and the drawings of each style, into a folder of their own: folders are as likely as
one another. ``drawn/`` is what ``styleloom data styles --size 288 --variations 6 --seed 1 --out drawn`` makes. The loss is
measured by the true VGG-19 up to relu3_1 and by a compressed one (Wang et al. 2020, arXiv:2003.08436) below.
"""

from __future__ import annotations

import argparse
import csv
import io
import time
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from recipes.vgg19_lite import read_teachers
from torch import Tensor, nn

from styleloom.core.run import Hardware, Run
from styleloom.papers import ghiasi

CHANGED = ("style_weight", "lr", "ema_decay")  # what may differ from the default recipe
QUALITY = 85  # of the images that are packed


class Teachers(nn.Module):
    """Two perceptual networks as one: each layer comes from the first that has it."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.true, self.small = read_teachers(folder)

    def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """[N, 3, H, W] in [0, 1] -> activations by layer."""
        first = [layer for layer in layers if layer in self.true.layers]
        found: dict[str, Tensor] = self.true(image, first) if first else {}
        rest = [layer for layer in layers if layer not in first]
        return found | (self.small(image, rest) if rest else {})


def prepare(paintings: Path, drawn: Path, out: Path) -> None:
    """Pack paintings and drawings into one zip with a folder for each artist and each drawn style."""
    with zipfile.ZipFile(paintings) as source, zipfile.ZipFile(out, "w") as target:
        rows = list(csv.DictReader(io.StringIO(source.read("paintings.csv").decode())))
        artists = sorted({row["artist"] for row in rows})
        for row in rows:
            folder = f"artist-{artists.index(row['artist']):03}"
            target.writestr(f"{folder}/{Path(row['file']).stem}.webp", _packed(source.read(row["file"])))
        for path in sorted(drawn.glob("*.png")):
            target.writestr(f"{path.stem.rsplit('-', 1)[0]}/{path.stem}.webp", _packed(path.read_bytes()))


def _packed(data: bytes) -> bytes:
    packed = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").save(packed, "WEBP", quality=QUALITY)
    return packed.getvalue()


def train(arguments: argparse.Namespace) -> None:
    """Train until done, or for about ``--seconds``: the number of steps follows from how long the first ones take."""
    teachers = Teachers(arguments.teachers).requires_grad_(False).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    hardware = Hardware(arguments.device, precision=arguments.precision)
    changed = {name: value for name in CHANGED if (value := getattr(arguments, name)) is not None}
    recipe = replace(ghiasi.RECIPES["default"], batch=arguments.batch, num_steps=arguments.num_steps, log_every=20, **changed)
    begin = time.monotonic()
    if arguments.seconds:
        trial = ghiasi.train(
            arguments.photos, arguments.styles, recipe, run=Run(arguments.out / "trial", hardware=hardware), features=teachers
        )
        for tick in trial:
            if tick.index == 200:
                start = time.monotonic()
            if tick.index == 320 or (tick.index > 210 and time.monotonic() - start > 0.05 * arguments.seconds):
                rate = (tick.index - 200) / (time.monotonic() - start)
                break
        trial.close()  # type: ignore[attr-defined]
        recipe = replace(recipe, num_steps=int(rate * 0.93 * (arguments.seconds - (time.monotonic() - begin))))
        print(f"{rate:.2f} steps a second; {recipe.num_steps} steps", flush=True)
    recipe = replace(recipe, save_every=max(1, recipe.num_steps // 10), sample_every=max(1, recipe.num_steps // 10))
    base = ghiasi.load(arguments.base) if arguments.base else None
    run = ghiasi.train(
        arguments.photos,
        arguments.styles,
        recipe,
        run=Run(arguments.out, license="Apache-2.0", hardware=hardware, resume=arguments.resume),
        base=base,
        features=teachers,
    )
    for tick in run:
        if tick.index % 100 == 0:
            told = ", ".join(f"{name} {value:.3f}" for name, value in tick.losses.items())
            print(f"step {tick.index}: {told}; {tick.rate:.1f} examples/s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    packing = commands.add_parser("prepare")
    packing.add_argument("paintings", type=Path)
    packing.add_argument("drawn", type=Path)
    packing.add_argument("-o", "--out", type=Path, required=True)
    packing.set_defaults(run=lambda given: prepare(given.paintings, given.drawn, given.out))
    training = commands.add_parser("train")
    training.add_argument("photos", type=Path)
    training.add_argument("styles", type=Path)
    training.add_argument("--teachers", type=Path, required=True)
    training.add_argument("--out", type=Path, required=True)
    training.add_argument("--base", type=Path)
    for name in CHANGED:
        training.add_argument(f"--{name.replace('_', '-')}", type=float)
    training.add_argument("--seconds", type=float, default=0)
    training.add_argument("--num-steps", type=int, default=10_000)
    training.add_argument("--batch", type=int, default=8)
    training.add_argument("--device", default="auto")
    training.add_argument("--precision", default="bf16")
    training.add_argument("--resume", action="store_true")
    training.set_defaults(run=train)
    given = parser.parse_args()
    given.run(given)
