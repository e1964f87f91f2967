"""The tab of videos and folders: a video or a zip of photographs in, the same painted out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr

from styleloom.data.video import READABLE
from styleloom.drawn.painterly import STYLES
from styleloom.service.app import Service
from styleloom.service.request import ALL
from styleloom.service.worker import FAILURES

from . import parts
from .client import checked, follow

WORKS = {"Paint, any style": "ghiasi", "Paint, AdaIN": "adain", "Enlarge four times": "upscale"}
TYPES = ["image", ".zip", *sorted(READABLE)]
SHOWN = 200  # rows of the table


def tab(service: Service, uploads: Path) -> None:
    """Lay out the tab."""
    with gr.Row():
        with gr.Column(scale=2):
            given = gr.File(label="A video, a zip, or several photographs", file_count="multiple", file_types=TYPES, height=140)
            work = gr.Radio(list(WORKS), value=next(iter(WORKS)), label="Do with it")
            style = gr.Dropdown(list(STYLES), value="watercolor", label="Style")
            own = gr.File(label="or a painting of your own", file_types=["image"], height=130)
            strength = gr.Slider(0, 1, 1, step=0.05, label="Strength")
            smooth = gr.Slider(0, 0.95, 0.7, step=0.05, label="Steadiness of a video")
        with gr.Column(scale=3):
            with gr.Row():
                start = gr.Button("Start", variant="primary")
                stop = gr.Button("Stop")
            status = gr.Markdown("A video keeps its sound and its timing.", elem_classes="status")
            shown = gr.HTML(parts.empty("The result appears here."), elem_classes="stage")
            items, how = gr.HTML(), gr.HTML()

    async def run(
        given: list[str] | None, work: str, style: str, own: str | None, strength: float, smooth: float, request: gr.Request
    ) -> AsyncIterator[tuple[str, Any, Any, Any]]:
        sources = [checked(path, uploads, "a file") for path in given or ()]
        if not sources:
            raise gr.Error("Choose a video, a zip or photographs first.", print_exception=False)
        verb, field, options = _options(WORKS[work], style, own, strength, smooth)
        files = {field: sources}
        if verb == "stylize" and own:
            files["style"] = [checked(own, uploads, "a painting")]
        yield "Starting ...", gr.skip(), "", gr.skip()
        async for update in follow(service, verb, options, files, request, alone=verb):
            rows = [(name, why or "done") for name, why in update.items.items()]
            failed = sum(bool(why) for why in update.items.values())
            table = parts.table(rows[-SHOWN:], ("image", "state")) if len(sources) > 1 or len(rows) > 1 else ""
            if not update.done:
                count = f", {len(rows)} done" if rows else ""
                yield update.text + count, gr.skip(), table, gr.skip()
                continue
            name = next(each for each in update.files if each != FAILURES)
            told = (
                f"{len(rows) - failed} image{'' if len(rows) - failed == 1 else 's'}, in one zip."
                if name == ALL
                else "The result"
            )
            if name == ALL:
                result = parts.empty(told) + parts.links({"Download the zip": (update.files[name], "painted.zip")})
            else:
                result = parts.result(update.files[name], told, name=f"{sources[0].stem}-painted{Path(name).suffix}")
            yield update.text + (f", {failed} failed" if failed else ""), result, table, _commands(verb, options)

    inputs, outputs = [given, work, style, own, strength, smooth], [status, shown, items, how]
    event = start.click(run, inputs, outputs, concurrency_limit=None, show_progress="hidden", trigger_mode="multiple")
    stop.click(lambda: "Stopped.", None, status, cancels=[event], queue=False)


def _options(work: str, style: str, own: str | None, strength: float, smooth: float) -> tuple[str, str, dict[str, Any]]:
    """Verb, field and options of what is asked for."""
    if work == "upscale":
        return "upscale", "image", {}
    names = [] if own else [style]
    return "stylize", "content", dict(method=work, style_name=names, alpha=strength, smooth=smooth)


def _commands(verb: str, options: dict[str, Any]) -> str:
    if verb == "upscale":
        return parts.commands(
            "styleloom upscale photos/ -o enlarged/",
            'import styleloom as sl\nfor event in sl.jobs.upscale("photos/", out="enlarged/"):\n    print(event)',
            options,
        )
    style, method, alpha = (options["style_name"] or ["painting.jpg"])[0], options["method"], options["alpha"]
    return parts.commands(
        f"styleloom stylize photos/ --style {style} --method {method} --alpha {alpha:g} -o painted/",
        "import styleloom as sl\n"
        f'for event in sl.jobs.stylize("photos/", "{style}", out="painted/", method="{method}", alpha={alpha:g}):\n'
        "    print(event)",
        options,
    )
