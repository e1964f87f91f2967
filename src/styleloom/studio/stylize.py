"""The tab that paints a photograph in the style of images."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from styleloom.drawn.painterly import STYLES
from styleloom.nn.mtcnn import available
from styleloom.service.app import Service

from . import parts
from .client import checked, follow, source_address
from .photos import Photos

METHODS = {  # method and preset
    "One pass, any style (a second)": ("ghiasi", "best"),
    "One pass, then brushwork (half a minute)": ("gatys", "quick"),
    "Gatys, by optimization (minutes)": ("gatys", "best"),
    "AdaIN, one pass": ("adain", "best"),
}
COLORS = {"of the painting": "none", "of the photograph": "luminance", "the painting, in the photograph's palette": "matching"}
MOST = 4
MASK = "stylize-mask"


@dataclass(frozen=True)
class Choices:
    """The inputs of the tab, in the order of the page."""

    photo: str | None
    names: list[str]
    own: list[str] | None
    strength: float
    painted: str
    method: str
    colors: str
    stroke: int
    shares: str
    steps: int
    keep_faces: bool

    def options(self, paintings: int) -> dict[str, Any]:
        """Options of the verb.

        Raises:
            gr.Error: no style or too many, or shares that are no numbers.
        """
        if not 1 <= len(self.names) + paintings <= MOST:
            count = len(self.names) + paintings
            raise gr.Error(f"Choose one to {MOST} styles; {count} are chosen.", print_exception=False)
        method, preset = METHODS[self.method]
        options: dict[str, Any] = dict(method=method, style_name=self.names, keep_color=COLORS[self.colors])
        if self.shares.strip():
            options["weights"] = _numbers(self.shares)
            if len(options["weights"]) != len(self.names) + paintings:
                told = f"{len(options['weights'])} shares are given for {len(self.names) + paintings} styles; give one for each."
                raise gr.Error(told, print_exception=False)
        if method == "gatys":
            more = dict(first_steps=self.steps) if preset == "best" else {}
            return options | dict(preset=preset) | more | (dict(keep_faces=True) if self.keep_faces and available() else {})
        return options | dict(alpha=self.strength) | (dict(stroke_size=self.stroke) if self.stroke else {})


@dataclass(frozen=True)
class Inputs:
    """The left side of the tab: what :class:`Choices` reads, and the canvas of the brush."""

    photo: gr.File
    chosen: list[gr.components.Component]
    canvas: gr.HTML
    mask: gr.Textbox


def _inputs(photos: Photos) -> Inputs:
    """Lay out the left side."""
    photo = photos.place("Your photograph", shared=True)
    shown_photo = gr.HTML("", elem_classes="preview")
    photos.show(photo, shown_photo)
    styles = gr.CheckboxGroup(list(STYLES), label="Styles that ship: up to four", value=["watercolor"], elem_id="styles")
    own = gr.File(label="or paintings of your own", file_count="multiple", file_types=["image"], height=130)
    method = gr.Dropdown(list(METHODS), value=next(iter(METHODS)), label="Method")
    strength = gr.Slider(0, 1, 1, step=0.05, label="Strength")
    faces = gr.Checkbox(True, label="Keep faces recognizable", visible=False)
    steps = gr.Slider(50, 500, 150, step=50, label="Steps", visible=False)
    with gr.Accordion("Paint a part of it", open=False):
        gr.Markdown("With one style: painted here. With two: the first here, the second elsewhere.")
        canvas = gr.HTML(parts.empty("Choose a photograph first."))
        mask = gr.Textbox("", elem_id=MASK, visible="hidden")
    with gr.Accordion("More", open=False):
        colors = gr.Radio(list(COLORS), value="of the painting", label="Colors")
        stroke = gr.Slider(0, 1024, 0, step=64, label="Stroke size in pixels (0: as in the painting)")
        shares = gr.Textbox("", label="Shares of the styles", placeholder="such as 2, 1; empty: equal")
    method.change(_fitting, method, [strength, stroke, faces, steps], queue=False, show_progress="hidden")
    return Inputs(photo, [photo, styles, own, strength, mask, method, colors, stroke, shares, steps, faces], canvas, mask)


def _fitting(label: str) -> list[Any]:
    """Show the inputs that a method has: strength and stroke size, or what is a descent's."""
    method, preset = METHODS[label]
    descends = method == "gatys"
    shown = (not descends, not descends, descends and available(), descends and preset == "best")
    return [gr.update(visible=each) for each in shown]


