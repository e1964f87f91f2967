"""The tab of generators: a wall of images, two of them mixed, and a walk between them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from styleloom.service.app import Service

from . import parts
from .client import follow, model_choice

MOST, WALKED = 32, 8  # images of a wall, and stations of a walk
FIRST, SECOND = "mix-first", "mix-second"
LAYERS = {"pose and shape": "coarse", "features": "middle", "colors and light": "fine"}


class Gallery:
    """Handlers of the tab.

    Args:
        service: the service that does the work.
    """

    def __init__(self, service: Service) -> None:
        self.service = service

    async def images(
        self, model: str, first: float | None, count: int, truncation: float, request: gr.Request
    ) -> AsyncIterator[Any]:
        """Make a wall of images: status, wall and commands."""
        seeds = _seeds(first, count, MOST)
        options: dict[str, Any] = dict(model=model, seeds=seeds, truncation_psi=truncation, separate=True)
        async for update in follow(self.service, "generate", options, {}, request, alone="generate"):
            if update.done:
                found = {seed: update.files[f"seed{seed:04d}.png"] for seed in seeds}
                yield update.text, parts.wall(found, (FIRST, SECOND)), _commands(options)
            else:
                yield update.text, gr.skip(), gr.skip()

    async def walk(
        self, model: str, first: float | None, count: int, truncation: float, request: gr.Request
    ) -> AsyncIterator[Any]:
        """Make a video that goes from image to image: status, video and commands."""
        seeds = _seeds(first, max(2, count), WALKED)
        options: dict[str, Any] = dict(model=model, seeds=seeds, truncation_psi=truncation, frames=24, format="mp4")
        async for update in follow(self.service, "generate", options, {}, request, alone="generate"):
            if update.done:
                alt = f"a walk of {model} between seeds {seeds[0]} to {seeds[-1]}"
                told = parts.result(update.files["result.mp4"], alt, download="Download the video", name="walk.mp4")
                yield update.text, told, _commands(options)
            else:
                yield update.text, gr.skip(), gr.skip()

    async def mix(
        self, model: str, content: float | None, style: float | None, layers: str, truncation: float, request: gr.Request
    ) -> AsyncIterator[Any]:
        """Mix two images: status, image and commands."""
        if content is None or style is None:
            raise gr.Error("Click two pictures of the wall first, or write two seeds.", print_exception=False)
        options: dict[str, Any] = dict(
            model=model, content=int(content), style=int(style), layers=LAYERS[layers], truncation_psi=truncation
        )
        async for update in follow(self.service, "mix", options, {}, request):
            if update.done:
                alt = f"{layers} of seed {options['content']}, all else of seed {options['style']}"
                name = f"mix-{options['content']}-{options['style']}.png"
                yield update.text, parts.result(update.files["result.png"], alt, name=name), _commands_of_mix(options)
            else:
                yield update.text, gr.skip(), gr.skip()


def tab(service: Service, own: gr.Tab) -> None:
    """Lay out the tab."""
    gallery = Gallery(service)
    with gr.Row():
        with gr.Column(scale=2):
            model = model_choice(service, "generate", "portraits-128", "Generator", own)
            first = gr.Number(0, label="First seed", precision=0)
            count = gr.Slider(1, MOST, 16, step=1, label="How many")
            truncation = gr.Slider(0, 1, 0.7, step=0.05, label="Truncation: 0 is the average, 1 all of its variety")
            again = gr.Button("Other faces")
            with gr.Accordion("Mix two of them", open=True):
                gr.Markdown("Click one picture for what you keep of it, then another for all the rest.")
                with gr.Row():
                    content = gr.Number(None, label="Keep of seed", precision=0, elem_id=FIRST, min_width=90)
                    style = gr.Number(None, label="all else of seed", precision=0, elem_id=SECOND, min_width=90)
                layers = gr.Radio(list(LAYERS), value="pose and shape", label="Keep of the first")
                mix = gr.Button("Mix", variant="primary")
        with gr.Column(scale=3):
            with gr.Row():
                make = gr.Button("Generate", variant="primary")
                walk = gr.Button(f"A walk between up to {WALKED}")
            status = gr.Markdown("Nobody here exists.", elem_classes="status")
            mixed = gr.HTML("", elem_classes="stage small")
            shown = gr.HTML(parts.empty("Faces appear here."), elem_classes="stage")
            how = gr.HTML()

    inputs, outputs = [model, first, count, truncation], [status, shown, how]
    quiet: dict[str, Any] = dict(concurrency_limit=None, show_progress="hidden", trigger_mode="multiple")
    model.input(
        lambda: ("Generate to see it.", "", parts.empty("Its images appear here.")), None, [status, mixed, shown], queue=False
    )
    make.click(gallery.images, inputs, outputs, **quiet)
    walk.click(gallery.walk, inputs, outputs, **quiet)
    mix.click(gallery.mix, [model, content, style, layers, truncation], [status, mixed, how], **quiet)
    again.click(lambda: random.randrange(100_000), None, first, queue=False).then(gallery.images, inputs, outputs, **quiet)


def _seeds(first: float | None, count: int, most: int) -> list[int]:
    if first is None or first < 0:
        raise gr.Error("Give a first seed, a whole number from 0.", print_exception=False)
    return list(range(int(first), int(first) + min(int(count), most)))


def _commands(options: dict[str, Any]) -> str:
    seeds, model, psi = options["seeds"], options["model"], options["truncation_psi"]
    asked = f"{seeds[0]}-{seeds[-1]}" if len(seeds) > 1 else str(seeds[0])
    out = f"walk.mp4 --frames {options['frames']}" if "frames" in options else "faces/"
    return parts.commands(
        f"styleloom generate {model} --seeds {asked} --psi {psi} -o {out}",
        f'import styleloom as sl\nG = sl.load("{model}")\n'
        f"images = G.generate(range({seeds[0]}, {seeds[-1] + 1}), truncation_psi={psi})",
        options,
    )


def _commands_of_mix(options: dict[str, Any]) -> str:
    model, content, style, layers = (options[name] for name in ("model", "content", "style", "layers"))
    psi = options["truncation_psi"]
    return parts.commands(
        f"styleloom cross {model} {content} --style {style} --layers {layers} --truncation-psi {psi} -o mix.png",
        f'import styleloom as sl\nG = sl.load("{model}")\n'
        f"a, b = G.map([{content}], truncation_psi={psi}), G.map([{style}], truncation_psi={psi})\n"
        f'image = next(G.render(sl.cross(G, a, b, "{layers}")))',
        options,
    )
