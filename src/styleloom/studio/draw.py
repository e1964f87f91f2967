"""The tab that turns a drawing into a portrait while it is drawn, and translates photographs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr

from styleloom.data import derive, images
from styleloom.data.bundled import portraits
from styleloom.service.app import Service
from styleloom.service.request import RUN

from . import parts
from .client import checked, follow, models_for, source_address
from .photos import Photos

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "Edges of a photograph, as a portrait": ("edges2portrait", {}),
    "A drawing, black lines on white, as a portrait": ("edges2portrait", {"drawing": True}),
    "Colors for a gray portrait": ("colorize-portrait", {}),
    "Cartoon: another hair color": ("toon-hair", {}),
    "Cartoon: the hair color back": ("toon-hair", {"to": "A"}),
}
MASK = "translate-mask"
SIDE = 128  # px of a drawing


def tab(service: Service, photos: Photos, own: gr.Tab) -> None:
    """Lay out the tab."""
    gr.HTML(
        '<h2 class="part">Draw</h2><p class="status">The portrait follows the pen. Change a line of the face, '
        f'or empty the sheet: it wants many thin lines.</p><sl-draw model="edges2portrait" side="{SIDE}"></sl-draw>'
    )
    gr.HTML('<h2 class="part">Translate a picture</h2>')
    with gr.Row():
        with gr.Column(scale=2):
            photo = photos.place("A portrait, or a drawing", shared=True)
            preview = gr.HTML("", elem_classes="preview")
            photos.show(photo, preview)
            model = gr.Dropdown(list(MODELS), value=next(iter(MODELS)), label="Make of it", allow_custom_value=True)
            with gr.Accordion("Only a part of it", open=False):
                canvas = gr.HTML(parts.empty("Choose a picture first."))
                mask = gr.Textbox("", elem_id=MASK, visible="hidden")
        with gr.Column(scale=3):
            make = gr.Button("Translate", variant="primary")
            status = gr.Markdown("Square portraits serve best.", elem_classes="status")
            shown = gr.HTML(parts.empty("The translation appears here."), elem_classes="stage")
            how = gr.HTML()

    async def brush(address: str, width: int, height: int, source: Path, request: gr.Request) -> str:
        return parts.brush(address, MASK, "your picture")

    async def run(photo: str | None, kind: str, painted: str, request: gr.Request) -> AsyncIterator[tuple[str, Any, Any]]:
        source = checked(photo, photos.uploads, "a picture")
        name, more = MODELS.get(kind, (kind, {}))
        options: dict[str, Any] = dict(model=name) | more
        files = dict(image=[source]) | (dict(mask=masks) if (masks := photos.mask(painted)) else {})
        async for update in follow(service, "translate", options, files, request, alone="translate"):
            if not update.done:
                yield update.text, gr.skip(), gr.skip()
                continue
            before = source_address(update.job, "translate", "image", source)
            told = parts.compare(before, update.files["result.png"], f"translated by {name}", f"{source.stem}-{name}.png")
            yield update.text, told, _commands(options)

    def anew(request: gr.Request) -> Any:
        trained = [each for each in models_for(service, "translate", request) if each.startswith(RUN)]
        return gr.Dropdown(choices=[*MODELS, *trained])

    photos.show(photo, canvas, brush, again=True)
    photo.change(lambda: "", None, mask, queue=False)
    own.select(anew, None, model, show_progress="hidden")
    make.click(
        run, [photo, model, mask], [status, shown, how], concurrency_limit=None, show_progress="hidden", trigger_mode="multiple"
    )


def _commands(options: dict[str, Any]) -> str:
    name = options["model"]
    flags = "".join(f" --{key} {value}" if value is not True else f" --{key}" for key, value in options.items() if key != "model")
    arguments = "".join(f", {key}={value!r}" for key, value in options.items() if key != "model")
    return parts.commands(
        f"styleloom translate {name} photo.jpg{flags} -o translated.png",
        f'import styleloom as sl\nimage = sl.translate("{name}", "photo.jpg"{arguments})',
        options,
    )


def drawing(number: int) -> bytes:
    """A PNG of the lines of a bundled portrait, to begin a drawing with."""
    return images.encoded(derive.canny(portraits()[number % len(portraits())]).expand(3, -1, -1))
