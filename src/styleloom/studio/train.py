"""The tab that trains networks on pictures of one's own: begin, watch, stop, go on, use the result in the other tabs."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr

from styleloom.core.errors import StyleLoomError
from styleloom.service.app import Service
from styleloom.service.request import MODEL, RUN
from styleloom.service.trainings import GO, KINDS, STOP, Progress, Trainings

from . import parts
from .client import checked, for_people, owner_of_page

CHOICES = {
    "A generator of your pictures (StyleGAN2)": "generator",
    "A style of its own (Johnson)": "style",
    "Pairs side by side (pix2pix)": "pairs",
    "Two kinds of pictures, there and back (CycleGAN)": "domains",
}
FIRST = {"images": "A zip of pictures", "style": "The painting", "other": "A zip of the other kind"}
EVERY = 2.0  # s between two looks
RESOLUTIONS = (16, 32, 64, 128, 256)
LENGTHS = {"a try": 0.02, "short": 0.2, "as long as it takes": 1.0}
"""Lengths of a training, as shares of the full one."""
FULL: dict[str, tuple[str, float, bool]] = {
    "generator": ("kimg", 500, False), "style": ("num_steps", 1_000, True), "pairs": ("epochs", 100, True),
    "domains": ("epochs", 100, True),
}  # fmt: skip
"""Option of each kind that says how long it takes, its full value, and whether that is a whole number."""


class Trainer:
    """Handlers of the tab.

    Args:
        trainings: the service's trainings.
        uploads: folder of uploads.
    """

    def __init__(self, trainings: Trainings, uploads: Path) -> None:
        self.trainings, self.uploads = trainings, uploads

    def begin(self, request: gr.Request, kind: str, resolution: int, length: str, *given: str | None) -> Any:
        """Begin a training, and choose it."""
        name, owner = CHOICES[kind], owner_of_page(request)
        paths = dict(zip(FIRST, given, strict=True))
        files = {field: checked(paths[field], self.uploads, FIRST[field].lower()) for field in KINDS[name].files}
        option, full, whole = FULL[name]
        value = full * LENGTHS[length]
        options: dict[str, float] = {option: max(1, round(value)) if whole else value}
        options |= dict(resolution=resolution) if "resolution" in KINDS[name].options else {}
        with _told():
            training = self.trainings.start(owner, name, files, options)
        return self.choice(owner, training.id)

    def stop(self, run: str | None, request: gr.Request) -> str:
        """Stop a training."""
        self._wish(run, STOP, request)
        return "Stopping: it saves what it has."

    def go(self, run: str | None, request: gr.Request) -> str:
        """Let a training go on."""
        self._wish(run, GO, request)
        return "It goes on."

    def _wish(self, run: str | None, wish: str, request: gr.Request) -> None:
        if not run:
            raise gr.Error("Begin a training first, or choose one.", print_exception=False)
        with _told():
            self.trainings.wish(owner_of_page(request), run, wish)

    def ask(self, run: str | None) -> Any:
        """Ask before a training is deleted: show the button that does it."""
        if not run:
            raise gr.Error("Choose a training first.", print_exception=False)
        return gr.update(value=f"Yes, delete {run} and its model", visible=True)

    def delete(self, run: str | None, request: gr.Request) -> tuple[Any, str, str]:
        """Delete a training."""
        owner = owner_of_page(request)
        if not run:
            raise gr.Error("Choose a training first.", print_exception=False)
        with _told():
            self.trainings.remove(owner, run)
        return self.choice(owner, None), "Deleted.", parts.empty("Choose or begin a training.")

    def look(self, run: str | None, request: gr.Request) -> tuple[Any, Any]:
        """Tell the state of a training: a line, and its curves and samples."""
        if not run:
            return gr.skip(), gr.skip()
        try:
            progress = self.trainings.progress(owner_of_page(request), run)
        except StyleLoomError:
            return gr.skip(), gr.skip()
        return _line(progress, self.trainings.folder), _picture(progress)

    def anew(self, run: str | None, request: gr.Request) -> Any:
        """The client's trainings, whenever the tab is opened."""
        return self.choice(owner_of_page(request), run)

    def choice(self, owner: str, chosen: str | None) -> Any:
        """The list of a client's trainings, with one of them chosen."""
        ids = [each.id for each in self.trainings.of(owner)]
        return gr.Dropdown(choices=ids, value=chosen if chosen in ids else ids[0] if ids else None)


