"""Style transfer: a method by name, made ready to paint images and videos."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.core.progress import Progress
from styleloom.data import bundled, images
from styleloom.data.checks import check_masks
from styleloom.data.images import floats, like
from styleloom.data.video import repaint
from styleloom.loops.one_pass import Painter
from styleloom.nn import mtcnn
from styleloom.papers import (
    adain,
    dumoulin,
    gatys,
    ghiasi,
    johnson,
)

T = TypeVar("T")

FACES = "faces"
METHODS: dict[str, ModuleType] = {"gatys": gatys, "johnson": johnson, "dumoulin": dumoulin, "ghiasi": ghiasi, "adain": adain}
Config = gatys.GatysConfig | johnson.JohnsonConfig | dumoulin.DumoulinConfig | ghiasi.GhiasiConfig | adain.AdaINConfig
"""Settings of a method."""


def method_named(name: str) -> ModuleType:
    """The module of a method.

    Raises:
        StyleLoomError: there is none of that name.
    """
    check_choice("method", name, METHODS)
    return METHODS[name]


def configured(method: str, preset: str, **settings: Any) -> Any:
    """Settings of a method, from a preset of its own.

    Raises:
        StyleLoomError: no such method, or what its ``configure`` refuses.
    """
    module = method_named(method)
    if preset in gatys.PRESETS and preset not in module.PRESETS:
        raise StyleLoomError(f"preset {preset!r} is for gatys; {method} has no other than 'best', so leave it out")
    return module.configure(preset, **settings)


def stylize(
    content: images.ImageLike,
    style: images.ImageLike | Sequence[images.ImageLike],
    method: str = "gatys",
    *,
    preset: str = "best",
    weights: Sequence[float] | None = None,
    mask: Tensor | Sequence[Tensor] | None = None,
    content_mask: Tensor | str | None = None,
    keep_color: bool | str = False,
    **options: Any,
) -> Tensor:
    """Repaint images in the style of others.

    Args:
        content: [N, 3, H, W] in [0, 1], or a file, a PIL image or an array; each image is painted by itself.
        style: for ``"gatys"``, ``"ghiasi"`` and ``"adain"`` an image [1, 3, h, w] in [0, 1], or a file, a bundled name, a PIL
            image or an array, or several of any sizes; for ``"dumoulin"`` one or several of its network's style names; for
            ``"johnson"`` the name or file of a network.
        method: ``"gatys"`` descends on the pixels, for minutes; the others take one pass.
        preset: a named set of the method's settings, e.g. ``gatys.PRESETS``.
        weights: share of each style; equal when not given.
        mask: [1, 1, H, W] in [0, 1] a style, of the content's size: where it is painted. One mask serves two styles:
            the second is painted where the first is not. With one style the rest stays the photograph, to the bit.
        content_mask: where the photograph is to stay recognizable, for gatys: [1, 1, H, W] in [0, 1], of the content's size, or
            ``"faces"``, which needs the extra [faces].
        keep_color: ``True`` or ``"luminance"`` keeps the content's colors and paints brightness only; ``"matching"``
            gives the style the content's palette first.
        **options: any setting of the method, e.g. ``size=1024`` (see its ``Config``), or ``init``, ``features`` and
            ``model`` of its own ``stylize``.

    Returns:
        [N, 3, H', W'] in [0, 1].

    Raises:
        StyleLoomError: unknown method, preset or setting, or what the method itself refuses.

    Source: the module of the method names its paper.
    """
    tensors = {name: options.pop(name) for name in ("init", "features") if not isinstance(options.get(name, ""), str)}
    inputs = {name: given for name, given in (tensors | dict(content_mask=content_mask)).items() if given is not None}
    if isinstance(options.get("model"), torch.nn.Module):
        inputs["model"] = options.pop("model")
    if keep_color:
        options["keep_color"] = "luminance" if keep_color is True else keep_color
    masks = [mask] if isinstance(mask, Tensor) else mask
    config = configured(method, preset, **options)
    if method == "gatys":
        if "init" in inputs and not callable(inputs["init"]):
            inputs["init"] = opened(inputs["init"], "init")
        if "content_mask" in inputs:
            inputs["content_mask"] = keeper(inputs["content_mask"])
    elif given := [name for name in inputs if name != "model"]:
        raise StyleLoomError(f"{' and '.join(given)} given, for gatys alone; leave it out, since {method} paints in one pass")
    content = opened(content, "content")
    styles = style_images(style) if config.style_is_image else _names(style)
    return painter(method, styles, config, weights=weights, masks=masks, device=content.device, **inputs)(content)


def keeper(content_mask: Tensor | str) -> gatys.ContentMask:
    """A content mask as Gatys takes it: the mask itself, or for "faces" the function that finds them.

    Raises:
        StyleLoomError: anything else, or no detector.
    """
    if isinstance(content_mask, Tensor):
        return content_mask
    if not isinstance(content_mask, str) or content_mask != FACES:
        told = repr(content_mask) if isinstance(content_mask, str) else f"a {type(content_mask).__name__}"
        raise StyleLoomError(f"content_mask is {told}; give {FACES!r} or a tensor [1, 1, H, W] in [0, 1]")
    mtcnn.check_detector()
    return mtcnn.faces_mask


def listed(style: T | Sequence[T]) -> list[T]:
    """Styles as a list, where one or several are given; a name is one."""
    return list(style) if isinstance(style, list | tuple) else [style]  # type: ignore[list-item]


def _names(style: images.ImageLike | Sequence[images.ImageLike]) -> list[Tensor | str]:
    """Names of styles; images are left to :func:`check_kind_of_styles` to refuse."""
    return [each if isinstance(each, Tensor) else str(each) for each in listed(style)]


def opened(image: images.ImageLike, name: str) -> Tensor:
    """[N, 3, H, W] in [0, 1] of whatever holds an image; a bundled name is one, where there is no such file."""
    if isinstance(image, str) and bundled.is_bundled(image):
        return bundled.bundled(image)
    return images.as_images(image, name)


def style_images(style: images.ImageLike | Sequence[images.ImageLike]) -> list[Tensor]:
    """The style images, [1, 3, h, w] in [0, 1] each, of one or several."""
    several: list[images.ImageLike] = listed(style)
    return [opened(each, f"style {index}") for index, each in enumerate(several, 1)]


def kept_outside(painted: Tensor, content: Tensor, mask: Tensor) -> Tensor:
    """Images painted within a mask; where it is 0, the content's own pixels.

    Args:
        painted: [N, 3, H', W'], in floats or 8-bit numbers.
        content: [N, 3, H, W], as ``painted``.
        mask: [1, 1, H, W] in [0, 1].
    """
    size = tuple(painted.shape[-2:])
    original = content if tuple(content.shape[-2:]) == size else like(images.resize(floats(content), size), content)
    within = images.resize(mask.to(content.device), size).clamp(0, 1)
    mixed = like(torch.lerp(floats(original), floats(painted), within), painted)
    return torch.where(within > 0, mixed, original)


class MaskedPainter(Painter):
    """A painter that changes images only within a mask.

    Args:
        whole: paints whole images.
        mask: [1, 1, H, W] in [0, 1], of the content's size; where it is 0, the content stays, to the bit.
    """

    def __init__(self, whole: Painter, mask: Tensor) -> None:
        self.whole, self.mask, self.config = whole, mask, whole.config

    def __call__(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] -> [N, 3, H', W']."""
        check_masks([self.mask], 1, images)
        return kept_outside(self.whole(images), images, self.mask)


