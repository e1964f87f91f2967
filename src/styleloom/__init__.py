"""StyleLoom: image style, from Gatys to StyleGAN inversion with a learned optimizer.

Images are float tensors [N, 3, H, W] in [0, 1], RGB. Start with ``read``, ``stylize`` and ``write``. ``__init__.pyi`` lists
the public names. Each is imported when it is first used, so that the program answers ``--help`` without loading torch.
"""

from importlib.metadata import PackageNotFoundError, version

import lazy_loader

try:
    __version__ = version("styleloom")
except PackageNotFoundError:  # run from its folder, without having been installed
    __version__ = "0+unknown"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
