"""Images in and out, against Pillow, NumPy, colorsys and hand-made files."""

import colorsys
import errno
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

import styleloom as sl
from styleloom.core.errors import StyleLoomError
from styleloom.data import color, images

PIXELS = np.random.RandomState(0).randint(0, 256, (5, 7, 3), dtype=np.uint8)


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def as_uint8(image: torch.Tensor) -> np.ndarray:
    return (image[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".webp"])
def test_what_is_written_is_read(tmp_path: Path, suffix: str) -> None:
    image = torch.from_numpy(PIXELS).permute(2, 0, 1)[None].float() / 255
    images.write(image, tmp_path / f"a{suffix}", quality=100)
    read = images.read(tmp_path / f"a{suffix}")
    assert read.shape == (1, 3, 5, 7) and read.dtype == torch.float32
    if suffix != ".webp":
        assert np.array_equal(as_uint8(read), PIXELS)


@given(st.floats(-1, 2))
def test_rounds_and_clips(value: float) -> None:
    wanted = min(255, max(0, int(np.floor(np.float32(min(1, max(0, value))) * np.float32(255) + 0.5))))
    assert abs(int(images.to_uint8(torch.full((1, 3, 1, 1), value))[0, 0, 0]) - wanted) <= (0 if value * 255 % 1 != 0.5 else 1)


def test_never_truncates() -> None:
    assert images.to_uint8(torch.full((1, 3, 1, 1), 0.9999))[0, 0, 0] == 255


def test_exif_rotation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to see it upright
    path = saved(tmp_path / "a.png", Image.fromarray(PIXELS), exif=exif)
    assert np.array_equal(as_uint8(images.read(path)), np.rot90(PIXELS, -1))


