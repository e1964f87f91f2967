"""Repaint and write videos: decoding, painting, steadying and encoding overlap; the sound stays as it was.

Needs the extra ``video``.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.files import check_parent, replacing
from styleloom.core.progress import Progress
from styleloom.core.threads import mapped, use_one_thread

from . import images
from .flow import Steady
from .video_in import VideoFrame, frames_of, open_video, pyav
from .video_out import GifWriter, VideoWriter

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
READABLE = {*FORMATS, ".avi", ".mpg", ".mpeg", ".wmv", ".flv", ".ogv"}
GIF = ".gif"
SLOWEST = 0.02  # frames a second, of a slideshow
T = TypeVar("T")
Spread = Callable[[Callable[[Tensor], Tensor], Iterable[Tensor]], Iterator[Tensor]]
"""Applies a function to images [N, 3, H, W] one after the other, like ``map``, wherever it likes."""


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
    source: str | Path,
    out: str | Path,
    paint: Callable[[Tensor], Tensor],
    *,
    smooth: float = 0.7,
    batch: int = 8,
    parallel: bool = False,
    spread: Spread | None = None,
) -> Iterator[Progress]:
    """Paint a video frame by frame, with its timing and its sound; a generator of the progress, frame by frame.

    A loop that is left early, or interrupted, leaves the part that was painted as a whole video.

    Args:
        source: video to read. HDR is tone-mapped, see :func:`~styleloom.data.video_in.notes_on`.
        out: video to write: .mp4, .mov and .mkv in H.264, .webm in VP9; .gif has 256 colors a frame and no sound.
        paint: makes [N, 3, H', W'] of frames [N, 3, H, W], both of 8-bit numbers.
        smooth: how much of each painted frame is the one before it, moved along, where the motion between the frames
            can be trusted; 0: each frame by itself.
        batch: frames that ``paint`` is given at once.
        parallel: call ``paint`` for several frames at the same time, each in a thread of its own, which pays on a CPU.
        spread: applies ``paint`` to frames elsewhere, in their order. Decoding, steadying and encoding stay here, so that there
            are no seams.

    Yields:
        :class:`~styleloom.core.progress.Progress` after each frame.

    Raises:
        StyleLoomError: a source that is no video, a target that cannot be written, or a library that is not installed.
    """
    if not 0 <= smooth < 1:
        raise StyleLoomError(f"smooth is {smooth}; it must be from 0 to below 1")
    out = check_video(out)
    pyav()
    began, done = time.perf_counter(), 0
    stopped: BaseException | None = None
    with ExitStack() as stack:
        reader = stack.enter_context(open_video(source))
        temporary = stack.enter_context(replacing(out))
        stream = reader.streams.video[0]
        total = stream.frames
        writer: VideoWriter | GifWriter
        if out.suffix.lower() == GIF:
            writer = GifWriter(temporary, max(SLOWEST, float(stream.average_rate or 24)), stream.time_base)
        else:
            writer = VideoWriter(temporary, FORMATS[out.suffix.lower()], reader, source)
        stack.enter_context(writer)
        # Decoding is ahead of painting, and steadying and encoding follow behind, each in its own thread.
        frames = stack.enter_context(_Ahead(frames_of(reader, source), batch))
        behind = stack.enter_context(_Behind(_steadied(writer, smooth), batch))

        def painted(chunk: list[VideoFrame]) -> list[tuple[VideoFrame, Tensor]]:
            return list(zip(chunk, paint(torch.cat([frame.image for frame in chunk])).split(1), strict=True))

        chunks = _chunks(frames, 1 if parallel or spread else batch)
        parts: Iterator[list[tuple[VideoFrame, Tensor]]]
        if spread is not None:
            parts = stack.enter_context(closing(_painted_elsewhere(spread, paint, chunks)))
        else:
            parts = stack.enter_context(closing(mapped(painted, chunks))) if parallel else map(painted, chunks)
        try:
            for part in parts:
                for frame, image in part:
                    behind.put((frame, image))
                    done += 1
                    yield Progress(done, max(total, done), {}, time.perf_counter() - began)
        except (GeneratorExit, KeyboardInterrupt) as error:
            stopped = error
            writer.complete = False
        behind.finish()
        if not done:
            raise stopped or StyleLoomError(f"{source} holds no frame that can be read")
    if stopped is not None:
        raise stopped


def _painted_elsewhere(
    spread: Spread, paint: Callable[[Tensor], Tensor], chunks: Iterable[list[VideoFrame]]
) -> Generator[list[tuple[VideoFrame, Tensor]], None, None]:
    """Frames with what was painted of them elsewhere, in their order."""
    sent: deque[list[VideoFrame]] = deque()

    def images() -> Iterator[Tensor]:
        for chunk in chunks:
            sent.append(chunk)
            yield torch.cat([frame.image for frame in chunk])

    for result in spread(paint, images()):
        yield list(zip(sent.popleft(), result.split(1), strict=True))


def _steadied(writer: VideoWriter | GifWriter, smooth: float) -> Callable[[tuple[VideoFrame, Tensor]], None]:
    """A function that steadies and writes frames in their order."""
    steady = Steady(smooth)

    def write(item: tuple[VideoFrame, Tensor]) -> None:
        frame, painted = item
        writer.write(steady(frame.image, painted.cpu()), frame.pts, frame.duration)

    return write


def write_video(frames: Iterable[Tensor], out: str | Path, *, rate: int = 24) -> Iterator[Progress]:
    """Write images [1, 3, H, W] in [0, 1], all of one size, as a video; a generator of the progress, frame by frame.

    Args:
        frames: the images, taken one after the other.
        out: .mp4, .mov and .mkv in H.264, .webm in VP9; .gif needs no PyAV, has 256 colors a frame and counts time in
            hundredths of a second.
        rate: frames a second.

    Yields:
        :class:`~styleloom.core.progress.Progress` after each frame.

    Raises:
        StyleLoomError: a target that cannot be written, or PyAV is not installed.
    """
    if not 1 <= rate <= 100:
        raise StyleLoomError(f"rate is {rate}; it must be from 1 to 100 frames a second")
    began = time.perf_counter()
    out = check_video(out)
    gif = out.suffix.lower() == GIF
    with (
        replacing(out) as temporary,
        GifWriter(temporary, rate) if gif else VideoWriter(temporary, FORMATS[out.suffix.lower()], rate=rate) as writer,
    ):
        for count, frame in enumerate(frames, 1):
            writer.write(frame, None)
            yield Progress(count, count, {}, time.perf_counter() - began)


def _chunks(frames: Iterable[T], size: int) -> Iterator[list[T]]:
    chunk: list[T] = []
    for each in frames:
        chunk.append(each)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


class _Ahead(Iterator[T]):
    """An iterator that is read ahead by a thread of its own, so many items at most; its errors are raised here."""

    def __init__(self, items: Iterator[T], room: int) -> None:
        self.queue: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(room)
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._read, args=(items,), daemon=True)

    def _read(self, items: Iterator[T]) -> None:
        try:
            for item in items:
                self._offer((item, None))
                if self.stopped.is_set():
                    return
            self._offer((None, StopIteration()))
        except BaseException as error:
            self._offer((None, error))

    def _offer(self, entry: tuple[T | None, BaseException | None]) -> None:
        while not self.stopped.is_set():
            try:
                return self.queue.put(entry, timeout=0.1)
            except queue.Full:
                continue

    def __next__(self) -> T:
        item, error = self.queue.get()
        if error is not None:
            raise error
        return item  # type: ignore[return-value]

    def __enter__(self) -> _Ahead[T]:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.thread.join()


class _Behind(Generic[T]):
    """Work on items in their order by a thread of its own, so many waiting at most; its errors are raised by the next call."""

    def __init__(self, work: Callable[[T], None], room: int) -> None:
        self.queue: queue.Queue[T | None] = queue.Queue(room)
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, args=(work,), daemon=True)

    def _run(self, work: Callable[[T], None]) -> None:
        use_one_thread()
        while (item := self.queue.get()) is not None:
            if self.error is None:
                try:
                    work(item)
                except BaseException as error:
                    self.error = error

    def put(self, item: T) -> None:
        """Hand an item over."""
        self._raise()
        self.queue.put(item)

    def finish(self) -> None:
        """Wait until all items are done."""
        self._stop()
        self._raise()

    def _raise(self) -> None:
        if self.error is not None:
            raise self.error

    def _stop(self) -> None:
        if self.thread.is_alive():
            self.queue.put(None)
            self.thread.join()

    def __enter__(self) -> _Behind[T]:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
