"""The verbs of the service: their files and options, and how they run; uploaded files in, events and results out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from styleloom import jobs
from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.core.settings import Range
from styleloom.drawn.painterly import STYLES
from styleloom.jobs.edit import PasteOptions
from styleloom.jobs.events import Event, ItemDone
from styleloom.jobs.inputs import open_image
from styleloom.jobs.sources import LoadOptions
from styleloom.nn import mtcnn
from styleloom.papers import adain, dumoulin, gatys, ghiasi, johnson
from styleloom.papers.image2stylegan import InversionConfig
from styleloom.tasks.painting import FACES, METHODS

from .request import Request

SMALLEST = 64  # px of a translation's shorter side
MOST = dict.fromkeys(("size", "first_size", "style_size", "stroke_size", "tile"), 8192) | dict(steps=5_000, first_steps=5_000)
"""Largest values of options of styles that decide how much memory and time a job takes."""
PREVIEW_EVERY = 10  # steps of a descent on pixels between two pictures of it
MOVING = ("gif", "mp4", "webm")  # formats of a morph or walk


def stylize(request: Request) -> Iterator[Event]:
    """A photograph, a video or a zip of photographs in the style of one to four images, or of named styles."""
    method = str(request.options.get("method", "ghiasi"))
    check_choice("method", method, METHODS)
    styles: list[Path | str] = list(request.files.get("style", ()))
    if styles and method in ("johnson", "dumoulin"):
        raise StyleLoomError(
            f"{method} has styles of its own, by name; send 'style_name', or use ghiasi, adain or gatys for images"
        )
    for name in request.names("style_name"):
        if method in ("gatys", "ghiasi", "adain"):
            check_choice("style_name", name, STYLES)
        styles.append(name)
    if not styles:
        raise StyleLoomError("no style; send an image as 'style', or the name of a bundled one as 'style_name'")
    if method == "johnson":
        styles = [request.named("johnson", str(styles[0]), "style_name")]
    Range(1, 4).check("the number of styles", len(styles))
    masks = list(request.files.get("mask", ())) or None
    for name, most in MOST.items():
        if request.options.get(name) is not None:
            request.number(name, 0, 0, most, whole=True)
    settings = request.rest("method", "style_name", "keep_faces") | (
        dict(preview_every=PREVIEW_EVERY) if method == "gatys" else {}
    )
    if request.flag("keep_faces"):
        if method != "gatys":
            raise StyleLoomError(f"`keep_faces` is for gatys; {method} paints in one pass, so leave it out")
        settings["content_mask"] = FACES
    options: dict[str, Any] = dict(method=method, mask=masks, limits=request.limits, **settings)
    yield from request.made("content", lambda content, out: jobs.stylize(content, styles, out=out, **options))


def upscale(request: Request) -> Iterator[Event]:
    """An image, or each of a zip, four times as large."""
    name = request.model("upscale", "upscale-x4")
    yield from request.made("image", lambda image, out: jobs.upscale(image, model=name, out=out, limits=request.limits))


def translate(request: Request) -> Iterator[Event]:
    """An image, a video or a zip of images in another domain."""
    name = request.model("translate", "edges2portrait")
    mask = request.files.get("mask", ())
    for number, least, most in (("size", 0, 4096), ("tile", 0, 8192), ("seed", 0, 2**31)):
        if number in request.options and (number != "seed" or request.options[number] is not None):
            value = request.number(number, 0, least, most, whole=True)
            if number == "size" and 0 < value < SMALLEST:
                raise StyleLoomError(f"`size` is {value:g}; wanted 0 for the image's own, or {SMALLEST} to {most}")
    request.flag("drawing")
    options: dict[str, Any] = dict(mask=str(mask[0]) if mask else None, limits=request.limits) | request.rest("model")
    yield from request.made("image", lambda image, out: jobs.translate(image, name, out=out, **options))


def _moving(request: Request) -> Path:
    """The path of a video, in the format that is asked for."""
    suffix = str(request.options.get("format", "gif"))
    check_choice("format", suffix, MOVING)
    return request.out / f"result.{suffix}"


def generate(request: Request) -> Iterator[Event]:
    """A sheet of a generator's images, with ``separate`` each by itself, or with ``frames`` a walk between them as a video."""
    seeds = request.names("seeds") or list(range(8))
    if not all(isinstance(seed, int) for seed in seeds):
        raise StyleLoomError(f"`seeds` are {seeds}; wanted whole numbers")
    Range(1, 256).check("the number of seeds", len(seeds))
    moving, separate = "frames" in request.options, request.flag("separate")
    if moving and separate:
        raise StyleLoomError("`frames` make one video, and `separate` many images; leave one out")
    options: dict[str, Any] = dict(frames=request.frames(48)) if moving else {}
    options |= dict(truncation_psi=request.number("truncation_psi", 0.7, -10, 10))
    out = _moving(request) if moving else request.out if separate else request.out / "result.png"
    yield from jobs.generate(request.model("generate", "portraits-128"), seeds, out=out, limits=request.limits, **options)


