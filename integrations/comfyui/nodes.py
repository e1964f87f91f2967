"""Nodes for ComfyUI: paint in a style, translate, generate, and edit a face along a direction.

ComfyUI's images are [N, H, W, 3] in [0, 1] and its masks [N, H, W]; StyleLoom's are [N, 3, H, W]. A batch goes through image by
image where sizes or faces differ, and at once where it can.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

import styleloom as sl
from styleloom.jobs.events import ItemFailed
from styleloom.jobs.outputs import Outputs
from styleloom.jobs.sources import LoadOptions
from styleloom.tasks.editing import directions_of

Inputs = dict[str, dict[str, tuple[Any, ...]]]
GENERATORS = ("portraits-128", "toonfaces-64")
TRANSLATORS = ("edges2portrait", "colorize-portrait", "toon-hair")
METHODS = ("ghiasi", "quick", "adain", "gatys")
DESCENTS = {"quick": "quick", "gatys": "draft"}  # presets of Gatys
CATEGORY = "StyleLoom"


def _images(images: Tensor) -> Tensor:
    """ComfyUI's images as ours, without transparency: [N, H, W, C] -> [N, 3, H, W]."""
    return images[..., :3].movedim(-1, 1).float().cpu().contiguous()


def _back(images: Tensor) -> Tensor:
    """Our images as ComfyUI's: [N, 3, H, W] -> [N, H, W, 3]."""
    return images.detach().cpu().clamp(0, 1).movedim(1, -1).contiguous()


def _number(default: float, least: float, most: float, step: float = 0.05) -> tuple[str, dict[str, Any]]:
    return "FLOAT", dict(default=default, min=least, max=most, step=step)


def _whole(default: int, least: int, most: int) -> tuple[str, dict[str, Any]]:
    return "INT", dict(default=default, min=least, max=most)


def _choice(names: tuple[str, ...] | list[str]) -> tuple[list[str]]:
    return (list(names),)


class Stylize:
    """Paint images in the style of another image, or of one that ships."""

    DESCRIPTION = "Paints images in the style of a painting, or of a bundled one where none is connected."
    CATEGORY: ClassVar[str] = CATEGORY
    RETURN_TYPES, RETURN_NAMES, FUNCTION = ("IMAGE",), ("image",), "paint"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "image": ("IMAGE",),
                "bundled": _choice(list(sl.STYLES)),
                "method": _choice(METHODS),
                "strength": _number(1.0, 0.0, 1.0),
            },
            "optional": {"style": ("IMAGE",), "mask": ("MASK",)},
        }

    def paint(
        self,
        image: Tensor,
        bundled: str,
        method: str,
        strength: float,
        style: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor]:
        """Paint images [N, H, W, 3] in the style of ``style`` [1, h, w, 3] or a bundled one, where a mask [1 or N, H, W] is 1."""
        content = _images(image)
        look: Any = bundled if style is None else _images(style)[:1]
        preset = DESCENTS.get(method)
        options: dict[str, Any] = dict(method="gatys", preset=preset) if preset else dict(method=method, alpha=strength)
        painted = torch.cat([sl.stylize(each[None], look, **options) for each in content])
        if preset:
            painted = sl.resize(painted, content.shape[-2:])  # a descent may paint at another size
            painted = torch.lerp(content, painted, strength)
        if mask is not None:
            where = torch.nn.functional.interpolate(mask[:, None].float().cpu(), content.shape[2:], mode="bilinear")
            painted = torch.lerp(content, painted, where.expand(len(content), -1, -1, -1))
        return (_back(painted),)


class Translate:
    """Translate images into another domain: edges to portraits, gray to colors."""

    DESCRIPTION = "Translates images with a pix2pix or CycleGAN model that ships, or a model file."
    CATEGORY: ClassVar[str] = CATEGORY
    RETURN_TYPES, RETURN_NAMES, FUNCTION = ("IMAGE",), ("image",), "translate"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "image": ("IMAGE",),
                "model": _choice(TRANSLATORS),
                "drawing": ("BOOLEAN", dict(default=False, tooltip="the image is a drawing, black on white, not a photograph")),
            },
            "optional": {"file": ("STRING", dict(default="", tooltip="a model file instead"))},
        }

    def translate(self, image: Tensor, model: str, drawing: bool, file: str = "") -> tuple[Tensor]:
        """Translate images [N, H, W, 3]."""
        network = sl.load(file or model, sl.Translator)
        return (_back(torch.cat([sl.translate(network, each[None], drawing=drawing) for each in _images(image)])),)


class Generate:
    """Make images of seeds."""

    DESCRIPTION = "Makes images of seeds with a generator that ships, or a model file."
    CATEGORY: ClassVar[str] = CATEGORY
    RETURN_TYPES, RETURN_NAMES, FUNCTION = ("IMAGE",), ("image",), "generate"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "model": _choice(GENERATORS),
                "seed": _whole(0, 0, 2**32 - 1),
                "count": _whole(1, 1, 64),
                "truncation": _number(0.7, 0.0, 1.5),
            },
            "optional": {"file": ("STRING", dict(default="", tooltip="a model file instead"))},
        }

    def generate(self, model: str, seed: int, count: int, truncation: float, file: str = "") -> tuple[Tensor]:
        """Make images [count, R, R, 3] of consecutive seeds."""
        generator = sl.load(file or model, sl.Generator)
        return (_back(generator.generate(range(seed, seed + count), truncation_psi=truncation)),)


class EditFace:
    """Edit the face of a photograph along a direction, and put it back."""

    DESCRIPTION = "Finds the face in each photograph with the learned optimizer, edits it along a direction, and puts it back."
    CATEGORY: ClassVar[str] = CATEGORY
    RETURN_TYPES, RETURN_NAMES, FUNCTION = ("IMAGE",), ("image",), "edit"

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """The inputs, as ComfyUI asks for them."""
        known = list(directions_of(sl.load(GENERATORS[0], sl.Generator)))
        return {
            "required": {
                "image": ("IMAGE",),
                "direction": _choice(known),
                "strength": _number(2.0, -5.0, 5.0, 0.25),
                "steps": _whole(30, 1, 300),
            }
        }

    def edit(self, image: Tensor, direction: str, strength: float, steps: int) -> tuple[Tensor]:
        """Edit photographs [N, H, W, 3]."""
        loading, edited = LoadOptions(num_steps=steps), []
        with tempfile.TemporaryDirectory() as folder:
            photo, result = Path(folder) / "photo.png", Path(folder) / "edited.png"
            for each in _images(image):
                sl.write(each[None], photo)
                changes, out = {direction: strength}, Outputs(result, overwrite=True)
                for event in sl.jobs.edit(GENERATORS[0], [photo], changes, out=out, loading=loading):
                    if isinstance(event, ItemFailed):
                        raise sl.StyleLoomError(event.reason)
                edited.append(sl.read(result))
        return (_back(torch.cat(edited)),)


NODE_CLASS_MAPPINGS = {
    "StyleLoomStylize": Stylize,
    "StyleLoomTranslate": Translate,
    "StyleLoomGenerate": Generate,
    "StyleLoomEditFace": EditFace,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "StyleLoomStylize": "Stylize (StyleLoom)",
    "StyleLoomTranslate": "Translate (StyleLoom)",
    "StyleLoomGenerate": "Generate (StyleLoom)",
    "StyleLoomEditFace": "Edit a face (StyleLoom)",
}
