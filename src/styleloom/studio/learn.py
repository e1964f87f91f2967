"""The tab that tells the arc of ideas: each with a picture that is made live, and the file that has it."""

from __future__ import annotations

import html
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

import styleloom
from styleloom.data import images
from styleloom.data.bundled import bundled
from styleloom.service.app import Service

from . import parts
from .client import follow
from .photos import Photos

PAPERS = Path(styleloom.__file__).parent / "papers"
FACE = "astronaut"
PHOTO = "coffee"


@dataclass(frozen=True)
class Chapter:
    """A step of the arc.

    Attributes:
        title, paper, text: what it is called, after which papers, and what it says.
        file: its file, below ``papers``.
        verb, options: the job that makes its picture.
        photo: field of the bundled photograph that it is given, and its name.
        result: name of the file to show.
    """

    title: str
    paper: str
    file: str
    text: str
    verb: str
    options: Mapping[str, Any] = field(default_factory=dict)
    photo: tuple[str, str] | None = None
    result: str = "result.png"


CHAPTERS = (
    Chapter(
        "Optimize the pixels",
        "Gatys 2016",
        "gatys/__init__.py",
        "A network that names objects also knows textures. Start from the photograph and change its pixels until deep features "
        "still tell the photograph, and the statistics of all features tell the painting.",
        "stylize",
        dict(method="gatys", preset="draft", style_name=["wave"], first_steps=80, steps=20, size=192),
        ("content", PHOTO),
    ),
    Chapter(
        "Train a network to do it in one pass",
        "Johnson 2016",
        "johnson.py",
        "The descent takes minutes for each picture. Train a network by the same loss instead: then a picture takes a moment, in "
        "one style.",
        "stylize",
        dict(method="johnson", style_name=["johnson-mosaic"]),
        ("content", PHOTO),
    ),
    Chapter(
        "Many styles, then any style",
        "Dumoulin 2017, Ghiasi 2017, AdaIN 2017",
        "ghiasi/__init__.py",
        "Scale and shift after each normalization are enough to tell styles apart. Give each style its own, or let a second "
        "network read them off the painting.",
        "stylize",
        dict(method="ghiasi", style_name=["swirls"]),
        ("content", PHOTO),
    ),
    Chapter(
        "Generators that know styles",
        "StyleGAN 2019, StyleGAN2 2020",
        "stylegan2/__init__.py",
        "Nothing says that scale and shift must come from a painting. A vector w sets them, layer by layer: coarse layers pose a "
        "face, fine ones color it. Here are pose and shape of one face with the colors of another.",
        "mix",
        dict(model="portraits-128", content=7, style=12, layers="coarse"),
    ),
    Chapter(
        "Optimize a w",
        "Image2StyleGAN 2019",
        "image2stylegan/__init__.py",
        "The first idea again, in another space: start from the average face and change w until the generator's image is the "
        "photograph. Adam, 40 steps.",
        "invert",
        dict(model="portraits-128", optimizer="adam", num_steps=40, init="mean"),
        ("photo", FACE),
        "photo-1.png",
    ),
    Chapter(
        "Train the optimizer itself",
        "The learned optimizer",
        "learned_optimizer/__init__.py",
        "The second idea, applied to the fifth: a network proposes each step of the descent. 10 steps, and it is further than "
        "Adam above.",
        "invert",
        dict(model="portraits-128", num_steps=10),
        ("photo", FACE),
        "photo-1.png",
    ),
    Chapter(
        "Edit what was found",
        "InterFaceGAN, GANSpace, SeFa; ours",
        "directions/__init__.py",
        "In w, straight lines mean something. Along one a smile grows, along another hair turns gray; the photograph takes it "
        "back.",
        "edit",
        dict(model="portraits-128", changes={"smile": 2.0}, num_steps=20),
        ("photo", FACE),
    ),
)


def tab(service: Service, photos: Photos) -> None:
    """Lay out the tab."""
    for number, chapter in enumerate(CHAPTERS, 1):
        with gr.Row(elem_classes="chapter"):
            with gr.Column(scale=3):
                gr.HTML(_told(number, chapter))
                make = gr.Button("Make its picture")
                status = gr.Markdown("", elem_classes="status")
            with gr.Column(scale=2):
                shown = gr.HTML(parts.empty("Its picture appears here."), elem_classes="stage")
        handler = _maker(service, photos.uploads, chapter)
        make.click(handler, None, [status, shown], concurrency_limit=None, show_progress="hidden")


def _told(number: int, chapter: Chapter) -> str:
    address = f"/studio/source/{chapter.file}"
    return (
        f'<h3 class="step"><span>{number}</span> {html.escape(chapter.title)}</h3>'
        f'<p class="paper">{html.escape(chapter.paper)}</p>'
        f'<p>{html.escape(chapter.text)}</p><p class="file"><a href="{address}" target="_blank">'
        f"<code>papers/{html.escape(chapter.file)}</code></a></p>"
    )


def _maker(service: Service, uploads: Path, chapter: Chapter) -> Callable[..., AsyncIterator[tuple[Any, Any]]]:
    async def make(request: gr.Request) -> AsyncIterator[tuple[Any, Any]]:
        files = {}
        if chapter.photo is not None:
            name, photo = chapter.photo
            files[name] = [copied(photo, uploads)]
        yield "Starting ...", gr.skip()
        async for update in follow(service, chapter.verb, chapter.options, files, request):
            address = update.files.get(chapter.result if update.done else "result.png")
            told = parts.result(address, chapter.title, name=f"{chapter.verb}.png") if address else gr.skip()
            yield update.text, told

    return make


def copied(photo: str, uploads: Path) -> Path:
    """A bundled photograph among the uploads, as if it had been sent."""
    target = uploads / f"{photo}.png"
    if not target.exists():
        images.write(bundled(photo), target)
    return target


def source_of(file: str) -> Path | None:
    """The source file of a chapter; None for any other name."""
    return PAPERS / file if file in {chapter.file for chapter in CHAPTERS} else None
