"""Images in and out, and what is done to them as images: size, color spaces, color transfer.

An image is a float tensor [N, 3, H, W] in [0, 1], RGB in the sRGB encoding. Only this module and ``output`` use Pillow.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.files import check_parent, replacing

from .color_spaces import HDR_TRANSFERS, WIDE_PRIMARIES, to_srgb
from .sizes import BAND as BAND
from .sizes import enlarged as enlarged
from .sizes import fitted_size as fitted_size
from .sizes import floats as floats
from .sizes import grid as grid
from .sizes import like as like
from .sizes import reduce as reduce
from .sizes import resize as resize
from .sizes import resize_to_fit as resize_to_fit
from .stores import address_of, read_bytes
from .tiff import DeepTiff, is_tiff, read_deep

MAX_PIXELS = 100_000_000
# Only formats that Pillow decodes by itself: no PostScript, no external program.
READABLE = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF")
ImageLike: TypeAlias = Tensor | np.ndarray[Any, Any] | Image.Image | str | Path  # what :func:`as_images` takes
WRITABLE = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP"}
HEIF = (".heic", ".heif")  # of phones; the extra [heic] reads them
# Files of a folder that are taken for images.
SUFFIXES = {*WRITABLE, ".gif", ".ppm", ".pgm", ".avif", *HEIF}
TRANSPARENT = ("RGBA", "LA", "La", "RGBa")

_bomb_limit = threading.Lock()


def read(
    path: str | Path | BinaryIO,
    *,
    max_pixels: int = MAX_PIXELS,
    as_bytes: bool = False,
    name: str | None = None,
    paper: float = 1.0,
) -> Tensor:
    """Read an image file.

    EXIF rotation and an ICC profile are applied, transparency is laid over ``paper``; an animation gives its first frame.

    Args:
        path: PNG, JPEG, WebP, TIFF, BMP, GIF, PPM or AVIF, on disk or in a store; or such a file, opened in binary mode.
        max_pixels: refuse images of more pixels than this before decoding them.
        as_bytes: keep 8-bit numbers, a quarter of the memory.
        name: what errors call it, instead of ``path``.
        paper: gray that transparency is laid over, 1 for white.

    Returns:
        [1, 3, H, W] in [0, 1], or uint8 with ``as_bytes``.

    Raises:
        StyleLoomError: no such file, not an image, damaged, or too large.
    """
    if isinstance(path, str | Path) and (address := address_of(path)):
        path, name = read_bytes(address), name or address
    elif isinstance(path, str | Path):
        path = Path(path)
        if not path.exists():
            raise StyleLoomError(f"no such image: {path}; give the path of an image file")
        if path.is_dir():
            raise StyleLoomError(f"{path} is a folder; give the path of an image file")
    label = name or path
    try:
        if is_tiff(path) and (deep := read_deep(path, max_pixels)) is not None:
            return _deep_image(deep, as_bytes, paper)
        with opened(path) as file:
            width, height = file.size
            if width * height > max_pixels:
                raise StyleLoomError(
                    f"{label} has {width} x {height} pixels, more than {max_pixels:,}; raise `max_pixels`, or reduce it"
                )
            array = _to_rgb_array(file, as_bytes, paper)
    except StyleLoomError:
        raise
    except PermissionError as error:
        raise StyleLoomError(f"cannot read {label}: permission denied") from error
    except Exception as error:  # a decoder fed with hostile bytes may raise anything
        reason = "not an image that can be read" if isinstance(error, UnidentifiedImageError) else f"damaged ({error})"
        raise StyleLoomError(f"cannot read {label}: {reason}; wanted {', '.join(READABLE)}") from error
    image = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))[None]
    return (image * 255).round().to(torch.uint8) if as_bytes and image.is_floating_point() else image


def _deep_image(deep: DeepTiff, as_bytes: bool, paper: float) -> Tensor:
    """[1, 3, H, W] of a TIFF of any depth: gray expanded, transparency laid over ``paper``, a color profile applied.

    Raises:
        ValueError: other channels than gray or RGB, and opacity.
    """
    array, alpha = deep.array, None
    if deep.has_alpha:
        array, alpha = array[..., :-1], array[..., -1:]
    if array.shape[2] not in (1, 3):
        raise ValueError(f"{deep.array.shape[2]} channels; an image has gray or RGB, and opacity at most")
    if deep.profile is not None and array.shape[2] == 3:  # color management has 8 bits
        bytes_ = Image.fromarray((array * 255).round().astype(np.uint8))
        array = np.asarray(_to_srgb(bytes_, deep.profile), dtype=np.float32) / 255
    array = np.repeat(array, 3, 2) if array.shape[2] == 1 else array
    array = array if alpha is None else array * alpha + paper * (1 - alpha)
    image = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))[None]
    return (image * 255).round().to(torch.uint8) if as_bytes else image


def pixels_with_channels(path: str | Path | BinaryIO, max_pixels: int, channels: int = 0) -> Tensor | None:
    """An image file [1, C, H, W] in [0, 1] with its own channels: 1 for gray, 3 for colors, and one more for opacity.

    Args:
        path: file that Pillow reads right.
        max_pixels: None is returned for an image with more.
        channels: 4 adds full opacity where a file has none.
    """
    with opened(path) as file:
        if file.size[0] * file.size[1] > max_pixels:
            return None
        profile = file.info.get("icc_profile")
        ImageOps.exif_transpose(file, in_place=True)
        image = _see_through(file) if file.mode != "P" or "transparency" in file.info else file.convert("RGB")
        alpha = image.getchannel("A") if image.mode in TRANSPARENT else None
        gray = image.mode in ("1", "L", "LA", "La") and profile is None
        color = image.convert("L") if gray else _to_srgb(image.convert("RGB") if alpha is not None else image, profile)
        planes = np.atleast_3d(np.asarray(color, dtype=np.float32) / 255)
        if alpha is None and channels == 4:
            alpha = Image.new("L", file.size, 255)
        if alpha is not None:
            planes = np.concatenate([planes, np.asarray(alpha, dtype=np.float32)[..., None] / 255], 2)
        if channels == 4 and planes.shape[2] == 2:
            planes = planes[..., [0, 0, 0, 1]]
    return torch.from_numpy(np.ascontiguousarray(planes.transpose(2, 0, 1)))[None]


def animated(path: str | Path) -> bool:
    """Whether a file is an image of several frames; False where it cannot be read."""
    try:
        with opened(path) as file:
            return getattr(file, "n_frames", 1) > 1
    except Exception:  # a decoder fed with hostile bytes may raise anything
        return False


def opened(path: str | Path | BinaryIO) -> Image.Image:
    """An image whose size is known and which is not decoded yet, however large."""
    # Pillow's own limit is global, warns first and cannot be given by call; ours is checked before any decoding.
    with _bomb_limit, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path, formats=(*READABLE, *_heif(path)))
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _heif(path: str | Path | BinaryIO) -> tuple[str, ...]:
    """The name of HEIF's reader, where a file asks for it.

    Raises:
        StyleLoomError: the extra is not installed.
    """
    name = path if isinstance(path, str | Path) else getattr(path, "name", "")
    if not isinstance(name, str | Path) or Path(name).suffix.lower() not in HEIF:
        return ()
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise StyleLoomError(f"{name}: HEIC images need the extra: pip install 'styleloom[heic]'") from error
    register_heif_opener()
    return ("HEIF",)


def _to_rgb_array(file: Image.Image, as_bytes: bool = False, paper: float = 1.0) -> np.ndarray:
    """A float32 array [H, W, 3] in [0, 1] of an opened image; with ``as_bytes``, 8-bit numbers where it has only those."""
    profile = file.info.get("icc_profile")
    coding = _avif_coding(file) if file.format == "AVIF" and not profile else None
    ImageOps.exif_transpose(file, in_place=True)  # of a large image a copy counts
    image = file
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        gray = np.array(image, dtype=np.float32)
        if not np.isfinite(gray).all():
            raise ValueError("values that are no numbers")
        if image.mode == "F" and (gray.min(initial=0) < 0 or gray.max(initial=0) > 1):
            raise ValueError(f"floating-point values from {gray.min():g} to {gray.max():g}, which have to be 0 to 1")
        gray /= 1 if image.mode == "F" else 65535
        opaque = np.ones_like(gray)
        if (hidden := image.info.get("transparency")) is not None:  # one gray is see-through, as a PNG has it
            opaque = (np.array(image, dtype=np.float32) != float(hidden)).astype(np.float32)
        gray = (gray * opaque + paper * (1 - opaque)).clip(0, 1)
        return np.repeat(gray[..., None], 3, axis=2)
    image = _see_through(image)
    alpha = image.getchannel("A") if image.mode in TRANSPARENT else None
    color = image.convert({"LA": "L", "La": "L"}.get(image.mode, "RGB")) if alpha is not None else image
    color = _to_srgb(color, profile)
    if alpha is None and as_bytes and coding is None:
        return np.asarray(color)
    array = np.asarray(color, dtype=np.float32) / 255
    if coding is not None:
        array = to_srgb(array, *coding).astype(np.float32)
    if alpha is None:
        return array
    opacity = np.asarray(alpha, dtype=np.float32)[..., None] / 255
    return array * opacity + paper * (1 - opacity)


def _avif_coding(file: Image.Image) -> tuple[str, str] | None:
    """Primaries and transfer that an AVIF names by numbers (nclx) and Pillow passes over; None for sRGB's own."""
    stream: Any = getattr(file, "fp", None)
    if stream is None:
        return None
    position = stream.tell()
    stream.seek(0)
    head: bytes = stream.read(4096)
    stream.seek(position)
    start = head.find(b"colrnclx")
    if start < 0:
        return None
    numbers = np.frombuffer(head[start + 8 : start + 12], dtype=">u2")
    primaries = WIDE_PRIMARIES.get(int(numbers[0]), "sRGB")
    transfer = HDR_TRANSFERS.get(int(numbers[1]), "sRGB")
    return None if (primaries, transfer) == ("sRGB", "sRGB") else (primaries, transfer)


