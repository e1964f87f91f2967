"""The tab of generators: a wall of images, and a walk between them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr

from styleloom.service.app import Service
from styleloom.service.verbs import models_of

from . import parts
from .client import follow

MOST, WALKED = 32, 8  # images of a wall, and stations of a walk


def tab(service: Service, uploads: Path) -> None:
    """Lay out the tab."""
    with gr.Row():
        with gr.Column(scale=2):
            model = gr.Dropdown(models_of("generate"), value="portraits-128", label="Generator")
            first = gr.Number(0, label="First seed", precision=0)
            count = gr.Slider(1, MOST, 16, step=1, label="How many")
            truncation = gr.Slider(0, 1, 0.7, step=0.05, label="Truncation: 0 is the average, 1 all of its variety")
            again = gr.Button("Others")
        with gr.Column(scale=3):
            with gr.Row():
                make = gr.Button("Generate", variant="primary")
                walk = gr.Button(f"A walk between the first {WALKED}")
            status = gr.Markdown("Nobody here exists.", elem_classes="status")
            shown = gr.HTML(parts.empty("Faces appear here."), elem_classes="stage")
            how = gr.HTML()

    async def run(
        model: str, first: float, count: int, truncation: float, frames: int, request: gr.Request
    ) -> AsyncIterator[tuple[str, Any, Any]]:
        if first is None:
            raise gr.Error("Give a first seed, a whole number from 0.", print_exception=False)
        seeds = list(range(int(first), int(first) + int(count)))[: WALKED if frames else MOST]
        options: dict[str, Any] = dict(model=model, seeds=seeds, truncation_psi=truncation)
        options |= dict(frames=frames) if frames else {}
        async for update in follow(service, "generate", options, {}, request):
            if not update.done:
                yield update.text, gr.skip(), gr.skip()
                continue
            name, address = next(iter(update.files.items()))
            alt = f"{len(options['seeds'])} images of {model}, seeds {seeds[0]} to {seeds[-1]}"
            told = parts.result(address, alt, download=f"Download {Path(name).suffix[1:].upper()}")
            yield update.text, told, _commands(options)

    async def images(model: str, first: float, count: int, truncation: float, request: gr.Request) -> AsyncIterator[Any]:
        async for each in run(model, first, count, truncation, 0, request):
            yield each

    async def moving(model: str, first: float, count: int, truncation: float, request: gr.Request) -> AsyncIterator[Any]:
        async for each in run(model, first, max(2, count), truncation, 24, request):
            yield each

    inputs, outputs = [model, first, count, truncation], [status, shown, how]
    options: dict[str, Any] = dict(concurrency_limit=None, show_progress="hidden")
    make.click(images, inputs, outputs, **options)
    walk.click(moving, inputs, outputs, **options)
    again.click(lambda: random.randrange(100_000), None, first, queue=False).then(images, inputs, outputs, **options)


def _commands(options: dict[str, Any]) -> str:
    seeds, model, psi = options["seeds"], options["model"], options["truncation_psi"]
    asked = f"{seeds[0]}-{seeds[-1]}" if len(seeds) > 1 else str(seeds[0])
    out = f"walk.gif --frames {options['frames']}" if "frames" in options else "faces.png"
    return parts.commands(
        f"styleloom generate {model} --seeds {asked} --psi {psi} -o {out}",
        f'import styleloom as sl\nG = sl.load("{model}")\n'
        f"images = G.generate(range({seeds[0]}, {seeds[-1] + 1}), truncation_psi={psi})",
        options,
    )
