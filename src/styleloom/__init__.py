"""StyleLoom: image style, from Gatys to StyleGAN inversion with a learned optimizer.

Pictures are float tensors [N, 3, H, W] in [0, 1], RGB. Start with ``read``, ``stylize`` and ``write``.
"""

from importlib.metadata import version

from .api import METHODS, stylize
from .blocks.errors import StyleLoomError
from .blocks.features import Features
from .blocks.images import fit, match_color, read, resize, write
from .convert.vgg import load_features
from .painterly import STYLES, draw
from .papers import adain, dumoulin, gatys, johnson
from .samples import sample

__version__ = version("styleloom")

__all__ = [
    "METHODS",
    "STYLES",
    "Features",
    "StyleLoomError",
    "adain",
    "draw",
    "dumoulin",
    "fit",
    "gatys",
    "johnson",
    "load_features",
    "match_color",
    "read",
    "resize",
    "sample",
    "stylize",
    "write",
]
