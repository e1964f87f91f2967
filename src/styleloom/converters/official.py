"""Networks of other projects, of whatever kind: a file is told by what it holds."""

from __future__ import annotations

from pathlib import Path

from styleloom.core.errors import StyleLoomError
from styleloom.core.pickles import Object, read_pickle
from styleloom.core.pth import read_checkpoint

from . import nvidia, tensorflow
from .nvidia import Converted
from .rosinality import convert_checkpoint
from .styles import convert_style
from .translation import convert_translator


def convert_official(
    path: Path, *, encoder: Path | None = None, other: Path | None = None, resolution: int | None = None
) -> Converted:
    """Kind, tensors and config of a model file, from a network of another project.

    Args:
        path: a ``.pkl`` of NVIDIA (StyleGAN2 of PyTorch; ProGAN, StyleGAN and StyleGAN2 of TensorFlow), its tensors as
            :func:`~styleloom.converters.nvidia.save_as_nvidia` writes them, a checkpoint of
            rosinality's three repositories, a style network of pytorch/examples, rrmina or naoto0804, or a generator of
            pytorch-CycleGAN-and-pix2pix or pix2pixHD.
        encoder: naoto0804's ``vgg_normalised.pth``, for its decoder.
        other: the second generator of a CycleGAN, which goes back.
        resolution: side in pixels to which a growing network of rosinality was trained, where its name does not say.

    Raises:
        StyleLoomError: no such file, a damaged or foreign one, one that asks for code to be run, or another network.
    """
    try:
        return _converted(path, encoder, other, resolution)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError, OverflowError) as error:
        reason = str(error).splitlines()[0] if str(error) else ""
        raise StyleLoomError(f"{path} is damaged, or holds another network: {type(error).__name__} {reason[:120]}") from error


def _converted(path: Path, encoder: Path | None, other: Path | None, resolution: int | None) -> Converted:
    if path.suffix == ".safetensors":
        return nvidia.convert_named(path)
    if path.suffix.lower() != ".pkl":
        content = read_checkpoint(path)
        converted = convert_checkpoint(content, path, resolution) if isinstance(content, dict) else None
        if converted is None and isinstance(content, dict) and encoder is None:
            converted = convert_translator(path, other)
        if converted is None and other is not None:
            raise StyleLoomError(f"a second generator is for CycleGAN's, and {path} is none")
        return converted or convert_style(path, encoder)
    if resolution is not None:
        raise StyleLoomError(f"a resolution is for checkpoints of rosinality's growing networks, and {path} is a .pkl")
    content = read_pickle(path, nvidia.ALLOWED | tensorflow.ALLOWED)
    if isinstance(content, dict) and isinstance(content.get("G_ema"), Object):
        return nvidia.convert_pickled(content, path)
    if isinstance(content, tuple) and len(content) == 3 and all(tensorflow.is_network(each) for each in content):
        return tensorflow.convert_tensorflow(content[1], content[2], path)
    if tensorflow.is_network(content):
        return tensorflow.convert_tensorflow(None, content, path)
    raise StyleLoomError(f"{path} holds no network that is known: wanted a dictionary with G_ema, or networks of TensorFlow")
