"""The verbs of the service: their files and options, and how they run; uploaded files in, events and results out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from styleloom import jobs
from styleloom.core.checkpoint import read_config, zoo_names
from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.core.settings import Range
from styleloom.drawn.painterly import STYLES
from styleloom.jobs.edit import PasteOptions
from styleloom.jobs.events import Event
from styleloom.jobs.outputs import Limits
from styleloom.jobs.sources import LoadOptions
from styleloom.papers import adain, dumoulin, gatys, ghiasi, johnson
from styleloom.papers.image2stylegan import InversionConfig
from styleloom.tasks.painting import METHODS

SMALLEST = 64  # px of a translation's shorter side
RESULTS, SO_FAR = "results", "result.png"
PREVIEW_EVERY = 10  # steps of a descent on pixels between two pictures of it
MODELS = {
    "generate": ("stylegan2", "stylegan", "progan"),
    "invert": ("stylegan2", "stylegan", "progan"),
    "edit": ("stylegan2", "stylegan", "progan"),
    "inpaint": ("stylegan2", "stylegan", "progan"),
    "morph": ("stylegan2", "stylegan", "progan"),
    "translate": ("pix2pix", "pix2pixhd", "cyclegan"),
    "johnson": ("johnson",),
    "upscale": ("super-resolution",),
}
"""Kinds of models that a verb takes, by name in the zoo: no path and no address comes from a client."""


@dataclass(frozen=True)
class Request:
    """A verb's work, made ready.

    Attributes:
        folder: folder of the job. Uploaded files lie in it; results go to ``results``.
        files: uploaded files by field, in their order.
        options: other fields.
        limits: device and largest image.
        max_frames: frames at most.
    """

    folder: Path
    files: Mapping[str, Sequence[Path]]
    options: Mapping[str, Any]
    limits: Limits
    max_frames: int

    @property
    def out(self) -> Path:
        """Folder of results."""
        return self.folder / RESULTS

    def one(self, field: str) -> Path:
        """The single file of a field."""
        given = self.files.get(field, ())
        if len(given) != 1:
            raise StyleLoomError(f"{len(given)} files given as {field!r}; send one")
        return given[0]

    def rest(self, *known: str) -> dict[str, Any]:
        """Options but some."""
        return {name: value for name, value in self.options.items() if name not in known}

    def number(self, name: str, default: float, least: float, most: float, *, whole: bool = False) -> float:
        """A number of the options, within limits."""
        value = self.options.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise StyleLoomError(f"`{name}` is {value!r}; wanted a number from {least:g} to {most:g}")
        Range(least, most).check(f"`{name}`", value, whole=whole)
        return value

    def names(self, name: str) -> list[Any]:
        """A list of the options, or a single value as one."""
        value = self.options.get(name, [])
        return value if isinstance(value, list) else [value]

    def frames(self, default: int) -> int:
        """The number of frames that is asked for."""
        return int(self.number("frames", default, 1, self.max_frames, whole=True))

    def model(self, verb: str, default: str) -> str:
        """The name of a model of the zoo that a verb takes."""
        name = str(self.options.get("model", default))
        check_choice("model", name, models_of(verb))
        return name


def models_of(verb: str) -> list[str]:
    """Names in the zoo of the models that a verb takes."""
    return [name for name in zoo_names() if read_config(name)[0] in MODELS[verb]]


def stylize(request: Request) -> Iterator[Event]:
    """A photograph in the style of one to four images, or of named styles."""
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
        check_choice("style_name", str(styles[0]), models_of("johnson"))
    Range(1, 4).check("the number of styles", len(styles))
    masks = list(request.files.get("mask", ())) or None
    settings = request.rest("method", "style_name") | (dict(preview_every=PREVIEW_EVERY) if method == "gatys" else {})
    yield from jobs.stylize(
        request.one("content"),
        styles,
        out=request.out / "result.png",
        method=method,
        mask=masks,
        limits=request.limits,
        **settings,
    )


def upscale(request: Request) -> Iterator[Event]:
    """An image, four times as large."""
    name = request.model("upscale", "upscale-x4")
    yield from jobs.upscale(request.one("image"), model=name, out=request.out / "result.png", limits=request.limits)


def translate(request: Request) -> Iterator[Event]:
    """An image in another domain."""
    name = request.model("translate", "edges2portrait")
    mask = request.files.get("mask", ())
    for number, least, most in (("size", 0, 4096), ("tile", 0, 8192), ("seed", 0, 2**31)):
        if number in request.options and (number != "seed" or request.options[number] is not None):
            value = request.number(number, 0, least, most, whole=True)
            if number == "size" and 0 < value < SMALLEST:
                raise StyleLoomError(f"`size` is {value:g}; wanted 0 for the image's own, or {SMALLEST} to {most}")
    if not isinstance(request.options.get("drawing", False), bool):
        raise StyleLoomError(f"`drawing` is {request.options['drawing']!r}; wanted true or false")
    options = dict(mask=str(mask[0]) if mask else None) | request.rest("model")
    yield from jobs.translate(
        request.one("image"), name, out=request.out / "result.png", limits=request.limits, **options
    )  # fmt: skip


def generate(request: Request) -> Iterator[Event]:
    """A sheet of a generator's images, or with ``frames`` a walk from one to the next as a video."""
    seeds = request.names("seeds") or list(range(8))
    if not all(isinstance(seed, int) for seed in seeds):
        raise StyleLoomError(f"`seeds` are {seeds}; wanted whole numbers")
    Range(1, 256).check("the number of seeds", len(seeds))
    moving = "frames" in request.options
    options: dict[str, Any] = dict(frames=request.frames(48)) if moving else {}
    options |= dict(truncation_psi=request.number("truncation_psi", 0.7, -10, 10))
    out = request.out / ("result.gif" if moving else "result.png")
    yield from jobs.generate(request.model("generate", "portraits-128"), seeds, out=out, limits=request.limits, **options)


