"""Videos: frames in, painted frames out, steadied along the motion between them, and the sound as it was.

Needs PyAV (the extra ``video``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.files import check_parent, replacing
from styleloom.core.progress import Progress

from . import images
from .images import floats, like

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
SOUND = {"webm": ("libopus", 48_000), "mp4": ("aac", 0), "mov": ("aac", 0), "matroska": ("aac", 0)}
"""What sound of another kind becomes, by container, and its rate; 0: as it was."""
READABLE = {*FORMATS, ".avi", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv"}
GIF = ".gif"
BT709 = 1  # in each of FFmpeg's lists of matrices, primaries and transfers; and among ranges, the limited one
FLOW_SIZE = 320  # longer side at which motion is looked for
DOUBT = 0.06  # difference of brightness, along the motion, at which the motion is half trusted


def is_video(path: str | Path) -> bool:
    """Whether a file is a video: by its suffix, and a GIF by its frames."""
    suffix = Path(path).suffix.lower()
    return suffix in READABLE or (suffix == GIF and images.animated(path))


def check_video(path: str | Path) -> Path:
    """Raise StyleLoomError unless a video can be written at ``path``."""
    path = Path(path)
    if path.suffix.lower() not in (*FORMATS, GIF):
        raise StyleLoomError(
            f"cannot write {path}: unknown video format {path.suffix!r}; use one of {', '.join((*FORMATS, GIF))}"
        )
    check_parent(path)
    if path.is_dir():
        raise StyleLoomError(f"cannot write {path}: a folder of that name is in the way")
    return path


def repaint(
    source: str | Path, out: str | Path, paint: Callable[[Tensor], Tensor], *, smooth: float = 0.7, batch: int = 8
) -> Iterator[Progress]:
    """Paint a video frame by frame, with its timing and its sound; a generator of the progress, frame by frame.

    A loop that is left early, or interrupted, leaves the part that was painted as a whole video.

    Args:
        source: video to read.
        out: video to write: .mp4, .mov and .mkv in H.264, .webm in VP9; .gif has 256 colors a frame and no sound.
        paint: makes [N, 3, H', W'] of frames [N, 3, H, W], both of 8-bit numbers.
        smooth: how much of each painted frame is the one before it, moved along, where the motion between the frames
            can be trusted; 0: each frame by itself.
        batch: frames painted at once.

    Yields:
        :class:`~styleloom.loops.descend.Progress` after each frame.

    Raises:
        StyleLoomError: a source that is no video, a target that cannot be written, or PyAV is not installed.
    """
    if not 0 <= smooth < 1:
        raise StyleLoomError(f"smooth is {smooth}; it must be from 0 to below 1")
    out = check_video(out)
    av = pyav()
    began, done = time.perf_counter(), 0
    stopped: BaseException | None = None
    with ExitStack() as stack:
        reader = stack.enter_context(_opened(av, source))
        frames = _frames(av, reader, source)
        beside = stack.enter_context(replacing(out))
        gif = out.suffix.lower() == GIF
        rate = round(reader.streams.video[0].average_rate or 24)
        kind: Any = _GifWriter(beside, rate) if gif else _Writer(av, beside, FORMATS[out.suffix.lower()], reader, source)
        writer = stack.enter_context(kind)
        steady = Steady(smooth)
        total = reader.streams.video[0].frames
        try:
            for several in _chunks(frames, batch):
                painted = paint(torch.cat([frame for frame, _ in several]))
                for (frame, when), image in zip(several, painted.split(1), strict=True):
                    writer.write(steady(frame, image), when)
                    done += 1
                    yield Progress(done, max(total, done), {}, time.perf_counter() - began)
        except (GeneratorExit, KeyboardInterrupt) as error:
            stopped = error
        if not done:
            raise stopped or StyleLoomError(f"{source} holds no frame that can be read")
    if stopped is not None:
        raise stopped


def write_video(frames: Iterable[Tensor], out: str | Path, *, rate: int = 24) -> Iterator[Progress]:
    """Write images [1, 3, H, W] in [0, 1], all of one size, as a video; a generator of the progress, frame by frame.

    Args:
        frames: the images, taken one after the other.
        out: .mp4, .mov and .mkv in H.264, .webm in VP9; .gif needs no PyAV, has 256 colors a frame and counts time in
            hundredths of a second.
        rate: frames a second.

    Yields:
        :class:`~styleloom.loops.descend.Progress` after each frame.

    Raises:
        StyleLoomError: a target that cannot be written, or PyAV is not installed.
    """
    if not 1 <= rate <= 100:
        raise StyleLoomError(f"rate is {rate}; it must be from 1 to 100 frames a second")
    began = time.perf_counter()
    out = check_video(out)
    gif = out.suffix.lower() == GIF
    with (
        replacing(out) as beside,
        _GifWriter(beside, rate) if gif else _Writer(pyav(), beside, FORMATS[out.suffix.lower()], rate=rate) as writer,
    ):
        for count, frame in enumerate(frames, 1):
            writer.write(frame, None)
            yield Progress(count, count, {}, time.perf_counter() - began)


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


def _opened(av: Any, source: str | Path) -> Any:
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


def _frames(av: Any, reader: Any, source: str | Path) -> Iterator[tuple[Tensor, int | None]]:
    """Upright frames [1, 3, H, W] of bytes, of square pixels, and when they are shown, in the stream's time base."""
    reader.streams.video[0].thread_type = "AUTO"
    decoder = reader.decode(video=0)
    while True:
        try:
            frame = next(decoder, None)
        except av.FFmpegError as error:
            raise StyleLoomError(f"{source} is damaged ({error.strerror}); repair it first") from error
        if frame is None:
            return
        pixel = reader.streams.video[0].sample_aspect_ratio or 1  # of a stored pixel, width to height, before it is turned
        size = dict(width=round(frame.width * pixel)) if pixel != 1 else {}
        array = np.rot90(frame.to_ndarray(format="rgb24", **size), round(frame.rotation / 90))
        yield torch.from_numpy(array.copy()).permute(2, 0, 1)[None], frame.pts


