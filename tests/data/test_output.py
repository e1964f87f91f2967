"""What is written beside the pixels, read back by other readers."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms
from tests.cli.program import run
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.data.output import Output, write

av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'styleloom[video]'")


@pytest.fixture
def image() -> Tensor:
    """Smooth, with more than 256 levels, [1, 3, 20, 300]."""
    x = torch.linspace(0, 1, 300).expand(20, 300)
    return torch.stack([x, x.flip(1), x.square()])[None]


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    """A turned photograph of 150 x 10 px with EXIF data and transparency."""
    exif = Image.Exif()
    exif[271], exif[274], exif[305] = "Camera", 6, "Other"
    array = np.zeros((150, 10, 4), dtype=np.uint8)
    array[:75, :, 3] = 255  # opaque in the half that comes to lie at the left or right
    Image.fromarray(array).save(tmp_path / "photo.png", exif=exif)
    return tmp_path / "photo.png"


def levels(path: Path) -> np.ndarray:
    """16-bit numbers of an image, by FFmpeg."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        return np.asarray(frame.to_ndarray(format="rgba64le" if "a" in frame.format.name else "rgb48le"))


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("clear", [False, True])
def test_sixteen_bits_keep_every_level(image: Tensor, photograph: Path, tmp_path: Path, suffix: str, clear: bool) -> None:
    path = tmp_path / f"deep{suffix}"
    write(image, path, Output(depth=16, keep_transparency=clear, profile="srgb"), source=photograph, software="Maker")
    array = levels(path) if suffix == ".png" else tifffile.imread(path)
    wanted = (image[0].permute(1, 2, 0).double() * 65535).round().numpy()
    assert array.dtype == np.uint16 and array.shape == (20, 300, 4 if clear else 3)
    assert np.array_equal(array[..., :3], wanted) and len(np.unique(array[..., 0])) == 300
    with Image.open(path) as file:
        assert "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(file.info["icc_profile"])))
        assert (file.text["Software"] if suffix == ".png" else file.getexif()[305]) == "Maker"  # type: ignore[attr-defined]
    write((image * 255).round().to(torch.uint8), path, Output(depth=16))
    array = levels(path) if suffix == ".png" else tifffile.imread(path)
    assert np.array_equal(array % 257, np.zeros_like(array))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff"])
def test_exif_is_kept_or_dropped(image: Tensor, photograph: Path, tmp_path: Path, suffix: str) -> None:
    for keep in (False, True):
        path = tmp_path / f"{keep}{suffix}"
        write(image, path, Output(keep_exif=keep), source=photograph, software="Maker")
        with Image.open(path) as file:
            exif = file.getexif()
            assert exif.get(271) == ("Camera" if keep else None) and 274 not in exif
            assert (file.info["Software"] if suffix == ".png" else exif[305]) == "Maker"
            assert "icc_profile" not in file.info


def test_transparency_is_turned_and_sized_with_the_image(image: Tensor, photograph: Path, tmp_path: Path) -> None:
    for suffix in (".png", ".webp", ".tiff"):
        path = tmp_path / f"clear{suffix}"
        write(image, path, Output(keep_transparency=True), source=photograph)
        with Image.open(path) as file:
            opacity = np.asarray(file.getchannel("A"))
        assert opacity.shape == (20, 300)
        assert (opacity[:, :140] < 9).all() and (opacity[:, 160:] > 246).all()  # turned by a quarter, clockwise


def test_a_profile_is_kept_with_colors_that_look_the_same(image: Tensor, tmp_path: Path) -> None:
    """In a profile whose red and green are swapped the numbers are swapped, so that what is seen stays."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    Image.new("RGB", (30, 20)).save(tmp_path / "swapped.png", icc_profile=bytes(profile))
    write(image, tmp_path / "kept.png", Output(profile="keep"), source=tmp_path / "swapped.png")
    with Image.open(tmp_path / "kept.png") as file:
        assert file.info["icc_profile"] == bytes(profile)
        array = np.asarray(file).astype(int)
    wanted = (image[0, [1, 0, 2]].permute(1, 2, 0) * 255).round().numpy()
    assert np.abs(array - wanted).max() <= 2


@pytest.mark.parametrize(
    ("settings", "name", "message"),
    [
        (dict(depth=16), "a.jpg", "a.jpg: JPEG has no 16 bits; write PNG or TIFF"),
        (dict(keep_transparency=True), "a.jpg", "a.jpg: JPEG has no transparency; write PNG or TIFF or WEBP"),
        (dict(keep_exif=True), "a.bmp", "no EXIF data in BMP"),
        (dict(depth=16, keep_exif=True), "a.tif", "no EXIF data in TIFF of 16 bits"),
        (dict(), "a.xyz", "unknown image format"),
    ],
)
def test_what_a_format_does_not_have(image: Tensor, tmp_path: Path, settings: dict[str, Any], name: str, message: str) -> None:
    with pytest.raises(StyleLoomError, match=message):
        write(image, tmp_path / name, Output(**settings))
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [(dict(depth=12), "depth is 12; it must be 8 or 16"), (dict(quality=0), "quality is 0; it must be"),
     (dict(depth=16, profile="keep"), "use depth 8, or profile srgb"), (dict(suffix="gif"), "unknown suffix 'gif'")],
)  # fmt: skip
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(StyleLoomError, match=message):
        Output(**settings)


def test_from_the_command_line(photograph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photos").mkdir()
    with Image.open(photograph) as file:
        for name in ("a", "b"):
            file.resize((64, 80)).save(tmp_path / "photos" / f"{name}.png", exif=file.getexif())
    many = ["upscale", str(tmp_path / "photos"), "-o", str(tmp_path / "large"), "--quiet"]
    assert run(*many, "--suffix", "webp", "--quality", "60", "--keep-exif", "--keep-transparency") == 0
    with Image.open(tmp_path / "large" / "a.webp") as file:
        assert file.mode == "RGBA" and file.getexif()[271] == "Camera" and file.getexif()[305].startswith("StyleLoom")
    assert run(*many[:3], str(tmp_path / "other"), "--suffix", "jpg", "--depth", "16") == 2
    assert "a.jpg: JPEG has no 16 bits; write PNG or TIFF" in capsys.readouterr().err and not (tmp_path / "other").exists()