def test_icc_profile_is_applied(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    assert profile.tobytes()
    linear = _linear_profile()
    path = saved(tmp_path / "a.png", Image.fromarray(np.full((2, 2, 3), 55, np.uint8)), icc_profile=linear)
    # 55/255 of linear light is .5029 in the sRGB encoding.
    assert images.read(path).mean().item() == pytest.approx(0.503, abs=0.012)


def _linear_profile() -> bytes:
    """sRGB's own profile with its tone curves replaced by the identity."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(data[128:132], "big")
    for index in range(count):
        entry = 132 + 12 * index
        if bytes(data[entry : entry + 4]) in (b"rTRC", b"gTRC", b"bTRC"):
            offset = int.from_bytes(data[entry + 4 : entry + 8], "big")
            data[offset : offset + 12] = b"curv" + bytes(4) + (0).to_bytes(4, "big")
    return bytes(data)


def test_broken_icc_profile_is_ignored(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(PIXELS), icc_profile=b"no profile at all")
    assert np.array_equal(as_uint8(images.read(path)), PIXELS)


def test_transparency_lies_over_white(tmp_path: Path) -> None:
    rgba = np.dstack([PIXELS, np.full((5, 7), 51, np.uint8)])
    read = images.read(saved(tmp_path / "a.png", Image.fromarray(rgba)))
    wanted = PIXELS / 255 * 0.2 + 0.8
    assert np.allclose(read[0].permute(1, 2, 0), wanted, atol=1e-6)


def test_transparent_palette(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    read = images.read(saved(tmp_path / "a.png", image, transparency=0))
    assert read[0, :, 0, 0].tolist() == [1, 1, 1] and read[0, :, 0, 1].tolist() == [0, 0, 1]


@pytest.mark.parametrize("mode", ["L", "LA", "1", "CMYK"])
def test_other_modes_are_expanded(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(PIXELS).convert("RGB" if mode == "CMYK" else "L").convert(mode)
    path = saved(tmp_path / ("a.jpg" if mode == "CMYK" else "a.png"), image)
    with Image.open(path) as file:
        wanted = np.array(file.convert("RGB"))
    assert np.abs(as_uint8(images.read(path)).astype(int) - wanted).max() <= 1


def test_16_bit_gray_keeps_its_precision(tmp_path: Path) -> None:
    gray = np.array([[0, 1, 257], [1000, 40000, 65535]], dtype=np.uint16)
    read = images.read(saved(tmp_path / "a.png", Image.fromarray(gray)))
    assert read.shape == (1, 3, 2, 3)
    assert np.allclose(read[0, 0] * 65535, gray, atol=0.01)


@pytest.mark.parametrize("keep", [10, 60, 400])
def test_truncated_files_are_refused(tmp_path: Path, keep: int) -> None:
    buffer = BytesIO()
    Image.fromarray(np.random.RandomState(0).randint(0, 256, (64, 64, 3), dtype=np.uint8)).save(buffer, "JPEG")
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue()[:keep])
    with pytest.raises(StyleLoomError, match=r"cannot read .*a\.jpg"):
        images.read(tmp_path / "a.jpg")


@given(st.binary(max_size=300))
def test_hostile_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("hostile") / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    with pytest.raises(StyleLoomError, match="cannot read"):
        images.read(path)


def test_decompression_bomb_and_its_limit(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.new("L", (300, 200)))
    with pytest.raises(StyleLoomError, match=r"300 x 200 pixels, more than 59,999;"):
        images.read(path, max_pixels=59_999)
    assert images.read(path, max_pixels=60_000).shape == (1, 3, 200, 300)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(StyleLoomError, match="no such image"):
        images.read(tmp_path / "nothing.png")
    with pytest.raises(StyleLoomError, match="is a folder"):
        images.read(tmp_path)


def test_postscript_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")
    with pytest.raises(StyleLoomError, match="not an image"):
        images.read(tmp_path / "a.png")


def test_full_disk_leaves_the_old_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    images.write(torch.zeros(1, 3, 2, 2), path)
    before = path.read_bytes()

    def full(self: Image.Image, target: Path, **_: object) -> None:
        Path(target).write_bytes(b"half a pict")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(StyleLoomError, match="No space left on device; free some space"):
        images.write(torch.ones(1, 3, 2, 2), path)
    assert path.read_bytes() == before and [item.name for item in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("name", ["a.xyz", "no/such/folder/a.png", "folder.png"])
def test_unwritable_paths_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(StyleLoomError, match=r"cannot write .*: (unknown image format|there is no folder|a folder of that name)"):
        images.write(torch.zeros(1, 3, 2, 2), tmp_path / name)


@pytest.mark.parametrize("bad", [torch.full((1, 3, 2, 2), torch.nan), torch.zeros(2, 3, 2, 2), torch.zeros(1, 1, 2, 2)])
def test_no_image_is_not_written(tmp_path: Path, bad: torch.Tensor) -> None:
    with pytest.raises(StyleLoomError):
        images.write(bad, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_resize_keeps_constants_and_stays_in_range() -> None:
    flat = torch.full((1, 3, 9, 12), 0.37)
    assert torch.allclose(images.resize(flat, (4, 30)), torch.full((1, 3, 4, 30), 0.37), atol=1e-6)
    checker = (torch.arange(64).view(1, 1, 8, 8) % 2).float().expand(1, 3, 8, 8)
    big = images.resize(checker, (50, 50))
    assert big.min() >= 0 and big.max() <= 1
    assert images.resize_to_fit(torch.zeros(1, 3, 30, 60), 20).shape == (1, 3, 10, 20)


def test_yiq_agrees_with_colorsys_and_inverts() -> None:
    image = torch.from_numpy(PIXELS).permute(2, 0, 1)[None].double() / 255
    yiq = color.rgb_to_yiq(image)
    wanted = np.array([[colorsys.rgb_to_yiq(*pixel) for pixel in row] for row in PIXELS / 255])
    assert np.allclose(yiq[0].permute(1, 2, 0), wanted, atol=0.02)  # colorsys rounds its constants to two digits
    assert torch.allclose(color.yiq_to_rgb(yiq), image, atol=1e-6)


def test_keep_luminance_takes_luma_from_one_and_colors_from_the_other() -> None:
    painted, content = 0.4 + 0.2 * torch.rand(1, 3, 6, 6), 0.4 + 0.2 * torch.rand(1, 3, 6, 6)
    mixed = color.rgb_to_yiq(color.keep_luminance(painted, content))
    assert torch.allclose(mixed[:, 0], color.rgb_to_yiq(painted)[:, 0], atol=1e-5)
    assert torch.allclose(mixed[:, 1:], color.rgb_to_yiq(content)[:, 1:], atol=1e-5)


def test_match_color_gives_mean_and_covariance() -> None:
    generator = torch.Generator().manual_seed(0)
    mix = torch.tensor([[0.08, 0.02, 0.0], [0.0, 0.05, 0.03], [0.01, 0.0, 0.06]]).double()
    image = 0.5 + 0.05 * torch.randn(1, 3, 40, 40, generator=generator).double()
    reference = 0.4 + torch.einsum("ij,njhw->nihw", mix, torch.randn(1, 3, 30, 50, generator=generator).double())
    matched = color.match_color(image, reference)[0].flatten(1).numpy()
    wanted = reference[0].flatten(1).numpy()
    assert np.allclose(matched.mean(1), wanted.mean(1), atol=1e-3)
    assert np.allclose(np.cov(matched), np.cov(wanted), atol=1e-4)
    assert torch.allclose(color.match_color(image, image), image, atol=1e-6)


def test_depths_and_transparency(tmp_path: Path) -> None:
    """Each kind of number and of transparency against what its values mean."""
    ramp = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "float.tif")
    torch.testing.assert_close(images.read(tmp_path / "float.tif")[0, 1].numpy(), ramp, atol=1e-6, rtol=0)
    for wrong in (ramp * 300, ramp - 0.5, np.full_like(ramp, np.nan)):
        Image.fromarray(wrong).save(tmp_path / "wrong.tif")
        with pytest.raises(StyleLoomError, match="values"):
            images.read(tmp_path / "wrong.tif")
    gray = (ramp * 65535).astype(np.uint16)
    Image.fromarray(gray).save(tmp_path / "gray16.png")
    torch.testing.assert_close(images.read(tmp_path / "gray16.png")[0, 0].numpy(), gray / np.float32(65535), atol=1e-6, rtol=0)
    Image.fromarray(gray).save(tmp_path / "hidden16.png", transparency=int(gray[3, 5]))
    found = images.read(tmp_path / "hidden16.png")[0, 0].numpy()
    wanted = gray / np.float32(65535)
    wanted[3, 5] = 1
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    bits = Image.fromarray((ramp > 0.5).astype(np.uint8) * 255).convert("1")
    for hidden in (0, 1):
        bits.save(tmp_path / "bit.png", transparency=hidden)
        wanted = np.where(ramp > 0.5, 1.0, 1.0 if hidden == 0 else 0.0)  # what is hidden is white paper
        np.testing.assert_allclose(images.read(tmp_path / "bit.png")[0, 0].numpy(), wanted)


@pytest.mark.parametrize("size", [(13, 20), (700, 9), (40, 300)])
def test_bands_of_rows_make_up_the_whole(size: tuple[int, int]) -> None:
    """Reduced and enlarged by bands, an image is what it is when resized as a whole."""
    image = torch.rand(2, 3, 600, 410)
    small = tuple(min(each) for each in zip(size, (600, 410), strict=True))
    torch.testing.assert_close(images.reduce(image, small), images.resize(image, small), atol=2e-6, rtol=0)
    as_bytes = (image * 255).round().to(torch.uint8)
    torch.testing.assert_close(images.reduce(as_bytes, small), images.resize(as_bytes / 255, small), atol=2e-6, rtol=0)
    large = (600 + size[0], 410 + size[1])
    whole = torch.full((2, 3, *large), torch.nan)
    for rows, band in images.enlarged(image, large):
        whole[..., rows, :] = band
    torch.testing.assert_close(whole, images.resize(image, large), atol=2e-6, rtol=0)


def test_read_takes_the_names_that_the_program_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert torch.equal(sl.read("astronaut"), sl.bundled("astronaut"))
    monkeypatch.chdir(tmp_path)
    images.write(torch.rand(1, 3, 5, 6), "wave.png")
    (tmp_path / "wave.png").rename(tmp_path / "wave")
    assert sl.read("wave").shape == (1, 3, 5, 6)  # a file of that name wins
    with pytest.raises(StyleLoomError, match="no such image: nothing"):
        sl.read("nothing")
