"""The tab that edits a face: the learned optimizer finds its latents, sliders move them, and it goes back into the photograph."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from styleloom.models import load_generator
from styleloom.service.app import Service
from styleloom.tasks import editing

from . import parts
from .client import checked, follow, kept, leave, source_address
from .photos import Photos

MODEL = "portraits-128"
SHOWN = ("smile", "age", "feminine", "beard", "blond", "dark-hair", "long-hair", "yaw", "tilt", "light")
STEPS = 30
FACE, MASK = "edit-face", "edit-mask"
START = "Choose a portrait, and let the learned optimizer find it."
QUIET: dict[str, Any] = dict(concurrency_limit=None, show_progress="hidden")


class FaceEditor:
    """Handlers of the tab.

    Args:
        service: the service that does the work.
        photos: places for photographs.
        names: directions, in the order of the sliders.
    """

    def __init__(self, service: Service, photos: Photos, names: Sequence[str]) -> None:
        self.service, self.photos, self.names = service, photos, names

    async def faces(self, address: str, width: int, height: int, source: Path, request: gr.Request) -> str:
        """The photograph with the faces that were found, to choose one."""
        found: list[Mapping[str, Any]] = []
        try:
            async for update in follow(self.service, "faces", {}, dict(photo=[source]), request):
                found = update.values.get("faces", []) if update.done else found
        except gr.Error:
            found = []  # no detector: a square can be drawn
        return parts.faces(address, width, height, found, FACE)

    async def brush(self, address: str, width: int, height: int, source: Path, request: gr.Request) -> str:
        """The photograph, to mark what is made anew."""
        return parts.brush(address, MASK, "your portrait")

    def options(self, choice: str, **more: Any) -> dict[str, Any]:
        """Options of a job about the face that was chosen."""
        try:
            chosen = json.loads(choice) if choice else {}
        except ValueError:
            chosen = {}
        square = {name: chosen[name] for name in ("box", "landmarks") if name in chosen} if isinstance(chosen, dict) else {}
        return dict(model=MODEL) | square | more

    def source(self, photo: str | None) -> Path:
        """The portrait that was uploaded."""
        return checked(photo, self.photos.uploads, "a portrait")

    async def fresh(self, photo: str | None, request: gr.Request) -> Any:
        """The tab before a face is found: found, losses, choice, mask, status, image, curve, photograph and commands.

        All stay where this photograph's face is being found already.
        """
        if await leave(self.service, request, "invert", "race", keep=Path(photo).resolve() if photo else None):
            return gr.skip()
        return "", [], "", "", START, parts.empty("The face as the generator sees it appears here."), "", "", ""

    async def invert(self, photo: str | None, choice: str, request: gr.Request) -> AsyncIterator[tuple[Any, ...]]:
        """Find the face: job, losses, status, image and curve."""
        options = self.options(choice, num_steps=STEPS)
        files = dict(photo=[self.source(photo)])
        async for update in follow(self.service, "invert", options, files, request, alone="invert"):
            drawn = parts.curve(update.losses)
            if not update.done:
                yield gr.skip(), gr.skip(), f"Finding it: {update.text.lower()}", gr.skip(), drawn
                continue
            psnr = update.values.get("metrics", {}).get("psnr")
            near = f" (PSNR {psnr:.1f} dB)" if psnr else ""
            unseen = str(update.values.get("framed", "")) == "center"
            told = f"Found{near}. Now move a slider."
            if unseen:
                told = (
                    f"No face was found: this is the middle square as the generator sees it{near}. Drag a square around a face."
                )
            image = parts.result(update.files["photo-1.png"], "the face as the generator sees it", name="face.png")
            yield update.job, list(update.losses), told, image, drawn

    async def race(
        self, photo: str | None, choice: str, asked: bool, losses: list[float], request: gr.Request
    ) -> AsyncIterator[str]:
        """Adam with as many steps on the same face, beside the learned optimizer's curve."""
        if not asked or not losses:
            return
        options, files = self.options(choice, num_steps=STEPS, optimizer="adam"), dict(photo=[self.source(photo)])
        async for update in follow(self.service, "invert", options, files, request, alone="race"):
            yield parts.curve(losses, update.losses)

    def changes_of(self, strengths: Sequence[float]) -> dict[str, float]:
        """The directions whose sliders were moved."""
        return {name: value for name, value in zip(self.names, strengths, strict=True) if value}

    async def edit_if_moved(self, request: gr.Request, job: str, *strengths: Any) -> AsyncIterator[tuple[Any, Any]]:
        """Apply sliders that were moved before the face was found."""
        yield gr.skip(), gr.skip()
        if job and self.changes_of(strengths):
            async for each in self.edit(request, job, *strengths):
                yield each

    async def edit(self, request: gr.Request, job: str, *strengths: Any) -> AsyncIterator[tuple[Any, Any]]:
        """Move the latents that were found, which ends Adam's race: status and image."""
        await leave(self.service, request, "race")
        if not job:
            yield "Find a face first, then move sliders.", gr.skip()
            return
        latents = kept(self.service, job, "photo-1.safetensors", request)
        changes = self.changes_of(strengths) or {self.names[0]: 0.0}
        options = dict(model=MODEL, changes=changes, paste="none")
        async for update in follow(self.service, "edit", options, dict(latents=[latents]), request):
            if update.done:
                asked = ", ".join(f"{name} {value:+g}" for name, value in changes.items())
                yield update.text, parts.result(update.files["result.png"], f"the face with {asked}", name="edited-face.png")

    async def paste(self, request: gr.Request, photo: str | None, choice: str, *strengths: Any) -> AsyncIterator[Any]:
        """Edit the photograph itself: status, comparison and commands."""
        source = self.source(photo)
        if not (changes := self.changes_of(strengths)):
            raise gr.Error("Move a slider first: nothing is to change yet.", print_exception=False)
        options = self.options(choice, changes=changes, num_steps=STEPS)
        how = _commands(changes)
        async for each in self._changed("edit", options, source, {}, "the photograph, edited", how, request):
            yield each

    async def express(
        self, photo: str | None, choice: str, neutral: str | None, expressive: str | None, strength: float, request: gr.Request
    ) -> AsyncIterator[Any]:
        """Give the face another one's expression."""
        source = self.source(photo)
        faces = dict(
            neutral=[checked(neutral, self.photos.uploads, "a face without the expression")],
            expressive=[checked(expressive, self.photos.uploads, "the same face with it")],
        )
        options = self.options(choice, strength=strength, num_steps=STEPS)
        how = parts.commands(
            f"styleloom express {MODEL} portrait.jpg --neutral neutral.jpg --expressive expressive.jpg -o expressed.png "
            f"--strength {strength:g} --num-steps {STEPS}",
            "import styleloom as sl\n"
            f'G = sl.load("{MODEL}")\n'
            'mine, calm, happy = (sl.invert(G, name).ws for name in ("portrait.jpg", "neutral.jpg", "expressive.jpg"))\n'
            f"expressed = sl.express(G, mine, calm, happy, {strength:g})",
            options,
        )
        async for each in self._changed("express", options, source, faces, "the photograph with the expression", how, request):
            yield each

    async def morph(self, photo: str | None, other: str | None, request: gr.Request) -> AsyncIterator[Any]:
        """A video from one face to the other."""
        pair = [self.source(photo), checked(other, self.photos.uploads, "another portrait")]
        options = dict(model=MODEL, frames=36, format="mp4", num_steps=STEPS)
        how = parts.commands(
            f"styleloom morph {MODEL} portrait.jpg other.jpg -o morph.mp4 --frames {options['frames']} --num-steps {STEPS}",
            f'import styleloom as sl\nfor event in sl.jobs.morph("{MODEL}", ["portrait.jpg", "other.jpg"], out="morph.mp4", '
            f"frames={options['frames']}):\n"
            "    print(event)",
            options,
        )
        async for update in follow(self.service, "morph", options, dict(photo=pair), request, alone="morph"):
            if update.done:
                shown = parts.result(update.files["result.mp4"], "one face turning into the other", name="morph.mp4")
                yield update.text, shown, how
            else:
                yield update.text, gr.skip(), gr.skip()

    async def inpaint(self, photo: str | None, choice: str, painted: str, request: gr.Request) -> AsyncIterator[Any]:
        """Make what was painted over anew."""
        source = self.source(photo)
        if not (masks := self.photos.mask(painted)):
            raise gr.Error("Paint over what is to be made anew first.", print_exception=False)
        options = self.options(choice, num_steps=60)
        how = parts.commands(
            f"styleloom inpaint {MODEL} portrait.jpg --mask mask.png -o filled.png --num-steps {options['num_steps']}",
            "import styleloom as sl\n"
            f'for event in sl.jobs.inpaint("{MODEL}", "portrait.jpg", mask="mask.png", out="filled.png"):\n'
            "    print(event)",
            options,
        )
        async for each in self._changed("inpaint", options, source, dict(mask=masks), "the photograph, filled", how, request):
            yield each

    async def _changed(
        self, verb: str, options: Mapping[str, Any], source: Path, files: Mapping[str, Sequence[Path]], alt: str, how: str,
        request: gr.Request,
    ) -> AsyncIterator[tuple[Any, Any, Any]]:  # fmt: skip
        """Follow a verb that changes the photograph: status, before and after, commands."""
        async for update in follow(self.service, verb, options, {"photo": [source], **files}, request, alone=verb):
            if not update.done:
                yield update.text, gr.skip(), gr.skip()
                continue
            before = source_address(update.job, verb, "photo", source)
            yield update.text, parts.compare(before, update.files["result.png"], alt, f"{source.stem}-{verb}.png"), how


