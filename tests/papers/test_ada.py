"""Augmentation: what each change must do to a smooth image, chances, gradients of gradients, and its adaptation."""

import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.papers import ada as module
from styleloom.papers.ada import adapted, augment


def smooth(side: int = 32, dtype: torch.dtype = torch.float32) -> Tensor:
    """Two images that filters leave nearly as they are."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, side), torch.linspace(-1, 1, side), indexing="ij")
    one = torch.stack([torch.sin(2 * x + y), torch.cos(x - 2 * y), 0.5 * x * y])
    return torch.stack([one, 0.6 * one.flip(0)]).to(dtype)


def inner(image: Tensor, margin: int = 6) -> Tensor:
    return image[..., margin:-margin, margin:-margin]


def test_nothing_at_p_zero() -> None:
    image = smooth()
    torch.testing.assert_close(augment(image, 0), image, atol=1e-6, rtol=0)


def test_the_median_of_flips_turns_by_half_and_mirrors() -> None:
    """At the middle of all chances: mirrored, turned by 180 degrees, not moved: upside down."""
    image = smooth()
    torch.testing.assert_close(inner(augment(image, 1, "b", percentile=0.5)), inner(image.flip(2)), atol=0.02, rtol=0)


def test_whole_pixels_are_moved_along_both_axes() -> None:
    """At 0.75: mirrored, turned by 270 degrees, and moved by half of an eighth of the side."""
    image = smooth(64)
    found = augment(image, 1, "b", percentile=0.75)
    quarters = (torch.rot90(image, 1, (2, 3)), torch.rot90(image, 3, (2, 3)))
    turned = [each.flip(axis) for each in quarters for axis in (2, 3)]
    candidates = [torch.roll(each, (dy, dx), (2, 3)) for each in turned for dy in (-4, 4) for dx in (-4, 4)]
    errors = [float((inner(found, 12) - inner(each, 12)).abs().max()) for each in candidates]
    assert min(errors) < 0.02


def test_the_median_of_geometry_changes_nothing() -> None:
    image = smooth()
    torch.testing.assert_close(inner(augment(image, 1, "g", percentile=0.5)), inner(image), atol=2e-3, rtol=0)


def test_scale_is_that_of_its_percentile() -> None:
    """Normal numbers of 1: scale 2^0.2, stretched by 2^0.2 across and pressed by it down; turned and moved also."""
    share = 0.5 * (1 + math.erf(1))  # NVIDIA's tests take erfinv alone for a normal number
    draw = module._Draws(1, 1.0, None, share)
    found = module._geometry(draw, "g", 64, 32)
    assert found is not None
    angle = (2 * share - 1) * math.pi
    c, s = math.cos(angle), math.sin(angle)
    turn = np.array([[c, -s], [s, c]])
    wanted = np.diag([2**-0.2] * 2) @ turn @ np.diag([2**-0.2, 2**0.2])
    np.testing.assert_allclose(found[0, :2, :2].numpy(), wanted, atol=1e-5)
    np.testing.assert_allclose(found[0, :2, 2].numpy(), wanted @ -np.array([0.125 * 64, 0.125 * 32]), rtol=1e-4)


def test_colors_at_the_median_are_mirrored_at_gray() -> None:
    image = smooth()
    gray = image.mean(1, keepdim=True)
    torch.testing.assert_close(augment(image, 1, "c", percentile=0.5), image - 2 * gray, atol=1e-5, rtol=0)


def test_hue_keeps_brightness_and_saturation() -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 3, 8, 8)
    draw = module._Draws(1, 1.0, None, 0.49)  # no flip of brightness, hue by -2% of pi
    found = augment(image, 1, "c", percentile=0.49)
    n = math.sqrt(2) * float(torch.erfinv(torch.tensor(2 * 0.49 - 1))) / math.sqrt(2)
    assert draw.percentile == 0.49
    wanted = (image.mean(1) + n * 0.2) * 2 ** (n * 0.5)
    torch.testing.assert_close(found.mean(1), wanted, atol=1e-5, rtol=0)
    spread = (image - image.mean(1, keepdim=True)).norm(dim=1) * 2 ** (n * 0.5) * 2 ** (n * 1.0)
    torch.testing.assert_close((found - found.mean(1, keepdim=True)).norm(dim=1), spread, atol=1e-5, rtol=0)


def test_the_filter_is_nvidias(oracles) -> None:  # type: ignore[no-untyped-def]
    official = load_file(oracles / "nv_uncond64" / "augment_pipe.state_dict.safetensors")["Hz_geom"]
    taps = torch.tensor(module.SYM6)
    torch.testing.assert_close(taps / taps.sum(), official, atol=1e-6, rtol=0)


def test_chances_follow_p_and_the_seed() -> None:
    image = smooth().repeat(200, 1, 1, 1)
    found = augment(image, 0.4, "c", generator=torch.Generator().manual_seed(0))
    same = (found - image).abs().amax((1, 2, 3)) < 1e-5
    # Brightness, contrast, hue and saturation leave an image alone with 0.6 each, the flip of brightness with 0.8.
    assert abs(float(same.float().mean()) - 0.6**4 * 0.8) < 0.05
    again = augment(image, 0.4, "c", generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(found, again)


def test_gradients_and_their_gradients() -> None:
    image = smooth(8, torch.float64).requires_grad_()

    def changed(x: Tensor) -> Tensor:
        return augment(x, 1, generator=torch.Generator().manual_seed(1))

    assert torch.autograd.gradcheck(changed, (image,), atol=1e-4)
    assert torch.autograd.gradgradcheck(lambda x: changed(x).square(), (image,), atol=1e-4)


def test_adaptation() -> None:
    assert adapted(0.1, 0.9, target=0.6, images=5000, kimg=500) == pytest.approx(0.11)
    assert adapted(0.1, 0.2, target=0.6, images=5000, kimg=500) == pytest.approx(0.09)
    assert adapted(0.001, 0.2, target=0.6, images=5000, kimg=500) == 0
    assert adapted(0.1, 0.6, target=0.6, images=5000, kimg=500) == 0.1


def test_errors() -> None:
    with pytest.raises(StyleLoomError, match=r"unknown augmentations \['x'\]; choose letters of 'bgc'"):
        augment(smooth(), 1, "bx")
    with pytest.raises(StyleLoomError, match="p is 2; it must be from 0 to 1"):
        augment(smooth(), 2)
    with pytest.raises(StyleLoomError, match="images have 1 channels"):
        augment(smooth()[:, :1], 1)
