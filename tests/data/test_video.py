"""Videos: what goes through unchanged, the motion that is found, flicker that is taken away, and errors."""

import struct
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.data import color, images, video
from styleloom.data import flow as flow_of
from styleloom.data.images import floats

av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'styleloom[video]'")
WIDTH, HEIGHT, STEP = 96, 64, 2


def scene() -> Tensor:
    """A smooth colorful image, wider than a frame, [1, 3, 64, 160]."""
    torch.manual_seed(3)
    return 0.2 + 0.6 * images.resize(torch.rand(1, 3, 6, 15), (HEIGHT, 160))


def frames(count: int) -> list[Tensor]:
    """A window that moves over the scene by two pixels a frame."""
    return [scene()[..., STEP * index : STEP * index + WIDTH] for index in range(count)]


def write_video(
    path: Path, shown: list[Tensor], sound: bool = True, times: list[int] | None = None, pixel: Fraction | None = None
) -> Path:
    """A video at 25 frames a second, or at ``times`` in its hundredths, with a tone of 440 Hz."""
    with av.open(str(path), "w") as moving:
        stream = moving.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 100)
        if pixel is not None:
            stream.codec_context.sample_aspect_ratio = pixel
        tone = moving.add_stream("aac", rate=16000, layout="mono") if sound else None
        for index, image in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(images.to_uint8(image)), format="rgb24")
            frame.pts, frame.time_base = (times[index] if times else 4 * index), Fraction(1, 100)
            moving.mux(stream.encode(frame))
        moving.mux(stream.encode(None))
        if tone is not None:
            samples = np.sin(2 * np.pi * 440 * np.arange(16000 * len(shown) // 25) / 16000).astype(np.float32)
            for start in range(0, len(samples), 1024):
                piece = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="fltp", layout="mono")
                piece.sample_rate, piece.pts, piece.time_base = 16000, start, Fraction(1, 16000)
                moving.mux(tone.encode(piece))
            moving.mux(tone.encode(None))
    return path


def read_film(path: Path) -> tuple[list[Tensor], list[float], list[bytes]]:
    """Frames in [0, 1], when they are shown after the sound begins, and the packets of the sound."""
    with av.open(str(path)) as moving:
        pairs = [(frame.to_ndarray(format="rgb24"), frame.time) for frame in moving.decode(video=0)]
    decoded = [torch.from_numpy(array).permute(2, 0, 1)[None].float() / 255 for array, _ in pairs]
    with av.open(str(path)) as moving:
        packets = [packet for packet in moving.demux(audio=0) if packet.size] if moving.streams.audio else []
        start = float(packets[0].pts * packets[0].time_base) if packets else 0.0
    return decoded, [time - start for _, time in pairs], [bytes(packet) for packet in packets]


def repaint(source: Path, out: Path, paint: Callable[[Tensor], Tensor] = lambda part: part, **settings: Any) -> list[Any]:
    return list(video.repaint(source, out, paint, **settings))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_images_times_and_sound_go_through(tmp_path: Path, suffix: str) -> None:
    times = [0, 4, 8, 20, 24, 28, 50, 54, 58, 62]  # of no steady rate
    source = write_video(tmp_path / "a.mp4", frames(10), times=times)
    steps = repaint(source, tmp_path / f"b{suffix}", smooth=0, batch=3)
    assert [step.index for step in steps] == list(range(1, 11))
    before, shown, sound = read_film(source)
    after, shown_after, sound_after = read_film(tmp_path / f"b{suffix}")
    assert shown_after == pytest.approx(shown, abs=2e-3)
    assert sound_after == sound != []
    for one, other in zip(before, after, strict=True):
        assert (one - other).abs().mean() < 3 / 255


def test_paint_sees_bytes_and_may_change_the_size(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mp4", frames(5), sound=False)
    seen = []

    def paint(part: Tensor) -> Tensor:
        seen.append((tuple(part.shape), part.dtype))
        return 255 - part[..., ::2, :-2:2]  # 47 columns, of which 46 are written

    repaint(source, tmp_path / "b.mp4", paint, batch=2, smooth=0)
    assert seen == [((2, 3, HEIGHT, WIDTH), torch.uint8)] * 2 + [((1, 3, HEIGHT, WIDTH), torch.uint8)]
    after, _, sound = read_film(tmp_path / "b.mp4")
    assert tuple(after[0].shape) == (1, 3, 32, 46)
    assert not sound
    assert (after[0] - (1 - frames(1)[0][..., ::2, :-4:2])).abs().mean() < 0.04


def test_colors_survive_and_are_named(tmp_path: Path) -> None:
    flat = torch.tensor([200, 40, 90]).view(1, 3, 1, 1).expand(1, 3, HEIGHT, WIDTH) / 255
    repaint(write_video(tmp_path / "a.mp4", [flat] * 3), tmp_path / "b.mp4")
    torch.testing.assert_close(read_film(tmp_path / "b.mp4")[0][1][0, :, 9, 9], flat[0, :, 0, 0], rtol=0, atol=4 / 255)
    with av.open(str(tmp_path / "b.mp4")) as moving:
        assert next(moving.decode(video=0)).colorspace == 1  # BT.709


def test_motion_is_found_and_followed() -> None:
    first, second = (color.rgb_to_yiq(frame)[:, :1] for frame in frames(2))
    flow = flow_of.motion(second, first)
    inner = flow[..., 8:-8, 8:-8]
    assert (inner[:, 0] * WIDTH).mean().item() == pytest.approx(STEP, abs=0.1)
    assert (inner[:, 1] * HEIGHT).abs().mean() < 0.1
    apart = (second - first)[..., 8:-8].abs().mean()
    assert (second - flow_of.warped(first, flow))[..., 8:-8].abs().mean() < 0.1 * apart
    torch.testing.assert_close(flow_of.warped(first, torch.zeros_like(flow)), first)


def test_flicker_is_taken_away(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mkv", frames(12), sound=False)
    noise = torch.Generator().manual_seed(0)

    def flickering(part: Tensor) -> Tensor:
        shift = 60 * torch.randn(len(part), 1, 1, 1, generator=noise)
        return (part + shift).clamp(0, 255).round().to(torch.uint8)

    def flicker(path: Path) -> float:
        shown, _, _ = read_film(path)
        return sum(  # along the true motion
            F.l1_loss(now[..., :-STEP], before[..., STEP:]).item() for before, now in pairwise(shown[2:])
        )

    repaint(source, tmp_path / "raw.mkv", flickering, smooth=0)
    noise.manual_seed(0)
    repaint(source, tmp_path / "smooth.mkv", flickering, smooth=0.8)
    assert flicker(tmp_path / "smooth.mkv") < 0.45 * flicker(tmp_path / "raw.mkv")


def test_where_the_motion_cannot_be_followed_nothing_is_mixed() -> None:
    steady = flow_of.Steady(0.9)
    black, white = torch.zeros(1, 3, 40, 40, dtype=torch.uint8), torch.full((1, 3, 40, 40), 255, dtype=torch.uint8)
    steady(black, black)
    assert floats(steady(white, white)).min() > 0.99  # a cut


def test_a_loop_left_early_leaves_a_film(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mp4", frames(10))
    for step in video.repaint(source, tmp_path / "b.mp4", lambda part: part, batch=1):
        if step.index == 4:
            break
    assert len(read_film(tmp_path / "b.mp4")[0]) == 4

    def interrupted(part: Tensor) -> Tensor:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repaint(source, tmp_path / "c.mp4", interrupted)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def test_frames_painted_at_the_same_time_stay_in_order(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mp4", frames(12))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        repaint(source, tmp_path / "b.mkv", lambda part: 255 - part, smooth=0.5, parallel=True)
        steps = video.repaint(source, tmp_path / "d.mkv", lambda part: 255 - part, parallel=True)
        for step in steps:
            if step.index == 5:
                break
        steps.close()  # type: ignore[attr-defined]

        def interrupted(part: Tensor) -> Tensor:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            repaint(source, tmp_path / "e.mkv", interrupted, parallel=True)
    finally:
        torch.set_num_threads(before)
    repaint(source, tmp_path / "c.mkv", lambda part: 255 - part, smooth=0.5)
    for one, other in zip(read_film(tmp_path / "b.mkv")[0], read_film(tmp_path / "c.mkv")[0], strict=True):
        assert (one - other).abs().mean() < 1 / 255  # sums of other lengths may round otherwise before the codec
    assert len(read_film(tmp_path / "d.mkv")[0]) == 5
    assert not (tmp_path / "e.mkv").exists()


def test_errors_leave_nothing(tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(b"no video at all" * 99)
    source = write_video(tmp_path / "a.mp4", frames(3))
    for message, arguments, settings in (
        ("no such video", (tmp_path / "none.mp4", tmp_path / "b.mp4"), {}),
        ("no video that can be read", (tmp_path / "no.mp4", tmp_path / "b.mp4"), {}),
        ("unknown video format", (source, tmp_path / "b.avi"), {}),
        ("no folder", (source, tmp_path / "none" / "b.mp4"), {}),
        ("smooth is 1", (source, tmp_path / "b.mp4"), {"smooth": 1.0}),
    ):
        with pytest.raises(StyleLoomError, match=message):
            repaint(*arguments, **settings)  # type: ignore[arg-type]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "no.mp4"]


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    """A stored pixel twice as wide as high: the image is shown, and painted, twice as wide."""
    source = write_video(tmp_path / "a.mp4", frames(3), sound=False, pixel=Fraction(2, 1))
    seen: list[tuple[int, ...]] = []
    repaint(source, tmp_path / "b.mp4", lambda part: seen.append(tuple(part.shape)) or part)  # type: ignore[func-returns-value]
    assert {shape[-2:] for shape in seen} == {(HEIGHT, 2 * WIDTH)}
    with av.open(str(tmp_path / "b.mp4")) as moving:
        stream = moving.streams.video[0]
        assert (stream.width, stream.height) == (2 * WIDTH, HEIGHT) and (stream.sample_aspect_ratio or 1) == 1


def test_sound_of_another_kind_is_encoded_anew(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mp4", frames(25))
    repaint(source, tmp_path / "b.webm")
    with av.open(str(tmp_path / "b.webm")) as moving:
        assert moving.streams.audio[0].codec_context.name in ("opus", "libopus")
        wave = np.concatenate([frame.to_ndarray().mean(0) for frame in moving.decode(audio=0)])
    assert 0.9 < len(wave) / 48_000 < 1.1
    tone = np.abs(np.fft.rfft(wave[4800:43200]))
    assert abs(np.fft.rfftfreq(38400, 1 / 48_000)[tone.argmax()] - 440) < 3


def test_gifs_in_and_out(tmp_path: Path) -> None:
    shown = [torch.full((1, 3, 24, 32), value, dtype=torch.uint8) for value in (0, 120, 240)]
    images.write_gif(shown, tmp_path / "a.gif", rate=10)
    images.write_gif(shown[:1], tmp_path / "still.gif")
    assert video.is_video(tmp_path / "a.gif") and not video.is_video(tmp_path / "still.gif")
    repaint(tmp_path / "a.gif", tmp_path / "b.gif", lambda part: 255 - part, smooth=0)
    with Image.open(tmp_path / "b.gif") as moving:
        assert (moving.n_frames, moving.info["duration"], moving.info["loop"]) == (3, 100, 0)  # type: ignore[attr-defined]
        for frame, value in enumerate((255, 135, 15)):
            moving.seek(frame)
            assert moving.convert("RGB").getpixel((5, 5)) == (value, value, value)
    repaint(tmp_path / "a.gif", tmp_path / "c.mp4", smooth=0)
    assert len(read_film(tmp_path / "c.mp4")[0]) == 3


@pytest.mark.parametrize(
    ("matrix", "corners"),
    [
        ((-1, 0, 0, 1, 64, 0), "GRYB"),
        ((1, 0, 0, -1, 0, 48), "BYRG"),
        ((0, 1, 1, 0, 0, 0), "RBGY"),
        ((0, 1, -1, 0, 48, 0), "BRYG"),
    ],
)
def test_mirrored_and_turned_videos_are_upright(matrix: tuple[int, ...], corners: str, tmp_path: Path) -> None:
    colors = {"R": (1.0, 0, 0), "G": (0, 1.0, 0), "B": (0, 0, 1.0), "Y": (1.0, 1.0, 0)}
    image = torch.full((1, 3, 48, 64), 0.2)
    for name, rows, columns in (("R", 0, 0), ("G", 0, 48), ("B", 32, 0), ("Y", 32, 48)):
        image[0, :, rows : rows + 16, columns : columns + 16] = torch.tensor(colors[name])[:, None, None]
    list(video.write_video([image] * 3, tmp_path / "a.mp4"))
    raw = (tmp_path / "a.mp4").read_bytes()
    start = raw.index(b"tkhd") + 4
    place = start + 4 + (32 if raw[start] else 20) + 16  # of the matrix in the track's header
    a, b, c, d, x, y = (struct.pack(">i", value * 65536) for value in matrix)
    header = a + b + b"\0" * 4 + c + d + b"\0" * 4 + x + y + struct.pack(">I", 0x40000000)
    (tmp_path / "b.mp4").write_bytes(raw[:place] + header + raw[place + 36 :])
    seen: list[Tensor] = []
    repaint(tmp_path / "b.mp4", tmp_path / "c.mp4", lambda part: seen.append(part) or part, smooth=0)  # type: ignore[func-returns-value]
    frame = seen[0][0].float() / 255
    found = ""
    for row, column in ((6, 6), (6, -6), (-6, 6), (-6, -6)):
        pixel = frame[:, row, column]
        found += min(colors, key=lambda name: float((pixel - torch.tensor(colors[name])).square().sum()))
    assert found == corners


def test_a_slow_gif_keeps_its_times(tmp_path: Path) -> None:
    pictures = [Image.new("RGB", (64, 48), color) for color in ("red", "green", "blue")]
    pictures[0].save(tmp_path / "slides.gif", save_all=True, append_images=pictures[1:], duration=[3000, 500, 1230], loop=0)
    repaint(tmp_path / "slides.gif", tmp_path / "out.gif", smooth=0)
    with Image.open(tmp_path / "out.gif") as gif:
        durations = []
        for index in range(3):
            gif.seek(index)
            durations.append(gif.info["duration"])
    assert durations == [3000, 500, 1230]


def test_hd_that_names_no_matrix_is_bt709(tmp_path: Path) -> None:
    red = np.array([200, 30, 30])
    y = 16 + 219 / 255 * (red @ (0.2126, 0.7152, 0.0722))
    u, v = (128 + 224 / 255 * (red[i] - red @ (0.2126, 0.7152, 0.0722)) / s for i, s in ((2, 1.8556), (0, 1.5748)))
    with av.open(str(tmp_path / "hd.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        frame = av.VideoFrame(1280, 720, "yuv420p")
        for plane, value in zip(frame.planes, (y, u, v), strict=True):
            plane.update(bytes([round(value)]) * plane.buffer_size)
        for index in range(2):
            frame.pts = index
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    seen: list[Tensor] = []
    repaint(tmp_path / "hd.mp4", tmp_path / "o.mp4", lambda part: seen.append(part) or part, smooth=0)  # type: ignore[func-returns-value]
    assert np.abs(seen[0][0, :, 300, 600].numpy().astype(int) - red).max() <= 3


def test_decoding_and_encoding_errors_reach_the_caller(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mp4", frames(30), sound=False)

    def paint(part: Tensor) -> Tensor:
        raise StyleLoomError("no such style")

    with pytest.raises(StyleLoomError, match="no such style"):
        repaint(source, tmp_path / "b.mp4", paint)
    with pytest.raises(StyleLoomError, match="not finite"):  # in the thread that writes
        repaint(source, tmp_path / "c.mp4", lambda part: torch.full(part.shape, torch.nan), smooth=0, batch=1)
    assert not (tmp_path / "b.mp4").exists() and not (tmp_path / "c.mp4").exists()
