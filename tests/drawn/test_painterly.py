"""The drawn style images: always the same, all different, none flat."""

import itertools

import pytest
import torch

from styleloom.core.errors import StyleLoomError
from styleloom.data.bundled import NAMES, PHOTOGRAPHS, bundled
from styleloom.drawn.painterly import STYLES, draw
from styleloom.nn.losses import gram_matrix


@pytest.mark.parametrize("name", STYLES)
def test_each_is_deterministic_and_full_of_life(name: str) -> None:
    image = draw(name, 96)
    assert image.shape == (1, 3, 96, 96) and image.dtype == torch.float32
    assert image.min() >= 0 and image.max() <= 1
    assert torch.equal(image, draw(name, 96))
    assert image.std() > 0.08
    assert (image - draw(name, 96, seed=1)).abs().mean() > 0.03


def test_there_are_sixteen_and_they_differ() -> None:
    images = {name: draw(name, 96) for name in STYLES}
    assert len(images) == 16
    for one, other in itertools.combinations(images, 2):
        distance = (gram_matrix(images[one]) - gram_matrix(images[other])).norm() + (images[one] - images[other]).abs().mean()
        assert distance > 0.05, (one, other)


def test_samples() -> None:
    for name in PHOTOGRAPHS:
        image = bundled(name)
        assert image.shape[1] == 3 and min(image.shape[-2:]) >= 300 and 0 <= image.min() < image.max() <= 1
    assert torch.equal(bundled("mosaic"), draw("mosaic", 512)) and len(NAMES) == 20
    for wrong in (lambda: bundled("dog"), lambda: draw("dog"), lambda: draw("wave", 10)):
        with pytest.raises(StyleLoomError, match=r"choose one of|at least 64"):
            wrong()
