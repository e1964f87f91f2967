"""Faces in photographs, found by the detector of the extra ``[faces]``."""

import pytest
import torch
from tests.cli.program import run

import styleloom as sl
from styleloom.core.errors import StyleLoomError
from styleloom.data import images
from styleloom.nn import mtcnn

EYES, CHIN = ((95, 205), (95, 240)), (150, 222)  # rows and columns in the bundled astronaut of 512 px


@pytest.mark.skipif(not mtcnn.available(), reason="needs the extra [faces]")
def test_a_mask_covers_the_face_and_not_the_rest() -> None:
    photo = sl.bundled("astronaut")
    mask = mtcnn.faces_mask(photo)
    assert mask is not None and mask.shape == (1, 1, 512, 512) and mask.min() >= 0 and mask.max() <= 1
    for row, column in (*EYES, CHIN):
        assert mask[0, 0, row, column] == 1
    assert mask[0, 0, 300:].max() == 0 and mask[0, 0, :, 350:].max() == 0 and mask[0, 0, :, :120].max() == 0
    assert 0.01 < mask.mean() < 0.1
    soft = ((mask > 0.05) & (mask < 0.95)).float().mean()
    assert soft > 0.1 * mask.mean()
    twice = mtcnn.faces_mask(images.resize(photo, (256, 256)))
    assert twice is not None
    assert (twice - images.resize(mask.expand(-1, 3, -1, -1), (256, 256))[:, :1]).abs().mean() < 0.01
    assert mtcnn.faces_mask(sl.bundled("coffee")) is None


@pytest.mark.skipif(not mtcnn.available(), reason="needs the extra [faces]")
def test_gatys_keeps_faces(tmp_path: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)  # type: ignore[arg-type]
    photo = sl.bundled("astronaut")
    kept = {}
    tiny = ["--steps", "6", "--size", "128", "--preset", "draft", "--device", "cpu", "--quiet"]
    for name, more in (
        ("plain", []),
        ("faces", ["--content-mask", "faces"]),
        ("drawn", ["--content-mask", "ellipse:222,110,45,60"]),
    ):
        assert run("stylize", "astronaut", "wave", "-o", f"{name}.png", *tiny, *more) == 0
        painted = images.read(f"{name}.png")
        there = images.resize(photo, painted.shape[-2:])
        rows, columns = (
            slice(round(painted.shape[-1] * first / 512), round(painted.shape[-1] * last / 512))
            for first, last in ((80, 150), (195, 250))
        )
        kept[name] = float((painted - there)[..., rows, columns].abs().mean())
    assert kept["faces"] < 0.97 * kept["plain"] and kept["drawn"] < 0.97 * kept["plain"]
    assert run("stylize", "astronaut", "wave", "-o", "x.png", "--content-mask", "ellipse:1,2", *tiny) == 2
    assert "is no shape" in capsys.readouterr().err


def test_without_the_detector_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mtcnn, "available", lambda: False)
    with pytest.raises(StyleLoomError, match=r"styleloom\[faces\].*or a mask"):
        mtcnn.faces_mask(torch.rand(1, 3, 64, 64))


@pytest.mark.skipif(not mtcnn.available(), reason="needs the extra [faces]")
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_photograph_on_its_side(turns: int) -> None:
    photo = sl.bundled("astronaut")
    (upright,) = mtcnn.find(photo)
    (turned,) = mtcnn.find(photo.rot90(turns, (2, 3)))
    x, y = upright.landmarks.unbind(1)
    width, height = photo.shape[3], photo.shape[2]
    wanted = {1: (y, width - x), 2: (width - x, height - y), 3: (height - y, x)}[turns]
    torch.testing.assert_close(turned.landmarks, torch.stack(wanted, 1), rtol=0, atol=3.0)


@pytest.mark.skipif(not mtcnn.available(), reason="needs the extra [faces]")
def test_a_small_face_in_a_large_photograph() -> None:
    small = images.resize(sl.bundled("astronaut"), (360, 360))
    photo = torch.full((1, 3, 2000, 3000), 0.4)
    photo[..., 600:960, 1500:1860] = small
    (face,) = mtcnn.find(photo)
    assert 1500 < face.box[0] < face.box[2] < 1860 and 600 < face.box[1] < face.box[3] < 960
