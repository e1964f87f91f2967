"""StyleLoom: image style, from Gatys to StyleGAN inversion with a learned optimizer.

Pictures are float tensors [N, 3, H, W] in [0, 1], RGB. Start with ``read``, ``stylize`` and ``write``.
"""

from importlib.metadata import version

from . import inversion, toonfaces
from .api import METHODS, convert, load, stylize, stylize_film
from .blocks.checkpoint import average
from .blocks.errors import StyleLoomError
from .blocks.features import Features
from .blocks.images import fit, match_color, read, resize, write
from .convert.vgg import load_features
from .evaluation import evaluate
from .export import export
from .inversion import invert
from .painterly import STYLES, draw
from .papers import (
    adain,
    dumoulin,
    gatys,
    ghiasi,
    image2stylegan,
    indomain,
    johnson,
    learned_optimizer,
    progan,
    stylegan,
    stylegan2,
    super_resolution,
)
from .papers.super_resolution import upscale
from .samples import sample
from .sampling import mix
from .tasks import jobs

__version__ = version("styleloom")

__all__ = [
    "METHODS", "STYLES", "Features", "StyleLoomError", "adain", "average", "convert", "draw", "dumoulin", "evaluate", "export",
    "fit", "gatys", "ghiasi", "image2stylegan", "indomain", "inversion", "invert", "jobs", "johnson", "learned_optimizer", "load",
    "load_features", "match_color", "mix", "progan", "read", "resize", "sample", "stylegan", "stylegan2", "stylize",
    "stylize_film", "super_resolution", "toonfaces", "upscale", "write",
]  # fmt: skip