def _chunks(frames: Iterable[tuple[Tensor, int | None]], size: int) -> Iterator[list[tuple[Tensor, int | None]]]:
    chunk: list[tuple[Tensor, int | None]] = []
    for each in frames:
        chunk.append(each)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


class _Writer:
    """A video being written: images are encoded, the packets of the sound are copied as their time comes."""

    def __init__(
        self, av: Any, path: Path, container: str, reader: Any = None, source: str | Path = "", *, rate: int = 25
    ) -> None:
        self.av = av
        stream = reader.streams.video[0] if reader is not None else None
        self.rate = stream.average_rate or rate if stream is not None else rate
        self.time_base = stream.time_base if stream is not None else Fraction(1, rate)
        self.frames = stream.frames if stream is not None else 0
        self.output = av.open(str(path), "w", format=container)
        codec = "libvpx-vp9" if container == "webm" else "libx264"
        options = {"crf": "30", "b:v": "0"} if container == "webm" else {"crf": "17", "preset": "medium"}
        self.video = self.output.add_stream(codec, rate=self.rate, options=options)
        self.video.pix_fmt = "yuv420p"
        coded = self.video.codec_context
        coded.time_base = self.time_base
        # Colors as of high-definition television, and said to be so: without a word, players guess.
        coded.colorspace = coded.color_primaries = coded.color_trc = coded.color_range = BT709
        self.sized = False
        self.count = 0
        self.heard: Any = None
        self.waiting: Any = None
        self.sound: Iterator[Any] = iter(())
        if reader is not None and reader.streams.audio:
            track = reader.streams.audio[0]
            self.second = _opened(av, source)  # the sound is read beside the images
            if track.codec_context.name in self.output.supported_codecs:
                self.heard = self.output.add_stream_from_template(track)
                self.sound = (packet for packet in self.second.demux(audio=0) if packet.dts is not None)
            else:
                name, rate = SOUND[container]
                self.heard = self.output.add_stream(name, rate=rate or track.rate)
                self.heard.layout = "mono" if track.channels == 1 else "stereo"
                self.sound = self._encoded_anew()
            self.waiting = next(self.sound, None)

    def __enter__(self) -> _Writer:
        return self

    def write(self, image: Tensor, when: int | None) -> None:
        """Encode [1, 3, H, W] of bytes; a last odd row or column is left out, which the format asks for."""
        array = images.to_uint8(image[..., : image.shape[2] // 2 * 2, : image.shape[3] // 2 * 2])
        if not self.sized:
            self.video.height, self.video.width = array.shape[:2]
            self.sized = True
        frame = self.av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
        if when is None:
            when = round(self.count / self.rate / self.time_base)
        frame.pts, frame.time_base = when, self.time_base
        self.count += 1
        self._play(float(when * self.time_base))
        self.output.mux(self.video.encode(frame))

    def _encoded_anew(self) -> Iterator[Any]:
        """Packets of a sound of a kind that does not go into the container."""
        for frame in self.second.decode(audio=0):
            yield from (packet for packet in self.heard.encode(frame) if packet.dts is not None)
        yield from (packet for packet in self.heard.encode(None) if packet.dts is not None)

    def _play(self, until: float) -> None:
        while self.waiting is not None and float(self.waiting.dts * self.waiting.time_base) <= until:
            self.waiting.stream = self.heard
            self.output.mux(self.waiting)
            self.waiting = next(self.sound, None)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.output.mux(self.video.encode(None))
                self._play(float("inf") if self.frames in (0, self.count) else -1)
        finally:
            self.output.close()
            if self.heard is not None:
                self.second.close()


class _GifWriter:
    """An endless GIF being written, of equally long frames."""

    def __init__(self, path: Path, rate: int) -> None:
        self.path, self.rate = path, rate
        self.frames: list[Tensor] = []

    def __enter__(self) -> _GifWriter:
        return self

    def write(self, image: Tensor, when: int | None) -> None:
        """Keep [1, 3, H, W] in [0, 1], or of bytes, as bytes."""
        self.frames.append(torch.from_numpy(images.to_uint8(image)).permute(2, 0, 1)[None])

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            images.write_gif(self.frames, self.path, rate=self.rate)


class Steady:
    """Mixes each painted frame with the one before it, moved along the optical flow, where that is to be trusted."""

    def __init__(self, strength: float) -> None:
        self.strength = strength
        self.before: tuple[Tensor, Tensor] | None = None

    def __call__(self, frame: Tensor, painted: Tensor) -> Tensor:
        """Frame [1, 3, H, W] and what was painted of it [1, 3, H', W'], of bytes -> the same, steadied."""
        if not self.strength or min(frame.shape[-2:]) < 32:
            return painted
        small = images.rgb_to_yiq(images.resize_to_fit(floats(frame), min(FLOW_SIZE, max(frame.shape[-2:]))))[:, :1]
        result = floats(painted)
        if self.before is not None:
            last, shown = self.before
            flow = motion(small, last)
            trust = torch.exp(-np.log(2) * ((moved(last, flow) - small) / DOUBT).square())
            size = tuple(result.shape[-2:])
            along = moved(shown, F.interpolate(flow, size, mode="bilinear"))
            share = self.strength * F.interpolate(trust, size, mode="bilinear")
            result = torch.lerp(result, along, share)
        self.before = small, result
        return like(result, painted)


def motion(frame: Tensor, before: Tensor) -> Tensor:
    """Where each pixel of a frame was in the one before: gray [1, 1, H, W] in [0, 1] each -> flow [1, 2, H, W].

    The flow is (x, y) as shares of width and height. TV-L1: Zach, Pock and Bischof, "A Duality Based Approach for
    Realtime TV-L1 Optical Flow", 2007, of scikit-image.
    """
    from skimage.registration import optical_flow_tvl1

    rows, columns = optical_flow_tvl1(frame[0, 0].cpu().numpy(), before[0, 0].cpu().numpy(), num_warp=3, num_iter=5)
    height, width = frame.shape[-2:]
    return torch.from_numpy(np.stack([columns / width, rows / height]).astype(np.float32))[None].to(frame.device)


def moved(image: Tensor, flow: Tensor) -> Tensor:
    """The image [1, C, H, W] that a flow [1, 2, H, W] leads to: each pixel taken from where it was; borders are repeated."""
    height, width = image.shape[-2:]
    y = (torch.arange(height, device=image.device) + 0.5) / height
    x = (torch.arange(width, device=image.device) + 0.5) / width
    grid = torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]), -1)[None] + flow.permute(0, 2, 3, 1)
    return F.grid_sample(image, 2 * grid - 1, mode="bicubic", padding_mode="border", align_corners=False)