def painter(
    method: str,
    style: Tensor | str | Sequence[Tensor | str],
    config: Config,
    *,
    weights: Sequence[float] | None = None,
    masks: Sequence[Tensor] | None = None,
    device: str | torch.device = "cpu",
    **options: Any,
) -> Painter:
    """Make a method ready to paint: its network is loaded and its styles are embedded once, for any number of images.

    Args:
        method: gatys, johnson, dumoulin, ghiasi or adain.
        style, weights, masks: see :func:`stylize`.
        config: settings from the method's own ``configure``.
        device: device of the network and the images.
        options: options of the method's own ``painter``: ``model``, or for gatys ``init`` (by default :func:`start_of`),
            ``content_mask`` and ``features``.

    Returns:
        What makes images [N, 3, H', W'] of images [N, 3, H, W], in floats or 8-bit numbers.

    Raises:
        StyleLoomError: styles that the method does not take, or what its own ``painter`` refuses.
    """
    module = method_named(method)
    styles: list[Tensor | str] = listed(style)
    check_kind_of_styles(method, styles)
    make: Callable[..., Painter] = descent if method == "gatys" else module.painter
    if masks is not None and len(masks) == len(styles) == 1:
        inner = masks if method == "gatys" else None  # which also compares styles within the mask alone
        return MaskedPainter(make(config, styles, weights, inner, device=device, **options), masks[0])
    return make(config, styles, weights, masks, device=device, **options)