def transparency(image: Image.Image) -> Image.Image | None:
    """The opacity of an image, 255 where nothing shines through, or None where it has none."""
    if image.mode == "P" and "transparency" not in image.info:
        return None
    image = _see_through(image)
    return image.getchannel("A") if image.mode in TRANSPARENT else None


def _see_through(image: Image.Image) -> Image.Image:
    """RGBA of an image with a palette, or with a color that is see-through; others as they are."""
    if image.mode not in ("P", "PA") and not (image.mode in ("1", "L", "RGB") and "transparency" in image.info):
        return image
    hidden = image.info.get("transparency")
    if image.mode == "1" and isinstance(hidden, int):
        image = image.convert("L")
        image.info["transparency"] = 255 if hidden else 0
    return image.convert("RGBA")


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile and image.mode in ("RGB", "L", "CMYK"):
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None  # a broken profile is common and harmless: the numbers are taken as sRGB
        if converted is not None:
            return converted
    return image if image.mode == "RGB" else image.convert("RGB")


def check_writable(path: str | Path) -> Path:
    """Raise StyleLoomError unless an image can be written at ``path``; call it before hours of work.

    Raises:
        StyleLoomError: an unknown suffix, a missing or unwritable folder, or a folder in the file's place.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITABLE:
        known = ", ".join(WRITABLE)
        raise StyleLoomError(
            f"cannot write {path}: unknown image format {path.suffix!r}; use one of {known}, or end a folder's name in a slash"
        )
    if path.is_dir():
        raise StyleLoomError(f"cannot write {path}: a folder of that name is in the way")
    check_parent(path)
    if not os.access(path.parent, os.W_OK):
        raise StyleLoomError(f"cannot write {path}: no permission to write in {path.parent}")
    return path


def to_integers(image: Tensor, depth: int = 8) -> np.ndarray:
    """Rounded pixels of 8 or 16 bits: [1, 3, H, W] or [3, H, W] in [0, 1], or of bytes already -> [H, W, 3].

    Values outside are clipped.

    Raises:
        StyleLoomError: another shape, or values that are not finite.
    """
    single = image[0] if image.ndim == 4 and image.shape[0] == 1 else image
    if single.ndim != 3 or single.shape[0] != 3:
        raise StyleLoomError(f"an image of shape {list(image.shape)} cannot be written; wanted [1, 3, H, W]")
    if single.dtype == torch.uint8:
        pixels = single.permute(1, 2, 0).cpu().contiguous().numpy()
        return pixels if depth == 8 else pixels.astype(np.uint16) * 257
    if not torch.isfinite(single).all():
        raise StyleLoomError("the image holds values that are not finite numbers, so nothing was written")
    rounded = (single.detach().float().clamp(0, 1) * (2**depth - 1)).round().to(torch.uint8 if depth == 8 else torch.uint16)
    return rounded.permute(1, 2, 0).cpu().contiguous().numpy()


def to_uint8(image: Tensor) -> np.ndarray:
    """:func:`to_integers` of 8 bits."""
    return to_integers(image)


def write(image: Tensor, path: str | Path, *, quality: int = 95) -> None:
    """Write an image whole or not at all.

    Args:
        image: [1, 3, H, W] or [3, H, W] in [0, 1]; rounded to 8 bits.
        path: the suffix chooses among PNG, JPEG, WebP, TIFF and BMP.
        quality: 1 to 100, for JPEG and WebP.

    Raises:
        StyleLoomError: a path that cannot be written, a full disk, or a tensor that is no image.
    """
    path, made = check_writable(path), Image.fromarray(to_uint8(image))
    with replacing(path) as temporary:
        made.save(temporary, format=WRITABLE[path.suffix.lower()], quality=quality, subsampling=0)


def encoded(image: Tensor) -> bytes:
    """An image [1, 3, H, W] or [3, H, W] in [0, 1], or of bytes, as a PNG file's content."""
    file = BytesIO()
    Image.fromarray(to_uint8(image)).save(file, format="PNG", compress_level=6)
    return file.getvalue()