def tab(service: Service, photos: Photos) -> None:
    """Lay out the tab."""
    known = list(editing.directions_of(load_generator(MODEL, "cpu"), []))
    names = [name for name in SHOWN if name in known]
    handlers = FaceEditor(service, photos, names)
    found, losses = gr.State(""), gr.State([])
    with gr.Row():
        with gr.Column(scale=2):
            photo = photos.place("A portrait", shared=True)
            photos.show(photo, gr.HTML("", elem_classes="preview"), handlers.faces)
            choice = gr.Textbox("", elem_id=FACE, visible="hidden")
            find = gr.Button("Find it", variant="primary")
            against = gr.Checkbox(True, label="Show Adam's curve beside it")
            with gr.Group(elem_classes="sliders"):
                sliders = [gr.Slider(-3, 3, 0, step=0.25, label=name.replace("-", " ").capitalize()) for name in names]
            reset = gr.Button("All back to 0")
        with gr.Column(scale=3):
            status = gr.Markdown(START, elem_classes="status")
            shown = gr.HTML(parts.empty("The face as the generator sees it appears here."), elem_classes="stage small")
            curve = gr.HTML()
            back = gr.Button("Put it back into the photograph", variant="primary")
            with gr.Accordion("Another face's expression", open=False):
                gr.Markdown("Two pictures of one other person: without the expression, and with it.")
                neutral, expressive = photos.place("A face without the expression"), photos.place("The same face with it")
                strength = gr.Slider(0, 2, 1, step=0.1, label="How much of it")
                express = gr.Button("Take the expression over")
            with gr.Accordion("Morph into another face", open=False):
                other = photos.place("Another portrait")
                morph = gr.Button("Morph")
            with gr.Accordion("Make a part anew", open=False):
                canvas = gr.HTML(parts.empty("Choose a portrait first."))
                painted = gr.Textbox("", elem_id=MASK, visible="hidden")
                fill = gr.Button("Make it anew")
            whole, how = gr.HTML(elem_classes="stage"), gr.HTML()
    photos.show(photo, canvas, handlers.brush, again=True)
    # Find the face, then race Adam.
    event = find.click(handlers.invert, [photo, choice], [found, losses, status, shown, curve], **QUIET)
    event.success(handlers.edit_if_moved, [found, *sliders], [status, shown], **QUIET)
    event.success(handlers.race, [photo, choice, against, losses], [curve], **QUIET)
    photo.change(handlers.fresh, photo, [found, losses, choice, painted, status, shown, curve, whole, how], queue=False)
    for slider in sliders:
        slider.input(handlers.edit, [found, *sliders], [status, shown], trigger_mode="always_last", **QUIET)
    reset.click(lambda: [0.0] * len(names), None, sliders, queue=False).then(
        handlers.edit, [found, *sliders], [status, shown], **QUIET
    )
    # Changes of the photograph itself.
    outputs = [status, whole, how]
    back.click(handlers.paste, [photo, choice, *sliders], outputs, **QUIET)
    express.click(handlers.express, [photo, choice, neutral, expressive, strength], outputs, **QUIET)
    morph.click(handlers.morph, [photo, other], outputs, **QUIET)
    fill.click(handlers.inpaint, [photo, choice, painted], outputs, **QUIET)


def _commands(changes: dict[str, float]) -> str:
    asked = " ".join(f"--direction {name}={value:g}" for name, value in changes.items())
    return parts.commands(
        f"styleloom edit {MODEL} portrait.jpg {asked} -o edited.png --num-steps {STEPS}",
        "import styleloom as sl\n"
        f'G = sl.load("{MODEL}")\n'
        f'found = sl.invert(G, "portrait.jpg", num_steps={STEPS})\n'
        f"edited = sl.edit(G, found.ws, {changes})",
        dict(model=MODEL, changes=changes),
    )