def tab(service: Service, uploads: Path, own: gr.Tab) -> None:
    """Lay out the tab."""
    trainer = Trainer(service.supervisor.trainings, uploads)
    with gr.Row():
        with gr.Column(scale=2):
            kind = gr.Radio(list(CHOICES), value=next(iter(CHOICES)), label="Train")
            images = gr.File(label=FIRST["images"], file_types=[".zip"], height=130)
            style = gr.File(label=FIRST["style"], file_types=["image"], height=130, visible=False)
            other = gr.File(label=FIRST["other"], file_types=[".zip"], height=130, visible=False)
            resolution = gr.Dropdown(list(RESOLUTIONS), value=64, label="Size in pixels")
            length = gr.Radio(list(LENGTHS), value="short", label="How long")
            start = gr.Button("Begin", variant="primary")
        with gr.Column(scale=3):
            run = gr.Dropdown([], label="Your trainings", interactive=True, allow_custom_value=True)
            with gr.Row():
                stop, go, remove = gr.Button("Stop"), gr.Button("Go on"), gr.Button("Delete")
            sure = gr.Button(variant="stop", visible=False)
            status = gr.Markdown("It goes on while the studio is open, and when it is opened again.", elem_classes="status")
            shown = gr.HTML(parts.empty("Curves and pictures of a training appear here."), elem_classes="stage")
    timer = gr.Timer(EVERY)

    def needed(kind: str) -> tuple[Any, Any, Any]:
        made = KINDS[CHOICES[kind]]
        return (
            gr.update(visible="style" in made.files),
            gr.update(visible="other" in made.files),
            gr.update(visible="resolution" in made.options),
        )

    quiet: dict[str, Any] = dict(show_progress="hidden")
    kind.change(needed, kind, [style, other, resolution], queue=False)
    start.click(trainer.begin, [kind, resolution, length, images, style, other], run, **quiet)
    stop.click(trainer.stop, run, status, **quiet)
    go.click(trainer.go, run, status, **quiet)
    remove.click(trainer.ask, run, sure, queue=False, **quiet)
    sure.click(trainer.delete, run, [run, status, shown], **quiet)
    for trigger in (sure.click, run.change, stop.click, go.click):
        trigger(lambda: gr.update(visible=False), None, sure, queue=False, **quiet)
    own.select(trainer.anew, run, run, **quiet)
    for trigger in (timer.tick, run.change):
        trigger(trainer.look, run, [status, shown], queue=False, **quiet)


@contextmanager
def _told() -> Iterator[None]:
    """Turn errors of the library into messages of the page."""
    try:
        yield
    except StyleLoomError as error:
        raise gr.Error(for_people(str(error)), print_exception=False) from error


def _line(progress: Progress, runs: Path) -> str:
    """One line on a training, in the folder of all runs."""
    training, step = progress.training, progress.steps[-1] if progress.steps else 0
    text = f"{training.id}: {progress.state}"
    text += f", step {step}, {progress.rate:.1f} images a second" if step else ""
    text += f". {training.error}" if training.error else ""
    if not progress.has_model:
        return text
    if training.kind == "style":
        return f"{text}. Paint with it: styleloom stylize photo.jpg {runs / training.id / MODEL} --method johnson -o painted.png"
    return f"{text}. Choose {RUN}{training.id} in the other tabs."


def _picture(progress: Progress) -> str:
    """Curves and the newest sheet of samples."""
    curves = "".join(
        f'<figure class="curve"><figcaption>{html.escape(name)}</figcaption>{parts.line(values)}</figure>'
        for name, values in _shown(progress.curves).items()
    )
    sheet = ""
    if progress.sheet is not None:
        address = f"/studio/runs/{progress.training.id}/{progress.sheet.name}"
        sheet = parts.plain(address, f"samples of step {int(progress.sheet.stem)}")
    model = {
        "Download the model": (f"/studio/runs/{progress.training.id}/model.safetensors", f"{progress.training.id}.safetensors")
    }
    links = parts.links(model) if progress.has_model else ""
    if not curves and not sheet and not links:
        begun = progress.state == "running"
        return parts.empty("It has just begun: the first figures take a moment." if begun else "There are no figures of it yet.")
    return f'<div class="curves">{curves}</div>{sheet}{links}'


def _shown(curves: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values for name, values in curves.items() if len(values) > 1}