def write_gif(frames: Sequence[Tensor], path: str | Path, *, rate: float = 24, durations: Sequence[float] | None = None) -> None:
    """Write images [1, 3, H, W] in [0, 1], or of bytes, as an endless GIF of 256 colors a frame.

    Args:
        frames: images of one size.
        path: file to write.
        rate: frames a second.
        durations: seconds that each frame is shown, instead of a rate. A GIF counts hundredths of a second; the ends are
            rounded, not the durations, so that a long one keeps its pace.

    Raises:
        StyleLoomError: as :func:`write`, or no images.
    """
    path = Path(path)
    check_parent(path)
    if not frames:
        raise StyleLoomError(f"cannot write {path}: no images")
    first, *others = [Image.fromarray(to_uint8(frame)) for frame in frames]
    ends = np.cumsum(durations if durations is not None else [1 / rate] * len(frames))
    hundredths = np.maximum(2, np.diff(np.round(100 * ends).astype(int), prepend=0))  # browsers take shorter ones for ten
    with replacing(path) as temporary:
        milliseconds = [10 * int(each) for each in hundredths]
        first.save(temporary, format="GIF", save_all=True, append_images=others, duration=milliseconds, loop=0)


def as_images(image: ImageLike, name: str = "image") -> Tensor:
    """Whatever holds images as a tensor.

    Args:
        image: a file, a PIL image, an array [H, W] or [H, W, 3] (8 or 16 bits, or floats in [0, 1]), or a tensor [3, H, W] or
            [N, 3, H, W] (floats in [0, 1] or bytes).
        name: what errors call it.

    Returns:
        [N, 3, H, W] in [0, 1].

    Raises:
        StyleLoomError: anything else, numbers far outside of [0, 1], or none at all.
    """
    if isinstance(image, str | Path):
        return read(image)
    if isinstance(image, Image.Image):
        return torch.from_numpy(np.array(_to_rgb_array(image), dtype=np.float32)).permute(2, 0, 1)[None]
    if isinstance(image, np.ndarray):
        whole = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}.get(image.dtype)
        shaped = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
        if not shaped or (whole is None and image.dtype.kind != "f"):
            description = f"an array of {image.dtype} of shape {list(image.shape)}"
            raise StyleLoomError(f"{name} is {description}; wanted [H, W, 3] or [H, W]")
        array = image.astype(np.float32) / (whole or 1)
        image = torch.from_numpy(np.stack([array] * 3, 2) if array.ndim == 2 else array).permute(2, 0, 1)
    if not isinstance(image, Tensor):
        raise StyleLoomError(f"{name} is a {type(image).__name__}; wanted a file, a PIL image, an array or a tensor")
    tensor = floats(image[None] if image.ndim == 3 else image)
    if tensor.ndim != 4 or tensor.shape[1] != 3 or not tensor.is_floating_point() or not tensor.numel():
        raise StyleLoomError(f"{name} is {image.dtype} of shape {list(image.shape)}; wanted a float [1, 3, H, W] in [0, 1]")
    least, most = (float(value) for value in tensor.aminmax())
    if not (least > -0.5 and most < 1.5):  # what networks make may lie somewhat outside
        hint = "; divide by 255" if most > 2 else ""
        raise StyleLoomError(f"{name} has values from {least:.4g} to {most:.4g}; wanted 0 to 1{hint}")
    return tensor
