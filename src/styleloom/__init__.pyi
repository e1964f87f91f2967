"""The public names, each with where it comes from."""

from . import jobs
from .core.checkpoint import average
from .core.errors import StyleLoomError
from .core.run import Hardware, Run
from .data.bundled import bundled, read
from .data.color import match_color
from .data.images import resize, resize_to_fit, write
from .data.pairs import open_domains
from .drawn import toonfaces
from .drawn.painterly import STYLES, draw
from .hub import push
from .models import convert, load
from .nn.generators import Generator
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
from .tasks.editing import cross, edit, express, morph
from .tasks.evaluation import evaluate
from .tasks.inpainting import inpaint
from .tasks.inversion import invert
from .tasks.latents import Latents, load_latents, save_latents
from .tasks.painting import METHODS, stylize, stylize_video
from .tasks.sampling import mix
from .tasks.tools import eigenbasis
from .tasks.translation import translate

__version__: str

__all__ = [
    "METHODS", "STYLES", "Features", "Generator", "Hardware", "Latents", "Run", "StyleLoomError", "Translator",
    "adain", "average", "bundled", "convert", "cross", "cyclegan", "directions", "draw", "dumoulin", "edit", "eigenbasis",
    "evaluate", "export", "express", "gatys",
    "ghiasi", "image2stylegan", "indomain", "inpaint", "invert", "jobs", "johnson", "learned_optimizer", "load",
    "load_features", "load_latents", "local_edit", "match_color", "mix", "morph", "open_domains", "pix2pix", "pix2pixhd",
    "progan", "pti", "push", "read", "resize", "resize_to_fit", "save_latents", "stylegan", "stylegan2", "stylize",
    "stylize_video",    "super_resolution", "toonfaces", "translate", "upscale", "write",
]  # fmt: skip
