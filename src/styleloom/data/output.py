"""Written images: quality, depth, and metadata of the photograph's file."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps, PngImagePlugin
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.files import check_parent, replacing
from styleloom.core.settings import Checked, OneOf, Range

from . import images

ORIENTATION, SOFTWARE = 274, 305  # EXIF tags
DEEP = ("PNG", "TIFF")
CLEAR = ("PNG", "TIFF", "WEBP")
PROFILES = ("none", "srgb", "keep")


@dataclass(frozen=True)
class Output(Checked):
    """Format of written images.

    Args:
        quality: quality of JPEG and WebP.
        depth: bits of each color, 8 or 16; 16 for PNG and TIFF.
        keep_exif: copy the photograph's EXIF data (camera, date, place). Its rotation is applied, not copied.
        keep_transparency: copy the photograph's transparency, for PNG, TIFF and WebP; else it is laid over white.
        profile: color profile: "none" (sRGB, as readers assume), "srgb" (and say so in the file) or "keep" (convert back to the
            photograph's own profile, at 8 bits).
        suffix: suffix of the images of a folder: png, jpg, webp, tiff or bmp.
    """

    quality: Annotated[int, Range(1, 100)] = 95
    depth: int = 8
    keep_exif: bool = False
    keep_transparency: bool = False
    profile: Annotated[str, OneOf(PROFILES)] = "none"
    suffix: Annotated[str, OneOf(name[1:] for name in images.WRITABLE)] = "png"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depth not in (8, 16):
            raise StyleLoomError(f"depth is {self.depth}; it must be 8 or 16")
        if self.depth == 16 and self.profile == "keep":
            raise StyleLoomError("profile keep converts images of 8 bits; use depth 8, or profile srgb")

    def check(self, path: Path, *, arrays: bool = False) -> None:
        """Raise StyleLoomError unless an image can be written at ``path``; ``arrays`` allows ``.npy``."""
        if arrays and path.suffix.lower() == ARRAY:
            check_parent(path)
            return
        images.check_writable(path)
        self.check_format(path)

    def check_format(self, path: Path) -> None:
        """Raise StyleLoomError unless the format that a path's suffix asks for has what is wanted."""
        kind = images.WRITABLE[path.suffix.lower()]
        for wanted, kinds, what in ((self.depth == 16, DEEP, "16 bits"), (self.keep_transparency, CLEAR, "transparency")):
            if wanted and kind not in kinds:
                raise StyleLoomError(f"{path.name}: {kind} has no {what}; write {' or '.join(kinds)}")
        if self.keep_exif and (kind == "BMP" or (kind == "TIFF" and self.depth == 16)):
            raise StyleLoomError(f"{path.name}: no EXIF data in {kind} of {self.depth} bits; write PNG, JPEG or WebP")


DEFAULT = Output()


def write(image: Tensor, path: Path, output: Output = DEFAULT, *, source: str | Path | None = None, software: str = "") -> None:
    """Write an image whole or not at all.

    Args:
        image: [1, 3, H, W] in [0, 1], or of bytes.
        path: the suffix chooses the format.
        output: see :class:`Output`.
        source: the photograph's file, whose EXIF data, transparency and profile may go along.
        software: noted in the file, except BMP.

    Raises:
        StyleLoomError: as :func:`~styleloom.data.images.write`, or what the format does not have.
    """
    output.check(path)
    kind = images.WRITABLE[path.suffix.lower()]
    exif, own_profile, alpha = _of_source(source, output, (image.shape[-2], image.shape[-1]))
    if software:
        exif[SOFTWARE] = software
    deep = output.depth == 16
    array = images.to_integers(image, output.depth)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    profile = None if output.profile == "none" else srgb.tobytes()
    if own_profile is not None:
        target = ImageCms.ImageCmsProfile(BytesIO(own_profile))
        converted = ImageCms.profileToProfile(Image.fromarray(array), srgb, target, outputMode="RGB")
        array, profile = np.array(converted), own_profile
    if alpha is not None:
        array = np.concatenate([array, alpha.astype(array.dtype) * (257 if deep else 1)], 2)
    with replacing(path) as temporary:
        if not deep:
            _write_8(temporary, array, kind, output.quality, exif, profile, software)
        elif kind == "PNG":
            temporary.write_bytes(_png_16(array, exif.tobytes() if output.keep_exif else b"", profile, software))
        else:
            import tifffile

            extra: dict[str, Any] = dict(extrasamples=["unassalpha"]) if alpha is not None else {}
            tifffile.imwrite(
                temporary, array, photometric="rgb", compression="zlib", iccprofile=profile, software=software or None, **extra
            )


ARRAY = ".npy"


def write_channels(
    image: Tensor, path: Path, output: Output = DEFAULT, *, source: str | Path | None = None, software: str = ""
) -> None:
    """Write an image of any number of channels: gray and RGB with or without opacity as such, others as TIFF or ``.npy``.

    Args:
        image: [1, C, H, W] in [0, 1].
        path: the suffix chooses the format; ``.npy`` holds float32 [H, W, C], or [H, W] of one channel.
        output, source, software: see :func:`write`.

    Raises:
        StyleLoomError: as :func:`write`, or a format without that many channels.
    """
    suffix, channels = path.suffix.lower(), image.shape[1]
    if suffix != ARRAY and channels == 3:
        return write(image, path, output, source=source, software=software)
    if not torch.isfinite(image).all():
        raise StyleLoomError("the image holds values that are not finite numbers, so nothing was written")
    pixels = image[0].detach().float().clamp(0, 1).permute(1, 2, 0).cpu().numpy()  # [H, W, C]
    # Arrays are written as they are.
    if suffix == ARRAY:
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, pixels[..., 0] if channels == 1 else pixels)
        return None
    # Image files hold so many channels and bits.
    output.check(path)
    kind = images.WRITABLE[suffix]
    if channels > 4 and kind != "TIFF":
        raise StyleLoomError(f"{path.name}: {kind} has no {channels} channels; write TIFF or .npy")
    if channels in (2, 4) and kind not in CLEAR:
        raise StyleLoomError(f"{path.name}: {kind} has no opacity, the last of {channels} channels; write {' or '.join(CLEAR)}")
    # Round to whole numbers, and write.
    whole = np.round(pixels * (2**output.depth - 1)).astype(np.uint16 if output.depth == 16 else np.uint8)
    with replacing(path) as temporary:
        if output.depth == 8 and channels <= 4:
            array = whole[..., 0] if channels == 1 else whole
            exif = Image.Exif()
            if software:
                exif[SOFTWARE] = software
            _write_8(temporary, array, kind, output.quality, exif, None, software)
        elif kind == "PNG" and channels == 1:
            Image.fromarray(whole[..., 0]).save(temporary, format="PNG")
        elif kind == "PNG":
            if channels == 2:
                raise StyleLoomError(f"{path.name}: gray with opacity is written with 8 bits, or as TIFF")
            temporary.write_bytes(_png_16(whole, b"", None, software))
        else:
            import tifffile

            photometric = "rgb" if channels == 4 else "minisblack"
            tifffile.imwrite(
                temporary,
                whole[..., 0] if channels == 1 else whole,
                photometric=photometric,
                planarconfig="contig" if channels > 1 else None,
                compression="zlib",
                software=software or None,
            )
    return None


