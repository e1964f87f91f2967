"""Places for photographs: any file that StyleLoom reads, shown as a small JPEG that every browser knows."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

import gradio as gr
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.data import images
from styleloom.jobs.inputs import open_image
from styleloom.service.app import Service, aside
from styleloom.service.problems import Problem
from styleloom.service.supervisor import PREVIEWS

from . import parts
from .client import checked, for_people, owner_of_page

SIDE = 1024  # px of a preview's longer side
TYPES = sorted({"image", *images.SUFFIXES})
MASK = "data:image/png;base64,"
LARGEST_MASK = 2**22  # characters of a mask that was painted


class Previews:
    """Small copies of uploads, each of one client.

    Args:
        service: the service whose folder and limits they share.
    """

    def __init__(self, service: Service) -> None:
        self.folder = service.settings.folder / PREVIEWS
        self.max_pixels = service.settings.max_pixels
        self.folder.mkdir(parents=True, exist_ok=True)

    def make(self, path: Path, owner: str) -> tuple[str, int, int]:
        """Address of a small copy, and width and height of the picture.

        Raises:
            StyleLoomError: it is no picture that can be read, or too large.
        """
        photo = open_image(path, self.max_pixels)
        height, width = photo.shape[2:]
        scale = min(1, SIDE / max(height, width))
        small: Tensor = (
            photo if scale == 1 else images.resize(photo, (max(1, round(height * scale)), max(1, round(width * scale))))
        )
        name = f"{owner[:16]}-{secrets.token_hex(12)}"
        images.write(small, self.folder / f"{name}.jpg")
        return f"/studio/previews/{name}.jpg", width, height

    def path(self, name: str, owner: str) -> Path | None:
        """The file of a copy, where it is this client's."""
        path = self.folder / f"{name}.jpg"
        own = bool(owner) and name.startswith(f"{owner[:16]}-") and name.replace("-", "").isalnum()
        return path if own and path.exists() else None


Shown = Callable[[str, int, int, Path, gr.Request], Awaitable[str]]
"""HTML of a preview: from its address, the picture's width and height, its file, and the request."""


class Photos:
    """Makes places for photographs on a page.

    Args:
        service: the service.
        uploads: folder of uploads.
    """

    def __init__(self, service: Service, uploads: Path) -> None:
        self.uploads, self.previews = uploads, Previews(service)

    def place(self, label: str, shown: Shown | None = None, *, height: int = 130, shared: bool = False) -> gr.File:
        """A place for one photograph, with its preview below.

        Args:
            label: label.
            shown: makes another preview than a plain picture.
            height: height of the place in pixels.
            shared: the preview stands elsewhere; nothing is shown here.
        """
        photo = gr.File(label=label, file_types=TYPES, height=height, elem_classes="photo", buttons=[])
        if not shared:
            preview = gr.HTML("", elem_classes="preview")
            self.show(photo, preview, shown)
        return photo

    def show(self, photo: gr.File, preview: gr.HTML, shown: Shown | None = None, *, again: bool = False) -> None:
        """Show what a place holds; ``again``: elsewhere it is shown as well, and what is wrong was told there."""

        async def changed(path: str | None, request: gr.Request) -> str:
            if not path:
                return ""
            source = checked(path, self.uploads, "a picture")
            try:
                address, width, height = await aside(self.previews.make, source, owner_of_page(request))
            except Problem as problem:
                if again:
                    return parts.empty("Choose a picture first.")
                detail = for_people(problem.detail.replace(str(source), source.name))
                raise gr.Error(detail, print_exception=False) from problem
            if shown is not None:
                return await shown(address, width, height, source, request)
            return parts.plain(address, f"your picture, {width} x {height}")

        photo.change(changed, photo, preview, show_progress="hidden", concurrency_limit=None)

    def mask(self, painted: str) -> list[Path]:
        """The file of a mask that was painted; none where nothing was.

        Raises:
            gr.Error: it is no PNG of a page.
        """
        if not painted:
            return []
        try:
            if not painted.startswith(MASK) or len(painted) > LARGEST_MASK:
                raise ValueError
            content = base64.b64decode(painted.removeprefix(MASK), validate=True)
            path = self.uploads / f"mask-{secrets.token_hex(12)}.png"
            path.write_bytes(content)
            open_image(path, self.previews.max_pixels)
        except (ValueError, binascii.Error, StyleLoomError) as error:
            raise gr.Error("What was painted did not arrive: please paint it again.", print_exception=False) from error
        return [path]
