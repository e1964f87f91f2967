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
    dumoulin,
    gatys,
    ghiasi,
    image2stylegan,
    indomain,
    johnson,
    learned_optimizer,
    pix2pix,
    pix2pixhd,
    progan,
    stylegan,
    stylegan2,
    super_resolution,
)
from .papers.super_resolution import upscale
from .tasks import jobs
from .tasks.evaluate import evaluate
from .tasks.generate import mix
from .tasks.invert import invert, load_latents, save_latents
from .tasks.stylize import METHODS, stylize, stylize_video
from .tasks.translate import translate

__version__: str

__all__ = [
    "METHODS", "STYLES", "Features", "Generator", "StyleLoomError", "Translator", "adain", "average", "bundled", "convert",
    "cyclegan", "draw", "dumoulin", "evaluate", "export", "gatys", "ghiasi", "image2stylegan", "indomain", "invert", "jobs",
    "johnson", "learned_optimizer", "load", "load_features", "load_latents", "match_color", "mix", "open_domains", "pix2pix",
    "pix2pixhd", "progan", "read", "resize", "resize_to_fit", "save_latents", "stylegan", "stylegan2", "stylize", "stylize_video",
    "super_resolution", "toonfaces", "translate", "upscale", "write",
]  # fmt: skip