def mix(request: Request) -> Iterator[Event]:
    """Style mixing: some layers of one seed, all others of another."""
    seeds = [int(request.number(name, 0, 0, 2**32 - 1, whole=True)) for name in ("content", "style")]
    psi = request.number("truncation_psi", 0.7, -10, 10)
    yield from jobs.cross(
        request.model("mix", "portraits-128"),
        [str(seeds[0])],
        str(seeds[1]),
        out=request.out / "result.png",
        layers=str(request.options.get("layers", "coarse")),
        loading=LoadOptions(truncation_psi=psi),
        limits=request.limits,
    )


def faces(request: Request) -> Iterator[Event]:
    """The faces of a photograph: their boxes and landmarks, in pixels, the largest first."""
    mark = time.perf_counter()
    photo = open_image(request.one("photo"), request.limits.max_pixels)
    mtcnn.check_detector()
    found = [
        dict(
            box=[round(each, 1) for each in face.box],
            landmarks=[round(each, 1) for each in face.landmarks.flatten().tolist()],
            score=round(face.score, 4),
        )
        for face in sorted(mtcnn.find(photo), key=lambda each: -each.size)
    ]
    values: dict[str, Any] = dict(faces=found, width=photo.shape[3], height=photo.shape[2])
    (request.out / "faces.json").write_text(json.dumps(values))
    yield ItemDone("photo", (), round(time.perf_counter() - mark, 3), values)


def invert(request: Request) -> Iterator[Event]:
    """Latents of a photograph, with the image that they make."""
    settings = request.rest("model", "align", "box", "landmarks")
    square: dict[str, Any] = dict(box=request.numbers("box", 4), landmarks=request.numbers("landmarks", 10))
    align = str(request.options.get("align", "auto"))
    yield from jobs.invert(
        request.model("invert", "portraits-128"),
        [request.one("photo")],
        out=request.out,
        align=align,
        limits=request.limits,
        **square,
        **settings,
    )


def _loading(request: Request) -> LoadOptions:
    return LoadOptions(
        num_steps=int(request.number("num_steps", 30, 0, 1_000, whole=True)),
        box=request.numbers("box", 4),
        landmarks=request.numbers("landmarks", 10),
        max_pixels=request.limits.max_pixels,
    )


def _subject(request: Request, verb: str) -> Path:
    """The photograph, or the latents that were found of one."""
    if len([name for name in ("photo", "latents") if name in request.files]) != 1:
        raise StyleLoomError(f"{verb} wants one file, as 'photo' or as 'latents'")
    return request.one("latents" if "latents" in request.files else "photo")


def edit(request: Request) -> Iterator[Event]:
    """A photograph with its face edited along directions and put back; or latents that were found of one."""
    changes = request.options.get("changes", {})
    if not isinstance(changes, dict) or not all(isinstance(strength, int | float) for strength in changes.values()):
        raise StyleLoomError('`changes` are directions and strengths, such as {"smile": 2}')
    yield from jobs.edit(
        request.model("edit", "portraits-128"),
        [_subject(request, "edit")],
        changes,
        out=request.out / "result.png",
        pasting=PasteOptions(paste=str(request.options.get("paste", "difference"))),
        loading=_loading(request),
        limits=request.limits,
    )


