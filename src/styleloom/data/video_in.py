"""Read videos: upright frames of square pixels in sRGB, whatever their matrix, range, transfer and orientation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError

from . import images
from .color_spaces import HDR_TRANSFERS, to_srgb
from .images import floats

UNSPECIFIED = (0, 2)  # FFmpeg's numbers of a matrix that is not named
BT709, BT601, BT2020 = 1, 6, 9
HD = 720  # rows from which a video that names no matrix is BT.709 to players


def pyav() -> Any:
    """The library that videos need.

    Raises:
        StyleLoomError: it is not there.
    """
    try:
        import av
    except ImportError as error:
        raise StyleLoomError("videos need PyAV: pip install 'styleloom[video]'") from error
    return av


@dataclass(frozen=True)
class VideoFrame:
    """A decoded frame.

    Attributes:
        image: [1, 3, H, W] of bytes.
        pts: time at which it is shown, in the stream's time base, from the first picture on.
        duration: time until the next, where the file says so; else 0.
    """

    image: Tensor
    pts: int | None
    duration: int


def open_video(source: str | Path) -> Any:
    """Open a video that has images.

    Raises:
        StyleLoomError: no such file, or none that can be read.
    """
    av = pyav()
    if not Path(source).is_file():
        raise StyleLoomError(f"no such video: {source}")
    try:
        reader = av.open(str(source))
    except av.FFmpegError as error:
        raise StyleLoomError(f"cannot read {source}: no video that can be read ({error.strerror})") from error
    if not reader.streams.video:
        reader.close()
        raise StyleLoomError(f"{source} has no images in it")
    return reader


def notes_on(source: str | Path) -> list[str]:
    """Remarks for users on how a video is read."""
    with open_video(source) as reader:
        transfer = HDR_TRANSFERS.get(int(reader.streams.video[0].codec_context.color_trc or 0))
    return [f"HDR ({transfer}) is tone-mapped to SDR"] if transfer else []


def frames_of(reader: Any, source: str | Path) -> Iterator[VideoFrame]:
    """The frames of an opened video, all of the first one's size.

    Raises:
        StyleLoomError: the video is damaged.
    """
    av = pyav()
    stream = reader.streams.video[0]
    stream.thread_type = "AUTO"
    size: tuple[int, ...] | None = None
    packets = reader.demux(video=0)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            # An empty packet repeats the frame before (Theora), which then is shown for longer; the last one, without a
            # time, empties the decoder.
            decoded = [] if packet.size == 0 and packet.dts is not None else packet.decode()
        except av.FFmpegError as error:
            raise StyleLoomError(f"{source} is damaged ({error.strerror}); repair it first") from error
        for frame in decoded:
            image = torch.from_numpy(_upright(_rgb(frame, stream), frame).copy()).permute(2, 0, 1)[None]
            size = size or tuple(image.shape[-2:])
            if tuple(image.shape[-2:]) != size:  # as browsers record a window that is resized
                image = (images.resize(floats(image), size) * 255).round().to(torch.uint8)
            yield VideoFrame(image, frame.pts, int(frame.duration or 0))


def _rgb(frame: Any, stream: Any) -> np.ndarray:
    """A frame as bytes [H, W, 3] in sRGB, of square pixels."""
    pixel = stream.sample_aspect_ratio or Fraction(1)  # of a stored pixel, width to height, before it is turned
    width = round(frame.width * pixel)
    transfer = HDR_TRANSFERS.get(int(frame.color_trc))
    if transfer:
        return _tone_mapped(frame, width, transfer)
    matrix = int(frame.colorspace)
    if matrix in UNSPECIFIED:
        matrix = BT709 if frame.height >= HD else BT601
    array: np.ndarray = frame.to_ndarray(format="rgb24", width=width, src_colorspace=_SWSCALE.get(matrix, "ITU601"))
    return array


_SWSCALE = {BT709: "ITU709", 4: "FCC", 5: "ITU601", BT601: "SMPTE170M", 7: "SMPTE240M"}


def _upright(array: np.ndarray, frame: Any) -> np.ndarray:
    """An image [H, W, 3] turned and mirrored as the display matrix of its frame asks.

    The matrix maps (x, y) to (a x + c y, b x + d y), in 16.16 numbers; ``frame.rotation`` loses its mirrors.
    """
    data = next((bytes(each) for each in frame.side_data if each.type.name == "DISPLAYMATRIX"), b"")
    if len(data) < 36:
        return array
    a, b, _, c, d = (int(value) for value in np.frombuffer(data, dtype="<i4")[:5])
    if abs(a) + abs(d) < abs(b) + abs(c):  # rows become columns
        array = array.transpose(1, 0, 2)
        a, d = c, b
    if a < 0:
        array = array[:, ::-1]
    return array[::-1] if d < 0 else array


def _tone_mapped(frame: Any, width: int, transfer: str) -> np.ndarray:
    """An HDR frame (ITU-R BT.2100) as bytes in sRGB [H, W, 3]: diffuse white stays white, brighter light is compressed."""
    planes = frame.to_ndarray(format="yuv444p16le", width=width).astype(np.float32) / 65535  # [H, W, 3]
    full = int(frame.color_range) == 2
    offset, scale = ((0, 128, 128), (255, 255, 255)) if full else ((16, 128, 128), (219, 224, 224))
    y, blue, red = np.moveaxis((planes * 255 - np.array(offset, np.float32)) / np.array(scale, np.float32), 2, 0)
    r, b = y + 1.4746 * red, y + 1.8814 * blue  # BT.2020, non-constant luminance
    g = (y - 0.2627 * r - 0.0593 * b) / 0.678
    coded = np.stack([r, g, b], -1).clip(0, 1)
    return (to_srgb(coded, "BT.2020", transfer) * 255).round().astype(np.uint8)
