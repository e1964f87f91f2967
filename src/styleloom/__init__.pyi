"""The public names, each with where it comes from."""

from .core.checkpoint import average
from .core.errors import StyleLoomError
from .data import toonfaces
from .data.bundled import bundled
from .data.images import match_color, read, resize, resize_to_fit, write
from .data.painterly import STYLES, draw
from .data.pairs import open_domains
from .models import convert, load
from .nn.generator import Generator
from .nn.translator import Translator
from .nn.vgg import Features
from .nn.vgg_files import load_features
from .onnx import export
from .papers import (
    adain,
    cyclegan,
    directions,
    dumoulin,
    gatys,
    ghiasi,
    image2stylegan,
    indomain,
    johnson,
    learned_optimizer,
    local_edit,
    pix2pix,
    pix2pixhd,
    progan,
    pti,
    stylegan,
    stylegan2,
    super_resolution,
)
from .papers.super_resolution import upscale
from .tasks import jobs
from .tasks.edit import cross, edit, express, morph
from .tasks.evaluate import evaluate
from .tasks.generate import mix
from .tasks.invert import invert
from .tasks.latents import Latents, load_latents, save_latents
from .tasks.local_edit import inpaint
from .tasks.stylize import METHODS, stylize, stylize_video
from .tasks.translate import translate

__version__: str

__all__ = [
    "METHODS", "STYLES", "Features", "Generator", "Latents", "StyleLoomError", "Translator", "adain", "average", "bundled",
    "convert", "cross", "cyclegan", "directions", "draw", "dumoulin", "edit", "evaluate", "export", "express", "gatys",
    "ghiasi", "image2stylegan", "indomain", "inpaint", "invert", "jobs", "johnson", "learned_optimizer", "load",
    "load_features", "load_latents", "local_edit", "match_color", "mix", "morph", "open_domains", "pix2pix", "pix2pixhd",
    "progan", "pti", "read", "resize", "resize_to_fit", "save_latents", "stylegan", "stylegan2", "stylize", "stylize_video",
    "super_resolution", "toonfaces", "translate", "upscale", "write",
]  # fmt: skip
