"""The tab that turns a drawing into a portrait, and colors gray ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr

from styleloom.service.app import Service

from . import parts
from .client import checked, follow, source_address

MODELS = {
    "Edges of a photograph, as a portrait": ("edges2portrait", {}),
    "Colors for a gray portrait": ("colorize-portrait", {}),
    "Cartoon: another hair color": ("toon-hair", {}),
    "Cartoon: the hair color back": ("toon-hair", {"to": "A"}),
}


def tab(service: Service, uploads: Path) -> None:
    """Lay out the tab."""
    with gr.Row():
        with gr.Column(scale=2):
            photo = gr.Image(
                type="filepath", label="A portrait, or a drawing", sources=["upload", "clipboard"], height=320, buttons=[]
            )
            model = gr.Radio(list(MODELS), value=next(iter(MODELS)), label="Make of it")
            drawing = gr.Checkbox(False, label="It is a drawing already: black lines on white")
        with gr.Column(scale=3):
            make = gr.Button("Translate", variant="primary")
            status = gr.Markdown("Square portraits serve best.", elem_classes="status")
            shown = gr.HTML(parts.empty("The translation appears here."), elem_classes="stage")
            how = gr.HTML()

    async def run(photo: str | None, kind: str, drawing: bool, request: gr.Request) -> AsyncIterator[tuple[str, Any, Any]]:
        source = checked(photo, uploads, "a picture")
        name, more = MODELS[kind]
        options: dict[str, Any] = dict(model=name) | more | (dict(drawing=True) if drawing and name == "edges2portrait" else {})
        async for update in follow(service, "translate", options, dict(image=[source]), request):
            if not update.done:
                yield update.text, gr.skip(), gr.skip()
                continue
            before = source_address(update.job, "image", source)
            flags = "".join(
                f" --{key} {value}" if value is not True else f" --{key}" for key, value in options.items() if key != "model"
            )
            arguments = "".join(f", {key}={value!r}" for key, value in options.items() if key != "model")
            told = parts.commands(
                f"styleloom translate photo.jpg {name}{flags} -o translated.png",
                f'import styleloom as sl\nimage = sl.translate("{name}", "photo.jpg"{arguments})',
                options,
            )
            yield update.text, parts.compare(before, update.files["result.png"], f"translated by {name}"), told

    inputs, outputs = [photo, model, drawing], [status, shown, how]
    make.click(run, inputs, outputs, concurrency_limit=None, show_progress="hidden")