def _write_8(
    path: Path, array: np.ndarray, kind: str, quality: int, exif: Image.Exif, profile: bytes | None, software: str
) -> None:
    options: dict[str, Any] = dict(quality=quality, subsampling=0) | (dict(icc_profile=profile) if profile else {})
    if kind == "PNG":
        text = PngImagePlugin.PngInfo()
        if software:
            text.add_text("Software", software)
            del exif[SOFTWARE]
        options["pnginfo"] = text
    if len(exif) and kind != "BMP":
        options["exif"] = exif
    Image.fromarray(array).save(path, format=kind, **options)


def _of_source(
    source: str | Path | None, output: Output, size: tuple[int, int]
) -> tuple[Image.Exif, bytes | None, np.ndarray | None]:
    """EXIF data, color profile and transparency [H, W, 1] of a photograph's file, as far as they are wanted and there."""
    exif, profile, alpha = Image.Exif(), None, None
    wanted = output.keep_exif or output.keep_transparency or output.profile == "keep"
    if not wanted or source is None or not Path(source).is_file():
        return exif, profile, alpha
    with images.opened(source) as file:
        if output.keep_exif:
            exif = file.getexif()
            exif.pop(ORIENTATION, None)
        if output.profile == "keep" and file.mode == "RGB":
            profile = file.info.get("icc_profile")
        if output.keep_transparency and (layer := images.transparency(ImageOps.exif_transpose(file))) is not None:
            resized = layer.resize((size[1], size[0]), Image.Resampling.LANCZOS)
            alpha = np.asarray(resized)[..., None]
    return exif, profile, alpha


def _png_16(array: np.ndarray, exif: bytes, profile: bytes | None, software: str) -> bytes:
    """A PNG of 16 bits a color, which Pillow does not write: [H, W, 3 or 4] (PNG specification, third edition)."""
    height, width, channels = array.shape
    rows = array.astype(">u2").tobytes()
    stride = 2 * channels * width
    above = np.zeros(stride, dtype=np.uint8)
    lines = bytearray()
    for row in np.frombuffer(rows, dtype=np.uint8).reshape(height, stride):
        lines += b"\x02" + (row - above).tobytes()  # filter 2: what changes from the row above
        above = row

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 16, 6 if channels == 4 else 2, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", head)]
    if profile:
        parts.append(chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)))
    if software:
        parts.append(chunk(b"tEXt", b"Software\0" + software.encode("latin-1", "replace")))
    if exif:
        parts.append(chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    return b"".join([*parts, chunk(b"IDAT", zlib.compress(bytes(lines), 6)), chunk(b"IEND", b"")])
