"""Write videos: images encoded with their own times, and the sound of the source beside them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import images
from .video_in import BT709, open_video, pyav

SOUND = {"webm": ("libopus", 48_000), "mp4": ("aac", 0), "mov": ("aac", 0), "matroska": ("aac", 0)}
"""Codec and rate that sound is encoded with, by container; 0: as it was."""
COPIED = {
    "mp4": {"aac", "mp3", "ac3", "eac3", "alac"},
    "mov": {"aac", "mp3", "ac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"},
    "matroska": {"aac", "mp3", "ac3", "eac3", "alac", "flac", "opus", "vorbis", "pcm_s16le", "pcm_s24le", "dts"},
    "webm": {"opus", "vorbis"},
}
"""Sound that goes into a container as it is. PyAV's own list holds codecs that the muxers refuse."""
PRIMING = 0.1  # s of sound before the beginning that a decoder may need
FRAME_DURATION = 1 << 8  # FFmpeg's flag without which the duration of a frame is not written


class VideoWriter:
    """A video being written: images are encoded, the packets of the sound are copied as their time comes."""

    def __init__(self, path: Path, container: str, reader: Any = None, source: str | Path = "", *, rate: int = 25) -> None:
        self.av = pyav()
        stream = reader.streams.video[0] if reader is not None else None
        self.rate = stream.average_rate or rate if stream is not None else rate
        self.time_base = stream.time_base if stream is not None else Fraction(1, rate)
        self.output = self.av.open(str(path), "w", format=container)
        codec = "libvpx-vp9" if container == "webm" else "libx264"
        options = {"crf": "30", "b:v": "0"} if container == "webm" else {"crf": "16", "preset": "faster"}
        self.video = self.output.add_stream(codec, rate=self.rate, options=options)
        self.video.pix_fmt = "yuv420p"
        coded = self.video.codec_context
        coded.time_base = self.time_base
        coded.flags |= FRAME_DURATION
        # Colors as of high-definition television, and said to be so: without a word, players guess.
        coded.colorspace = coded.color_primaries = coded.color_trc = coded.color_range = BT709
        self.sized = False
        self.count = 0
        self.pending: tuple[np.ndarray, int, int] | None = None  # frame, pts and duration
        self.complete = True  # whether the last image ends the video; then the rest of the sound follows
        self.audio_stream: Any = None
        self.next_packet: Any = None
        self.packets: Iterator[Any] = iter(())
        if reader is not None and reader.streams.audio:
            self._open_sound(reader.streams.audio[0], container, source)

    def _open_sound(self, track: Any, container: str, source: str | Path) -> None:
        self.second = open_video(source)  # the sound is read beside the images
        if track.codec_context.name in COPIED[container]:
            self.audio_stream = self.output.add_stream_from_template(track)
            self.packets = (each for each in self.second.demux(audio=0) if each.dts is not None and not _is_hidden(each))
        else:
            name, rate = SOUND[container]
            self.audio_stream = self.output.add_stream(name, rate=rate or track.rate)
            self.audio_stream.layout = "mono" if track.channels == 1 else "stereo"
            self.packets = self._encoded_sound()
        self.next_packet = next(self.packets, None)

    def __enter__(self) -> VideoWriter:
        return self

    def write(self, image: Tensor, pts: int | None, duration: int = 0) -> None:
        """Encode [1, 3, H, W] of bytes; a last odd row or column is left out, which the format asks for."""
        array = images.to_uint8(image[..., : image.shape[2] // 2 * 2, : image.shape[3] // 2 * 2])
        if not self.sized:
            self.video.height, self.video.width = array.shape[:2]
            self.sized = True
        if pts is None:
            pts = round(self.count / self.rate / self.time_base)
        self.count += 1
        if self.pending is not None:
            self._encode(pts - self.pending[1])
        self.pending = np.ascontiguousarray(array), pts, duration

    def _encode(self, duration: int) -> None:
        """Encode the frame that waits, for as long as it is shown."""
        assert self.pending is not None
        array, pts, _ = self.pending
        frame = self.av.VideoFrame.from_ndarray(array, format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
        frame.pts, frame.time_base = pts, self.time_base
        if duration > 0:
            frame.duration = duration
        self._play(float(pts * self.time_base))
        self.output.mux(self.video.encode(frame))

    def _encoded_sound(self) -> Iterator[Any]:
        """Packets of sound that is encoded again."""
        for frame in self.second.decode(audio=0):
            yield from (packet for packet in self.audio_stream.encode(frame) if packet.dts is not None)
        yield from (packet for packet in self.audio_stream.encode(None) if packet.dts is not None)

    def _play(self, until: float) -> None:
        while self.next_packet is not None and float(self.next_packet.dts * self.next_packet.time_base) <= until:
            self.next_packet.stream = self.audio_stream
            self.output.mux(self.next_packet)
            self.next_packet = next(self.packets, None)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                if self.pending is not None:
                    self._encode(self.pending[2])
                self.output.mux(self.video.encode(None))
                self._play(float("inf") if self.complete else -1)
        finally:
            self.output.close()
            if self.audio_stream is not None:
                self.second.close()


def _is_hidden(packet: Any) -> bool:
    """Whether an edit list hides a packet: other containers have no such list, and would play it.

    The packets that a decoder starts up with are hidden too, and stay.
    """
    return bool(packet.is_discard) and float(packet.pts * packet.time_base) < -PRIMING


class GifWriter:
    """An endless GIF being written, each frame shown as long as in the source."""

    def __init__(self, path: Path, rate: float, time_base: Fraction | None = None) -> None:
        self.path, self.rate, self.time_base = path, rate, time_base
        self.complete = True
        self.frames: list[Tensor] = []
        self.times: list[float] = []  # s, when each begins
        self.last_duration = 1 / rate

    def __enter__(self) -> GifWriter:
        return self

    def write(self, image: Tensor, pts: int | None, duration: int = 0) -> None:
        """Keep [1, 3, H, W] in [0, 1], or of bytes, as bytes."""
        timed = pts is not None and self.time_base is not None
        self.times.append(float(pts * self.time_base) if timed else len(self.frames) / self.rate)  # type: ignore[operator]
        if duration and self.time_base is not None:
            self.last_duration = float(duration * self.time_base)
        elif len(self.times) > 1:
            self.last_duration = self.times[-1] - self.times[-2]
        self.frames.append(torch.from_numpy(images.to_uint8(image)).permute(2, 0, 1)[None])

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self.frames:
            ends = [*self.times[1:], self.times[-1] + self.last_duration]
            images.write_gif(self.frames, self.path, durations=[b - a for a, b in zip(self.times, ends, strict=True)])
