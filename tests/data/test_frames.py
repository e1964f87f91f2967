"""Squares cut out of photographs and put back, and masks: by geometry."""

import math

import pytest
import torch
from skimage.transform import SimilarityTransform

from styleloom.core.errors import StyleLoomError
from styleloom.data import masks
from styleloom.data.frames import Frame, box_frame, center_frame, landmark_frame


def ramp(height: int, width: int) -> torch.Tensor:
    """A photograph whose channels tell where a pixel is: x, y and their sum, in [0, 1]."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([x / width, y / height, (x / width + y / height) / 2])[None]


@pytest.mark.parametrize(("side", "size"), [(60.0, 64), (60.0, 20)])
def test_crop_reads_where_it_should(side: float, size: int) -> None:
    photo = ramp(100, 160)
    frame = Frame(70.0, 48.0, side, 0.3, 160, 100)
    found = frame.crop(photo, size)
    line = (torch.arange(size) + 0.5) / size - 0.5
    v, u = torch.meshgrid(line, line, indexing="ij")
    x = 70 + side * (math.cos(0.3) * u - math.sin(0.3) * v)
    y = 48 + side * (math.sin(0.3) * u + math.cos(0.3) * v)
    torch.testing.assert_close(found[0, 0], x / 160, atol=2e-3, rtol=0)
    torch.testing.assert_close(found[0, 1], y / 100, atol=2e-3, rtol=0)


def test_paste_puts_back_and_leaves_the_rest() -> None:
    torch.manual_seed(0)
    photo = torch.rand(1, 3, 100, 160)
    frame = Frame(150.0, 20.0, 50.0, -0.2, 160, 100)  # reaches beyond two borders
    image = torch.rand(1, 3, 32, 32)
    assert torch.equal(frame.paste(photo, image, instead_of=image), photo)
    pasted = frame.paste(photo, torch.ones(1, 3, 32, 32))
    y, x = torch.meshgrid(torch.arange(100) + 0.5 - 20, torch.arange(160) + 0.5 - 150, indexing="ij")
    u = (math.cos(-0.2) * x + math.sin(-0.2) * y) / 25
    v = (math.cos(-0.2) * y - math.sin(-0.2) * x) / 25
    distance = torch.maximum(u.abs(), v.abs())
    assert torch.equal(pasted[0][:, distance >= 1], photo[0][:, distance >= 1])
    assert float(pasted[0][:, distance < 0.75].min()) > 0.9999
    with pytest.raises(StyleLoomError, match="the photograph is 100 x 160 px, and was 160 x 100"):
        frame.paste(photo.transpose(2, 3), image)


def test_crop_and_paste_are_inverse() -> None:
    photo = ramp(120, 120)
    frame = Frame(60.0, 55.0, 80.0, 0.4, 120, 120)
    again = frame.paste(photo, frame.crop(photo, 96))
    torch.testing.assert_close(again, photo, atol=4e-3, rtol=0)


def test_landmarks_say_the_similarity() -> None:
    torch.manual_seed(0)
    wanted = torch.tensor([[0.35, 0.4], [0.65, 0.4], [0.5, 0.6], [0.4, 0.75], [0.6, 0.75]])
    true = Frame(130.0, 90.0, 77.0, 0.25, 300, 200)
    landmarks = true._corners(wanted * 2 - 1)
    found = landmark_frame(landmarks, wanted, 300, 200)
    assert (found.x, found.y, found.side, found.angle) == pytest.approx((130.0, 90.0, 77.0, 0.25), abs=1e-3)
    noisy = landmarks + torch.randn(5, 2)
    found = landmark_frame(noisy, wanted, 300, 200)
    reference = SimilarityTransform.from_estimate(wanted.numpy() * 2 - 1, noisy.numpy())
    assert found.angle == pytest.approx(float(reference.rotation), abs=0.02)  # skimage weighs the scale otherwise
    assert found.side == pytest.approx(2 * float(reference.scale), rel=0.05)
    with pytest.raises(StyleLoomError, match="all in one place"):
        landmark_frame(torch.zeros(5, 2), wanted, 300, 200)


def test_boxes() -> None:
    assert center_frame(160, 100) == Frame(80.0, 50.0, 100, 0.0, 160, 100)
    assert box_frame((10, 20, 50, 40), 160, 100) == Frame(30.0, 30.0, 40, 0.0, 160, 100)
    for box in ((10, 20, 10, 40), (200, 20, 220, 40), (50, 20, 10, 40)):
        with pytest.raises(StyleLoomError, match="is no part of a photograph of 160 x 100"):
            box_frame(box, 160, 100)


def test_shapes_have_their_areas() -> None:
    areas = {
        "box:10,20,40,30": 300.0,
        "ellipse:50,50,20,10": math.pi * 200,
        "polygon:0,0,40,0,0,40": 800.0,
        "box:10,10,20,20+box:15,10,30,20": 200.0,
        "box:0.5,0,1,1": 0.5,
    }
    for text, area in areas.items():
        mask = masks.shape_mask(text, 100, 80)
        assert mask.shape == (1, 1, 80, 100)
        assert float(mask.sum()) == pytest.approx(area, rel=0.02), text
        assert masks.is_shape(text)
    assert float(masks.shape_mask("box:10,20,40,30", 100, 80)[0, 0, 25, 12]) == 1
    assert not masks.is_shape("mask.png")
    for text, message in {
        "box:1,2,3": "is no shape",
        "circle:1,2,3": "is no shape",
        "box:200,0,300,10": "covers nothing",
    }.items():
        with pytest.raises(StyleLoomError, match=message):
            masks.shape_mask(text, 100, 80)


def test_feather_lies_inside() -> None:
    mask = masks.shape_mask("box:20,20,60,60", 100, 80)
    soft = masks.feathered(mask, 8)
    assert not bool(soft[mask == 0].any())
    assert bool((soft[0, 0, 32:48, 32:48] == 1).all())
    line = soft[0, 0, 40, 18:32]
    assert bool((line[1:] >= line[:-1]).all()) and 0 < float(line[3]) < 1
    at_border = masks.feathered(masks.shape_mask("box:0,0,50,80", 100, 80), 8)
    assert float(at_border[0, 0, 40, 0]) == 1  # the image's border is none of the mask's
    original, changed = torch.rand(1, 3, 80, 100), torch.rand(1, 3, 80, 100)
    blended = masks.blend(original, changed, soft)
    outside = (mask == 0).expand_as(original)
    assert torch.equal(blended[outside], original[outside])
    inside = (soft == 1).expand_as(original)
    assert torch.equal(blended[inside], changed[inside])
    for empty, message in ((torch.zeros(1, 1, 8, 8), "covers nothing"), (torch.ones(1, 1, 8, 8), "covers everything")):
        with pytest.raises(StyleLoomError, match=message):
            masks.check_mask(empty)


def test_what_is_pasted_smaller_is_smoothed() -> None:
    y, x = torch.meshgrid(torch.arange(1024), torch.arange(1024), indexing="ij")
    made = (0.55 - 0.4 * ((x * 0.9 + y * 0.35) % 9 < 1.5).float()).expand(1, 3, -1, -1)
    frame, photo = Frame(100, 100, 128, 0.0, 200, 200), torch.full((1, 3, 200, 200), 0.5)
    small = torch.nn.functional.interpolate(made, (128, 128), mode="bicubic", antialias=True)
    inner = (..., slice(60, 140), slice(60, 140))
    torch.testing.assert_close(frame.paste(photo, made)[inner], frame.paste(photo, small)[inner], rtol=0, atol=0.02)
