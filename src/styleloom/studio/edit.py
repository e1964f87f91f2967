"""The tab that edits a face: the learned optimizer finds its latents, sliders move them, and it goes back into the photograph."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from styleloom.models import load_generator
from styleloom.service.app import Service
from styleloom.tasks import editing

from . import parts
from .client import checked, follow, kept, source_address

MODEL = "portraits-128"
SHOWN = ("smile", "age", "feminine", "beard", "blond", "dark-hair", "long-hair", "yaw", "tilt", "light")
STEPS = 30


class FaceEditor:
    """Handlers of the tab.

    Args:
        service: the service that does the work.
        uploads: folder of uploads.
        names: directions, in the order of the sliders.
    """

    def __init__(self, service: Service, uploads: Path, names: Sequence[str]) -> None:
        self.service, self.uploads, self.names = service, uploads, names

    async def invert(self, photo: str | None, request: gr.Request) -> AsyncIterator[tuple[Any, ...]]:
        """Find the face: job, status, image and curve."""
        source = checked(photo, self.uploads, "a portrait")
        options = dict(model=MODEL, num_steps=STEPS)
        async for update in follow(self.service, "invert", options, dict(photo=[source]), request):
            drawn = parts.curve(update.losses)
            if not update.done:
                yield gr.skip(), f"Finding it: {update.text.lower()}", gr.skip(), drawn
                continue
            psnr = update.values.get("metrics", {}).get("psnr")
            told = "Found" + (f", PSNR {psnr:.1f} dB" if psnr else "")
            found = str(update.values.get("framed", "")) == "face"
            told += ". Now move a slider." if found else ". No face was found, so the middle square was taken."
            image = parts.result(update.files["photo-1.png"], "the face as the generator sees it", download="Download it")
            yield update.job, told, image, drawn

    def changes_of(self, strengths: Sequence[float]) -> dict[str, float]:
        """The directions whose sliders were moved."""
        return {name: value for name, value in zip(self.names, strengths, strict=True) if value}

    async def edit_if_moved(self, request: gr.Request, job: str, *strengths: Any) -> AsyncIterator[tuple[Any, Any]]:
        """Apply sliders that were moved before the face was found."""
        yield gr.skip(), gr.skip()
        if self.changes_of(strengths):
            async for each in self.edit(request, job, *strengths):
                yield each

    async def edit(self, request: gr.Request, job: str, *strengths: Any) -> AsyncIterator[tuple[Any, Any]]:
        """Move the latents that were found: status and image."""
        if not job:
            yield "Find a face first, then move sliders.", gr.skip()
            return
        latents = kept(self.service, job, "photo-1.safetensors", request)
        changes = self.changes_of(strengths) or {self.names[0]: 0.0}
        options = dict(model=MODEL, changes=changes, paste="none")
        async for update in follow(self.service, "edit", options, dict(latents=[latents]), request):
            if update.done:
                asked = ", ".join(f"{name} {value:+g}" for name, value in changes.items())
                yield update.text, parts.result(update.files["result.png"], f"the face with {asked}", download="Download it")

    async def paste(self, request: gr.Request, photo: str | None, *strengths: Any) -> AsyncIterator[tuple[Any, Any, Any]]:
        """Edit the photograph itself: status, comparison and commands."""
        source = checked(photo, self.uploads, "a portrait")
        if not (changes := self.changes_of(strengths)):
            raise gr.Error("Move a slider first: nothing is to change yet.", print_exception=False)
        options = dict(model=MODEL, changes=changes, num_steps=STEPS)
        async for update in follow(self.service, "edit", options, dict(photo=[source]), request):
            if not update.done:
                yield update.text, gr.skip(), gr.skip()
                continue
            compared = parts.compare(
                source_address(update.job, "photo", source), update.files["result.png"], "the photograph, edited"
            )
            yield update.text, compared, _commands(changes)


def tab(service: Service, uploads: Path) -> None:
    """Lay out the tab."""
    known = list(editing.directions_of(load_generator(MODEL, "cpu"), []))
    names = [name for name in SHOWN if name in known]
    handlers = FaceEditor(service, uploads, names)
    found = gr.State("")
    with gr.Row():
        with gr.Column(scale=2):
            photo = gr.Image(type="filepath", label="A portrait", sources=["upload", "clipboard"], height=260, buttons=[])
            find = gr.Button("Find it", variant="primary")
            with gr.Group(elem_classes="sliders"):
                sliders = [gr.Slider(-3, 3, 0, step=0.25, label=name.replace("-", " ").capitalize()) for name in names]
            reset = gr.Button("All back to 0")
        with gr.Column(scale=3):
            status = gr.Markdown("Choose a portrait, and let the learned optimizer find it.", elem_classes="status")
            shown = gr.HTML(parts.empty("The face as the generator sees it appears here."), elem_classes="stage small")
            curve = gr.HTML()
            back = gr.Button("Put it back into the photograph", variant="primary")
            whole, how = gr.HTML(), gr.HTML()
    quiet: dict[str, Any] = dict(concurrency_limit=None, show_progress="hidden")
    find.click(handlers.invert, [photo], [found, status, shown, curve], **quiet).success(
        handlers.edit_if_moved, [found, *sliders], [status, shown], **quiet
    )
    for slider in sliders:
        slider.input(handlers.edit, [found, *sliders], [status, shown], trigger_mode="always_last", **quiet)
    back.click(handlers.paste, [photo, *sliders], [status, whole, how], **quiet)
    reset.click(lambda: [0.0] * len(names), None, sliders, queue=False).then(
        handlers.edit, [found, *sliders], [status, shown], **quiet
    )


def _commands(changes: dict[str, float]) -> str:
    asked = " ".join(f"--direction {name}={value:g}" for name, value in changes.items())
    return parts.commands(
        f"styleloom edit {MODEL} portrait.jpg {asked} -o edited.png",
        "import styleloom as sl\n"
        f'G = sl.load("{MODEL}")\n'
        f'found = sl.invert(G, "portrait.jpg", num_steps={STEPS})\n'
        f"edited = sl.edit(G, found.ws, {changes})",
        dict(model=MODEL, changes=changes),
    )
