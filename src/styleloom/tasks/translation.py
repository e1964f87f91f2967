"""Images of one domain made images of another, at their own size."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path

import torch
import torch.nn.functional as F
from numpy.random import RandomState
from torch import Tensor, nn

from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.data import bundled, color, images
from styleloom.data.channels import read_channels
from styleloom.data.derive import DERIVATIONS
from styleloom.data.images import floats
from styleloom.data.labels import one_hot
from styleloom.data.tiles import MULTIPLE, by_tiles
from styleloom.models import load
from styleloom.nn.layers import placed
from styleloom.nn.translation import inference_mode_of, statistics_of
from styleloom.nn.translator import CODES, Translator
from styleloom.papers.pix2pixhd import boundaries

from .painting import kept_outside

STATISTICS = ("saved", "batch")
THUMBNAIL = 768  # longer side of what a large image's statistics are taken from


@torch.inference_mode()
def translate(
    model: Translator | str | Path,
    image: images.ImageLike,
    *,
    to: str = "B",
    mask: Tensor | None = None,
    statistics: str = "saved",
    seed: int | None = None,
    drawing: bool = False,
    instances: Tensor | None = None,
    codes_of: Tensor | None = None,
    size: int = 0,
    tile: int = 1024,
) -> Tensor:
    """Translate images into the other domain, each at its own size.

    Args:
        model: a model from :func:`styleloom.load`, or the name or file of one.
        image: [N, C, H, W] in [0, 1]; or a file, a bundled name, a PIL image or an array.
        to: the domain to make: ``"B"``, or ``"A"`` where the model goes both ways.
        mask: [1, 1, H, W] in [0, 1]: where the result is wanted; elsewhere the image stays as it is, to the bit.
        statistics: ``"saved"``, or ``"batch"`` to let batch norm use each image's own, as the authors' test script does.
        seed: leave dropout on, with this noise, and draw the codes of instances: another seed gives another image.
        drawing: the image is what the model takes (lines, black on white), not a photograph to make that of.
        instances: [N, 1, H, W], a number for each object, for models of pix2pixHD that see their boundaries.
        codes_of: [N, 3, H, W] in [0, 1], an image of the same objects that their codes are read off, for models that have codes;
            with a seed they may be drawn instead.
        size: shorter side to work at; 0: the image's own.
        tile: larger images are translated in tiles of so many pixels, without a seam; 0: never. U-Nets see the whole image.

    Returns:
        [N, C', H, W] in [0, 1].

    Raises:
        StyleLoomError: no such model, domain or choice, or an image of another number of channels.

    Source: the module of the model's method names its paper.
    """
    check_choice("statistics", statistics, STATISTICS)
    model = model if isinstance(model, Translator) else load(model, Translator)
    image = as_image(image, model, to)
    model = placed(model, image.device)
    network = model.to_domain(to)
    if size and instances is not None:
        raise StyleLoomError("maps of instances are not scaled; leave size out")
    given = _scaled(image, size, nearest=bool(model.labels) and to == "B") if size else image
    results = []
    for index, photo in enumerate(given.split(1)):
        x = inputs_of(model, photo, to=to, drawing=drawing)
        if to == "B":
            x = torch.cat([x, *_of_instances(model, x, instances, codes_of, slice(index, index + 1), seed)], 1)
        check_channels(network, x, to)
        answer = _answer(network, x, statistics, seed, tile).add(1).div(2).clamp(0, 1)
        if model.derive and photo.shape[1] == 3:
            answer = DERIVATIONS[model.derive].finish(photo, answer)
        results.append(answer)
    translated = torch.cat(results)
    if size and translated.shape[1] == 3 and mask is not None:
        translated = images.resize(translated, tuple(image.shape[-2:]))
    if mask is not None:
        if translated.shape[1] != image.shape[1]:
            raise StyleLoomError("a mask needs a result with the channels of the image; leave it out")
        translated = kept_outside(translated, image, mask)
    return translated


def as_image(image: images.ImageLike, model: Translator, to: str = "B") -> Tensor:
    """[N, C, H, W] in [0, 1] of whatever holds an image; any number of channels where it is a tensor, or a file of them."""
    if isinstance(image, Tensor) and image.ndim == 4 and image.shape[1] != 3:
        return floats(image)
    if isinstance(image, str) and bundled.is_bundled(image):
        return bundled.bundled(image)
    if isinstance(image, str | Path):
        return read_input(image, model, to)
    return floats(images.as_images(image, "image"))


def read_input(path: str | Path, model: Translator, to: str = "B", max_pixels: int = images.MAX_PIXELS) -> Tensor:
    """Read a file with as many channels as the network that makes ``to`` takes: [1, C, H, W] in [0, 1].

    Args:
        path: image file, TIFF of any channels, or ``.npy``.
        model: for a model of label maps, an array of one channel holds class numbers as their gray.
        to: domain to make.
        max_pixels: images with more pixels are refused.

    Raises:
        StyleLoomError: a file that cannot be read, or of another number of channels.
    """
    taken = int(model.to_domain(to).in_channels)  # type: ignore[arg-type]
    from_photo = bool(model.derive and to == "B") or (bool(model.labels) and to == "B") or taken == 3
    is_array = Path(path).suffix.lower() == ".npy"
    if from_photo and not is_array:
        return images.read(path, max_pixels=max_pixels)
    image = read_channels(path, max_pixels=max_pixels, channels=taken)
    if image.shape[1] == 1 and model.labels and to == "B":
        image = image.expand(-1, 3, -1, -1)  # numbers of classes, which are their colors' gray
    if image.shape[1] == 3 and from_photo:
        return image
    if image.shape[1] == 3 and taken == 1:
        image = color.luma(image)
    check_channels(model.to_domain(to), inputs_of(model, image, to=to), to)
    return image


def inputs_of(model: Translator, photo: Tensor, *, to: str = "B", drawing: bool = False) -> Tensor:
    """Input of a model, [1, C, H, W] in [-1, 1], from an image [1, C', H, W] in [0, 1].

    Raises:
        StyleLoomError: a drawing for a model that takes none.
    """
    kind = DERIVATIONS.get(model.derive) if to == "B" else None
    if drawing and (kind is None or not kind.drawn):
        raise StyleLoomError("this model takes no drawings; leave that out")
    if kind is not None and drawing:
        photo = color.luma(photo) if photo.shape[1] == 3 else photo
    elif kind is not None and kind.at_use and photo.shape[1] == 3:
        photo = kind.pair(photo[0], RandomState(0))[0][None].to(photo.device)
    elif model.labels and to == "B" and photo.shape[1] == 3:
        photo = one_hot(photo, model.labels)
    return photo * 2 - 1


def _of_instances(
    model: Translator, x: Tensor, instances: Tensor | None, codes_of: Tensor | None, index: slice, seed: int | None
) -> list[Tensor]:
    """Further inputs of a pix2pixHD model beside x: boundaries of instances, and their codes."""
    draws = model.draws_codes and codes_of is None and seed is not None
    wanted = {"instances": model.instances, "codes_of": CODES in model.networks and not draws}
    for name, given in (("instances", instances), ("codes_of", codes_of)):
        if (given is not None) != wanted[name]:
            besides = ", or a seed to draw codes by" if name == "codes_of" and model.draws_codes else ""
            raise StyleLoomError(f"this model {'needs' if wanted[name] else 'has no use for'} {name}{besides}")
    if instances is None:
        return []
    if instances.shape[-2:] != x.shape[-2:]:
        sides = " x ".join(str(side) for side in instances.shape[:-3:-1])
        raise StyleLoomError(f"the map of instances has {sides} px, the image {x.shape[3]} x {x.shape[2]}; give one of its size")
    numbers = instances[index].float()
    more = [boundaries(numbers)]
    if draws:
        more.append(model.networks[CODES].drawn(x, numbers, seed))  # type: ignore[operator]
    elif codes_of is not None:
        more.append(model.networks[CODES](codes_of[index] * 2 - 1, numbers))
    return more


def check_channels(network: nn.Module, x: Tensor, to: str) -> None:
    """Raise StyleLoomError where an image has not the channels that a network takes."""
    if x.shape[1] != network.in_channels:
        raise StyleLoomError(f"the image has {x.shape[1]} channels; the network that makes {to} takes {network.in_channels}")


def _scaled(image: Tensor, size: int, *, nearest: bool) -> Tensor:
    """Images with a shorter side of ``size``; the colors of label maps are not mixed, as in training (``nearest``)."""
    height, width = image.shape[-2:]
    scale = size / min(height, width)
    sides = (max(1, round(height * scale)), max(1, round(width * scale)))
    return F.interpolate(image, sides, mode="nearest-exact") if nearest else images.resize(image, sides)


def _answer(network: nn.Module, x: Tensor, statistics: str, seed: int | None, tile: int) -> Tensor:
    """One image through a network, whole or tile by tile: [1, C, H, W] -> [1, C', H, W] in [-1, 1]."""
    reach, grain = network.reach, math.lcm(int(network.multiple), MULTIPLE)  # type: ignore[arg-type]
    with ExitStack() as stack:
        if seed is not None:
            stack.enter_context(torch.random.fork_rng(devices=[]))
            torch.manual_seed(seed)
        stack.enter_context(inference_mode_of(network, batch_statistics=statistics == "batch", noise=seed is not None))
        height, width = x.shape[-2:]
        if not tile or reach is None or height * width <= tile**2:
            return _padded(network, x)
        thumbnail = images.resize_to_fit((x + 1) / 2, min(THUMBNAIL, max(height, width))) * 2 - 1
        stack.enter_context(statistics_of(network, _fitted(network, thumbnail)))
        margin = -(-int(reach) // grain) * grain  # type: ignore[arg-type]
        tile = -(-tile // grain) * grain
        like = x.new_empty(1, int(network.out_channels), height, width)  # type: ignore[arg-type]
        made = by_tiles(lambda window: (_padded(network, window.cut(x)) + 1) / 2, like, tile, margin)  # in [0, 1]
        return made * 2 - 1


def _fitted(network: nn.Module, x: Tensor) -> Tensor:
    """An image whose border is repeated until the network takes it: [N, C, H, W] -> [N, C, H', W']."""
    multiple, least = int(network.multiple), int(network.smallest)  # type: ignore[arg-type]
    below, right = (max(-side % multiple, least - side) for side in x.shape[-2:])
    return F.pad(x, (0, right, 0, below), mode="replicate")


def _padded(network: nn.Module, x: Tensor) -> Tensor:
    """A network on an image of any size: [N, C, H, W] -> [N, C', H, W]."""
    height, width = x.shape[-2:]
    result: Tensor = network(_fitted(network, x))
    return result[..., :height, :width]