def tab(service: Service, photos: Photos) -> None:
    """Lay out the tab."""
    with gr.Row():
        with gr.Column(scale=2):
            inputs = _inputs(photos)
        with gr.Column(scale=3):
            with gr.Row():
                paint = gr.Button("Paint", variant="primary")
                stop = gr.Button("Stop")
            status = gr.Markdown("Choose a photograph and a style.", elem_classes="status")
            shown = gr.HTML(parts.empty("The painting appears here."), elem_classes="stage")
            how = gr.HTML()

    async def brush(address: str, width: int, height: int, source: Path, request: gr.Request) -> str:
        return parts.brush(address, MASK, "your photograph")

    async def run(request: gr.Request, *given: Any) -> AsyncIterator[tuple[str, Any, Any]]:
        chosen = Choices(*given)
        source = checked(chosen.photo, photos.uploads, "a photograph")
        paintings = [checked(path, photos.uploads, "a painting") for path in chosen.own or ()]
        names, options = chosen.names, chosen.options(len(paintings))
        yield "Starting ...", gr.skip(), gr.skip()
        files = dict(content=[source]) | (dict(style=paintings) if paintings else {})
        files |= dict(mask=masks) if (masks := photos.mask(chosen.painted)) else {}
        name = f"{source.stem}-{names[0] if names else 'painted'}.png"
        async for update in follow(service, "stylize", options, files, request, alone="stylize"):
            if not update.done:
                so_far = update.files.get("result.png")
                text = "Download it so far"
                told = parts.result(so_far, "the painting so far", download=text, name=name) if so_far else gr.skip()
                yield update.text, told, gr.skip()
                continue
            before = source_address(update.job, "stylize", "content", source)
            alt = f"the photograph, painted in the style of {', '.join(names) or 'your painting'}"
            yield update.text, parts.compare(before, update.files["result.png"], alt, name), _commands(options, names, paintings)

    photos.show(inputs.photo, inputs.canvas, brush, again=True)
    inputs.photo.change(lambda: "", None, inputs.mask, queue=False)
    event = paint.click(
        run, inputs.chosen, [status, shown, how],
        concurrency_limit=None, show_progress="hidden", trigger_mode="multiple",
    )  # fmt: skip
    stop.click(lambda: "Stopped. What was painted so far, if anything, stays.", None, status, cancels=[event], queue=False)


def _numbers(text: str) -> list[float]:
    try:
        return [float(each) for each in text.replace(";", ",").split(",") if each.strip()]
    except ValueError:
        raise gr.Error(f"The shares are {text!r}; write numbers, such as 2, 1.", print_exception=False) from None


def _commands(options: dict[str, Any], names: list[str], paintings: list[Path]) -> str:
    styles = [*names, *(f"painting{index}{path.suffix}" for index, path in enumerate(paintings, 1))]
    settings = {
        name: value
        for name, value in options.items()
        if name not in ("method", "style_name", "weights", "keep_faces") and value not in ("none", 1)
    }
    if options.get("keep_faces"):
        settings["content_mask"] = "faces"
    flags = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in settings.items())
    if weights := options.get("weights"):
        flags += f" --weights {','.join(f'{each:g}' for each in weights)}"
        settings["weights"] = weights
    asked = " ".join(f"--style {each}" for each in styles)
    arguments = "".join(f", {name}={value!r}" for name, value in settings.items())
    style = repr(styles[0]) if len(styles) == 1 else repr(styles)
    return parts.commands(
        f"styleloom stylize photo.jpg {asked} --method {options['method']} {flags} -o painted.png".replace("  ", " "),
        "import styleloom as sl\n"
        f'for event in sl.jobs.stylize("photo.jpg", {style}, out="painted.png", method="{options["method"]}"{arguments}):\n'
        "    print(event)",
        options,
    )
