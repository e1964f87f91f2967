"""``styleloom compare``: images that were made beside the true ones."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.files import check_parent, replacing
from styleloom.data import images
from styleloom.data.labels import read_labels
from styleloom.data.pairs import open_domains
from styleloom.nn.vgg_files import EMBEDDED
from styleloom.tasks.comparison import compare as compare_

from .options import Common
from .report import Report
from .status import SomeFailed

SHOWN = 192  # px, height of the images on the page
PAGE = """<!doctype html><meta charset="utf-8"><title>StyleLoom: made and true</title>
<style>body {{ font: 15px system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; color: #222; background: #fff }}
td, th {{ padding: .3rem .8rem .3rem 0; text-align: left; vertical-align: top }} img {{ display: block; max-width: 100% }}
figcaption {{ color: #555; margin: .2rem 0 1.2rem }}</style>
<h1>Made, and true</h1><table>{figures}</table><p>{note}</p>{rows}"""


def compare(
    made: str,
    truth: str,
    *,
    labels: Path | None = None,
    features: str = EMBEDDED,
    page: Path | None = None,
    common: Common,
) -> None:
    """Compare images that were made with the true ones, by name: L1, PSNR, SSIM, distances of features and of sets.

    Args:
        made: folder or zip of images.
        truth: folder or zip of images of the same names.
        labels: table of colors, lines of name,r,g,b: the images are label maps; accuracy of pixels and classes, and IoU.
        features: of the Fréchet distance: vgg19-lite, or Inception's file for FID's own.
        page: write a page that shows both side by side, a .html.
    """
    report = Report(common)
    if page is not None:
        if page.suffix.lower() != ".html":
            raise StyleLoomError(f"cannot write {page}: a page is called .html")
        check_parent(page)
    # Pairs of images, each measured as it is read.
    domains = open_domains(made, truth, aligned=True)
    colors = read_labels(labels) if labels else ()
    shown: list[Tensor] = []

    names: list[str] = []

    def pairs() -> Iterator[tuple[Tensor, Tensor]]:
        assert domains.exact is not None  # of twins in two folders
        for index, name in enumerate(domains.names):
            if (pair := domains.exact(index)) is None:
                continue
            names.append(name)
            one, other = (_rgb(each)[None] for each in pair)
            if page is not None:
                height, width = one.shape[-2:]
                size = (SHOWN, max(1, round(SHOWN * width / height)))
                shown.append(torch.cat([images.resize(each, size) for each in (one, other)], 3))
            yield one, other

    # Measure them, and keep small copies for the page.
    rows: list[dict[str, object]] = []
    parts: list[str] = []
    last = None
    loop = compare_(pairs(), len(domains), colors=colors, features=features, device=common.torch_device())
    for last in report.watch(loop, title="compare"):
        name = names[last.index - 1]
        rows.append({"name": name, **_finite(last.image)})
        if page is not None:
            encoded = base64.b64encode(images.encoded(shown.pop(0)[0])).decode()
            caption = f"{html.escape(name)}: {_told(last.image)}"
            parts.append(f'<figure><img alt="" src="data:image/png;base64,{encoded}"><figcaption>{caption}</figcaption></figure>')
    # Tell of what could not be read, of the figures, and write the page.
    damaged = {name: reason for files in domains.damaged for name, reason in files.items()}
    if last is None:
        raise StyleLoomError(
            "none of the pairs can be read: " + "; ".join(f"{name}: {reason}" for name, reason in damaged.items())
        )
    for name, reason in damaged.items():
        report.say(f"passed over {name}: {reason}")
    report.say("\n".join(f"{name:<12}{value:.4g}" for name, value in last.figures.items()))
    note = f"means of {last.index} images; fd and kid by {last.features}"
    report.say(note)
    if page is not None:
        table = "".join(f"<tr><th>{name}</th><td>{value:.4g}</td></tr>" for name, value in last.figures.items())
        with replacing(page) as temporary:
            temporary.write_text(PAGE.format(figures=table, note=html.escape(note), rows="".join(parts)), encoding="utf-8")
        report.say(f"wrote {page}")
    report.outcome(
        rows,
        figures=_finite(last.figures),
        features=last.features,
        images=rows,
        page=str(page) if page else None,
        damaged=damaged,
    )
    if damaged:
        raise SomeFailed


def _rgb(image: Tensor) -> Tensor:
    if len(image) not in (1, 3):
        raise StyleLoomError(f"an image of {len(image)} channels; images that are compared are gray or RGB")
    return image.expand(3, -1, -1)


def _finite(figures: dict[str, float]) -> dict[str, float | None]:
    """As JSON has it, which knows no infinity: the PSNR of equal images is null."""
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}


def _told(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in figures.items())
