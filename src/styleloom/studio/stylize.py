"""The tab that paints a photograph in the style of images."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr

from styleloom.drawn.painterly import STYLES
from styleloom.service.app import Service

from . import parts
from .client import checked, follow, source_address

METHODS = {
    "One pass, any style (seconds)": "ghiasi",
    "Gatys, by optimization (minutes)": "gatys",
    "AdaIN, one pass": "adain",
}
COLORS = {"of the painting": "none", "of the photograph": "luminance", "the painting, in the photograph's palette": "matching"}
MOST = 4


def tab(service: Service, uploads: Path) -> None:
    """Lay out the tab."""
    with gr.Row():
        with gr.Column(scale=2):
            photo = gr.Image(type="filepath", label="Your photograph", sources=["upload", "clipboard"], height=260, buttons=[])
            styles = gr.CheckboxGroup(list(STYLES), label="Styles that ship: up to four", value=["watercolor"], elem_id="styles")
            own = gr.File(label="or paintings of your own", file_count="multiple", file_types=["image"], height=160)
            strength = gr.Slider(0, 1, 1, step=0.05, label="Strength")
            with gr.Accordion("More", open=False):
                method = gr.Dropdown(list(METHODS), value=next(iter(METHODS)), label="Method")
                colors = gr.Radio(list(COLORS), value="of the painting", label="Colors")
                stroke = gr.Slider(0, 1024, 0, step=64, label="Stroke size in pixels (0: as in the painting)")
                steps = gr.Slider(50, 500, 150, step=50, label="Steps, for Gatys")
        with gr.Column(scale=3):
            with gr.Row():
                paint = gr.Button("Paint", variant="primary")
                stop = gr.Button("Stop")
            status = gr.Markdown("Choose a photograph and a style.", elem_classes="status")
            shown = gr.HTML(parts.empty("The painting appears here."), elem_classes="stage")
            how = gr.HTML()

    async def run(
        photo: str | None, names: list[str], own: list[str] | None, strength: float, method: str, colors: str, stroke: int,
        steps: int, request: gr.Request,
    ) -> AsyncIterator[tuple[str, Any, str]]:  # fmt: skip
        source = checked(photo, uploads, "a photograph")
        paintings = [checked(path, uploads, "a painting") for path in own or ()]
        if not 1 <= len(names) + len(paintings) <= MOST:
            raise gr.Error(f"Choose one to {MOST} styles; {len(names) + len(paintings)} are chosen.", print_exception=False)
        chosen = METHODS[method]
        options: dict[str, Any] = dict(method=chosen, style_name=names, keep_color=COLORS[colors])
        if chosen == "gatys":
            options |= dict(preset="draft", first_steps=steps)
        else:
            options |= dict(alpha=strength) | (dict(stroke_size=stroke) if stroke else {})
        yield "Starting ...", parts.empty("The painting appears here."), ""
        files = dict(content=[source]) | (dict(style=paintings) if paintings else {})
        async for update in follow(service, "stylize", options, files, request):
            if not update.done:
                so_far = update.files.get("result.png")
                told = parts.result(so_far, "the painting so far", download="Download it so far") if so_far else gr.skip()
                yield update.text, told, gr.skip()
                continue
            address = update.files["result.png"]
            before = source_address(update.job, "content", source)
            told = parts.compare(
                before, address, f"the photograph, painted in the style of {', '.join(names) or 'your painting'}"
            )
            yield update.text, told, _commands(options, names, paintings)

    event = paint.click(
        run, [photo, styles, own, strength, method, colors, stroke, steps], [status, shown, how],
        concurrency_limit=None, show_progress="hidden",
    )  # fmt: skip
    stop.click(lambda: "Stopped. What was painted so far, if anything, stays.", None, status, cancels=[event], queue=False)


def _commands(options: dict[str, Any], names: list[str], paintings: list[Path]) -> str:
    styles = [*names, *(f"painting{index}{path.suffix}" for index, path in enumerate(paintings, 1))]
    settings = {
        name: value for name, value in options.items() if name not in ("method", "style_name") and value not in ("none", 1)
    }
    flags = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in settings.items())
    asked = " ".join(f"--style {each}" for each in styles)
    arguments = "".join(f", {name}={value!r}" for name, value in settings.items())
    style = repr(styles[0]) if len(styles) == 1 else repr(styles)
    return parts.commands(
        f"styleloom stylize photo.jpg {asked} --method {options['method']} {flags} -o painted.png".replace("  ", " "),
        "import styleloom as sl\n"
        f'image = sl.stylize("photo.jpg", {style}, "{options["method"]}"{arguments})\n'
        'sl.write(image, "painted.png")',
        options,
    )