def express(request: Request) -> Iterator[Event]:
    """A photograph with the expression of another face, which is given without it and with it."""
    yield from jobs.express(
        request.model("express", "portraits-128"),
        [_subject(request, "express")],
        request.one("neutral"),
        request.one("expressive"),
        out=request.out / "result.png",
        strength=request.number("strength", 1.0, -5, 5),
        pasting=PasteOptions(paste=str(request.options.get("paste", "difference"))),
        loading=_loading(request),
        limits=request.limits,
    )


def inpaint(request: Request) -> Iterator[Event]:
    """A photograph with what a mask marks made anew."""
    yield from jobs.inpaint(
        request.model("inpaint", "portraits-128"),
        request.one("photo"),
        out=request.out / "result.png",
        mask=request.one("mask"),
        loading=_loading(request),
        limits=request.limits,
    )


def morph(request: Request) -> Iterator[Event]:
    """Two photographs or more, one turning into the next, as a video."""
    photos = list(request.files.get("photo", ()))
    Range(2, 8).check("the number of photographs", len(photos))
    frames, out = request.frames(48), _moving(request)
    name = request.model("morph", "portraits-128")
    yield from jobs.morph(name, photos, out=out, frames=frames, loading=_loading(request), limits=request.limits)


VERBS: dict[str, Callable[[Request], Iterator[Event]]] = {
    each.__name__: each for each in (stylize, upscale, translate, generate, mix, faces, invert, edit, express, inpaint, morph)
}
FILES: dict[str, dict[str, bool]] = {
    "stylize": {"content": True, "style": False, "mask": False},
    "upscale": {"image": True},
    "translate": {"image": True, "mask": False},
    "generate": {},
    "mix": {},
    "faces": {"photo": True},
    "invert": {"photo": True},
    "edit": {"photo": False, "latents": False},
    "express": {"photo": False, "latents": False, "neutral": True, "expressive": True},
    "inpaint": {"photo": True, "mask": True},
    "morph": {"photo": True},
}
"""Fields of each verb that are files, and whether there must be one."""
MANY = {"stylize": "content", "upscale": "image", "translate": "image"}
"""Fields that also take a zip, and a video where the verb paints frames."""
CONFIGS: dict[str, tuple[type[Any], ...]] = {
    "stylize": (gatys.GatysConfig, ghiasi.GhiasiConfig, adain.AdaINConfig, dumoulin.DumoulinConfig, johnson.JohnsonConfig),
    "invert": (InversionConfig,),
}
"""Classes whose fields are options of a verb."""
_FILES = ("model", "features")  # settings that name files, which no client may
_SQUARE = ("box", "landmarks", "num_steps")
OPTIONS: dict[str, tuple[str, ...]] = {
    "stylize": (
        *("method", "style_name", "preset", "weights", "smooth", "keep_faces"),
        *sorted({field.name for config in CONFIGS["stylize"] for field in fields(config)} - {*_FILES}),
    ),
    "upscale": ("model",),
    "translate": ("model", "to", "seed", "statistics", "drawing", "size", "tile"),
    "generate": ("model", "seeds", "truncation_psi", "frames", "separate", "format"),
    "mix": ("model", "content", "style", "layers", "truncation_psi"),
    "faces": (),
    "invert": ("model", "align", "box", "landmarks", "preset", *sorted(field.name for field in fields(InversionConfig))),
    "edit": ("model", "changes", "paste", *_SQUARE),
    "express": ("model", "strength", "paste", *_SQUARE),
    "inpaint": ("model", *_SQUARE),
    "morph": ("model", "frames", "format", "num_steps"),
}
"""Options of each verb. None of them names a file."""
EXAMPLES: dict[str, dict[str, Any]] = {
    "stylize": {"method": "ghiasi", "style_name": ["swirls"], "alpha": 0.8},
    "upscale": {},
    "translate": {"model": "edges2portrait"},
    "generate": {"model": "portraits-128", "seeds": [0, 1, 2, 3], "truncation_psi": 0.7},
    "mix": {"model": "portraits-128", "content": 1, "style": 2, "layers": "coarse"},
    "faces": {},
    "invert": {"model": "portraits-128", "num_steps": 30},
    "edit": {"model": "portraits-128", "changes": {"smile": 2.0}},
    "express": {"model": "portraits-128", "strength": 1.0},
    "inpaint": {"model": "portraits-128"},
    "morph": {"model": "portraits-128", "frames": 24},
}