def descent(
    config: gatys.GatysConfig,
    styles: Sequence[Tensor],
    weights: Sequence[float] | None = None,
    masks: Sequence[Tensor] | None = None,
    *,
    init: gatys.Init | None = None,
    **options: Any,
) -> gatys.GatysPainter:
    """Gatys's painter, beginning where ``config.init`` says, unless ``init`` is given.

    Args:
        config, styles, weights, masks, init: see :func:`styleloom.papers.gatys.steps`.
        options: others of :func:`styleloom.papers.gatys.painter`.
    """
    first = init if init is not None else start_of(config, styles, weights, masks)
    return gatys.painter(config, styles, weights, masks, init=first, **options)


def start_of(
    config: gatys.GatysConfig,
    styles: Sequence[Any],
    weights: Sequence[float] | None = None,
    masks: Sequence[Tensor] | None = None,
) -> gatys.Init | None:
    """The image that a descent starts from, painted by ``anystyle``, where ``init`` is "one-pass"; else None.

    A few steps are enough from there: they turn its texture into strokes.

    Args:
        config, styles, weights, masks: see :func:`painter`.
    """
    if config.init != gatys.ONE_PASS:
        return None
    model = ghiasi.load()

    def start(content: Tensor, size: tuple[int, int]) -> Tensor:
        settings = ghiasi.configure(size=max(size), keep_color=config.keep_color)
        return painter("ghiasi", styles, settings, weights=weights, masks=masks, device=content.device, model=model)(content)

    return start


def stylize_video(
    source: str | Path,
    out: str | Path,
    style: Tensor | str | Sequence[Tensor] | Sequence[str],
    method: str = "ghiasi",
    *,
    smooth: float = 0.7,
    weights: Sequence[float] | None = None,
    **options: Any,
) -> Iterator[Progress]:
    """Repaint a video in the style of images, steadied along the motion in it, with its sound; needs PyAV.

    A loop over it shows how far it is; one that is left early leaves the part that was painted as a whole video.

    Args:
        source: video to read.
        out: video to write: .mp4, .mov, .mkv or .webm.
        style: see :func:`stylize`, with images [1, 3, H, W].
        method: ``"ghiasi"``, ``"adain"``, ``"dumoulin"`` or ``"johnson"``.
        smooth: see :func:`styleloom.data.video.repaint`.
        weights: share of each style.
        options: settings of the method.

    Yields:
        Progress after each frame.

    Raises:
        StyleLoomError: a video that cannot be read or written, or what the method refuses.
    """
    check_choice("method of videos", method, [name for name in METHODS if name != "gatys"])
    config = METHODS[method].configure(**options)
    yield from repaint(source, out, painter(method, style, config, weights=weights), smooth=smooth, parallel=True)


def check_kind_of_styles(method: str, styles: Sequence[Tensor | str]) -> None:
    """Raise StyleLoomError where styles are images and the method takes names, or the other way."""
    takes_images = METHODS[method].PRESETS["best"].style_is_image
    if not takes_images and any(isinstance(each, Tensor) for each in styles):
        raise StyleLoomError(f"{method} has styles of its own, by name; for any image use gatys, ghiasi or adain")
    if takes_images and any(isinstance(each, str) for each in styles):
        raise StyleLoomError(f"{method} takes style images; read them first, or use draw() for a bundled one")