def invert(request: Request) -> Iterator[Event]:
    """Latents of a photograph, with the image that they make."""
    settings = request.rest("model", "align")
    align = str(request.options.get("align", "auto"))
    name = request.model("invert", "portraits-128")
    yield from jobs.invert(name, [request.one("photo")], out=request.out, align=align, limits=request.limits, **settings)


def _loading(request: Request) -> LoadOptions:
    steps = int(request.number("num_steps", 30, 0, 1_000, whole=True))
    return LoadOptions(num_steps=steps, max_pixels=request.limits.max_pixels)


def edit(request: Request) -> Iterator[Event]:
    """A photograph with its face edited along directions and put back; or latents that were found of one."""
    if len([name for name in ("photo", "latents") if name in request.files]) != 1:
        raise StyleLoomError("edit wants one file, as 'photo' or as 'latents'")
    changes = request.options.get("changes", {})
    if not isinstance(changes, dict) or not all(isinstance(strength, int | float) for strength in changes.values()):
        raise StyleLoomError('`changes` are directions and strengths, such as {"smile": 2}')
    pasting = PasteOptions(paste=str(request.options.get("paste", "difference")))
    name, out = request.model("edit", "portraits-128"), request.out / "result.png"
    yield from jobs.edit(
        name,
        [request.one("latents" if "latents" in request.files else "photo")],
        changes,
        out=out,
        pasting=pasting,
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
    frames, out = request.frames(48), request.out / "result.gif"
    name = request.model("morph", "portraits-128")
    yield from jobs.morph(name, photos, out=out, frames=frames, loading=_loading(request), limits=request.limits)


VERBS: dict[str, Callable[[Request], Iterator[Event]]] = {
    each.__name__: each for each in (stylize, upscale, translate, generate, invert, edit, inpaint, morph)
}
FILES: dict[str, dict[str, bool]] = {
    "stylize": {"content": True, "style": False, "mask": False},
    "upscale": {"image": True},
    "translate": {"image": True, "mask": False},
    "generate": {},
    "invert": {"photo": True},
    "edit": {"photo": False, "latents": False},
    "inpaint": {"photo": True, "mask": True},
    "morph": {"photo": True},
}
"""Fields of each verb that are files, and whether there must be one."""
_CONFIGS = (gatys.GatysConfig, ghiasi.GhiasiConfig, adain.AdaINConfig, dumoulin.DumoulinConfig, johnson.JohnsonConfig)
_FILES = ("model", "features")  # settings that name files, which no client may
OPTIONS: dict[str, tuple[str, ...]] = {
    "stylize": (
        *("method", "style_name", "preset", "weights"),
        *sorted({field.name for config in _CONFIGS for field in fields(config)} - {*_FILES}),
    ),
    "upscale": ("model",),
    "translate": ("model", "to", "seed", "statistics", "drawing", "size", "tile"),
    "generate": ("model", "seeds", "truncation_psi", "frames"),
    "invert": ("model", "align", "preset", *sorted(field.name for field in fields(InversionConfig))),
    "edit": ("model", "changes", "paste", "num_steps"),
    "inpaint": ("model", "num_steps"),
    "morph": ("model", "frames", "num_steps"),
}
"""Options of each verb. None of them names a file."""
EXAMPLES: dict[str, dict[str, Any]] = {
    "stylize": {"method": "ghiasi", "style_name": ["swirls"], "alpha": 0.8},
    "upscale": {},
    "translate": {"model": "edges2portrait"},
    "generate": {"model": "portraits-128", "seeds": [0, 1, 2, 3], "truncation_psi": 0.7},
    "invert": {"model": "portraits-128", "num_steps": 30},
    "edit": {"model": "portraits-128", "changes": {"smile": 2.0}},
    "inpaint": {"model": "portraits-128"},
    "morph": {"model": "portraits-128", "frames": 24},
}
