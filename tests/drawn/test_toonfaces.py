"""Cartoon faces: the same for a seed, changed only where an attribute shows, smooth at any size."""

from collections import Counter
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch

from styleloom.core.errors import StyleLoomError
from styleloom.drawn import toonfaces


def test_a_seed_is_a_face() -> None:
    faces = [toonfaces.attributes(seed) for seed in range(5)]
    assert faces == [toonfaces.attributes(seed) for seed in range(5)] and len(set(faces)) == 5
    together = toonfaces.render(faces, 32)
    assert together.shape == (5, 3, 32, 32) and 0 <= together.min() < together.max() <= 1
    for face, image in zip(faces, together, strict=True):
        torch.testing.assert_close(toonfaces.render(face, 32)[0], image, atol=1e-6, rtol=0)


def test_attributes_are_drawn_as_often_as_they_say() -> None:
    faces = [asdict(toonfaces.attributes(seed)) for seed in range(3000)]
    for name, choices in toonfaces.CHOICES.items():
        assert abs(sum(choices.values()) - 1) < 1e-9
        counted = Counter(face[name] for face in faces)
        assert {choice: round(counted[choice] / 3000 - share, 1) for choice, share in choices.items()} == dict.fromkeys(
            choices, 0
        )
    for name, (low, high) in toonfaces.RANGES.items():
        values = torch.tensor([face[name] for face in faces])
        assert low <= values.min() < low + 0.01 and high - 0.01 < values.max() <= high
        assert abs(values.mean() - (low + high) / 2) < 0.03 * (high - low)
    assert len(toonfaces.RANGES) + len(toonfaces.CHOICES) == len(faces[0]) >= 20
    # Independent of each other.
    known = toonfaces.targets([toonfaces.attributes(seed) for seed in range(3000)])
    numbers = torch.stack([known[name].double() for name in (*toonfaces.RANGES, *toonfaces.CHOICES)])
    assert (torch.corrcoef(numbers) - torch.eye(len(numbers))).abs().max() < 0.08


@pytest.mark.parametrize(
    ("change", "window"),
    [
        (dict(smile=1.0), (0.2, 0.8, 0.5, 0.85)),
        (dict(mouth_open=1.0), (0.2, 0.8, 0.5, 0.9)),
        (dict(eye_color="green"), (0.15, 0.85, 0.3, 0.65)),
        (dict(nose_size=1.0), (0.3, 0.7, 0.4, 0.75)),
        (dict(glasses="round"), (0.1, 0.9, 0.25, 0.7)),
        (dict(hat="cap"), (0.0, 1.0, 0.0, 0.45)),
        (dict(shirt="red"), (0.0, 1.0, 0.75, 1.0)),
        (dict(brow_angle=1.0), (0.1, 0.9, 0.2, 0.55)),
        (dict(earrings="gold"), (0.0, 1.0, 0.45, 0.75)),
    ],
)
def test_a_changed_attribute_changes_its_place_alone(change: dict[str, object], window: tuple[float, ...]) -> None:
    """Left, right, top and bottom as shares of the image."""
    face = replace(toonfaces.Attributes(), smile=-1.0, hair="none")
    before, after = toonfaces.render([face, replace(face, **change)], 100)  # type: ignore[arg-type]
    left, right, top, bottom = (round(100 * place) for place in window)
    differs = (before - after).abs().amax(0) > 1e-6
    assert differs.any()
    differs[top:bottom, left:right] = False
    assert not differs.any()


def test_every_attribute_shows() -> None:
    face = toonfaces.attributes(3)
    for name, choices in toonfaces.CHOICES.items():
        changes: list[dict[str, Any]] = [{name: choice} for choice in choices]
        images = toonfaces.render([replace(face, **change) for change in changes], 64)
        assert len({tuple(image.flatten().tolist()) for image in images}) == len(choices), name
    for name, (low, high) in toonfaces.RANGES.items():
        ends: list[dict[str, Any]] = [{name: low}, {name: high}]
        pair = toonfaces.render([replace(face, **end) for end in ends], 64)
        assert (pair[0] - pair[1]).abs().max() > 0.1, name


def test_edges_are_smooth_at_any_size() -> None:
    """A large image, reduced, is the small one but for a little at the edges."""
    faces = [toonfaces.attributes(seed) for seed in range(6)]
    small, large = toonfaces.render(faces, 64), toonfaces.render(faces, 512)
    reduced = torch.nn.functional.avg_pool2d(large, 8)
    assert (reduced - small).abs().mean() < 0.01
    coarse = large[:, :, 4::8, 4::8]  # without smooth edges
    assert (reduced - small).abs().mean() < 0.6 * (reduced - coarse).abs().mean()


def test_what_is_no_face() -> None:
    with pytest.raises(StyleLoomError, match="smile is 2; it must be from -1 to 1"):
        toonfaces.Attributes(smile=2)
    with pytest.raises(StyleLoomError, match="unknown hair 'mohawk'; choose one of none, short"):
        toonfaces.Attributes(hair="mohawk")
    with pytest.raises(StyleLoomError, match="seed -1 is none"):
        toonfaces.attributes(-1)
    with pytest.raises(StyleLoomError, match="0 faces"):
        toonfaces.render([])
    with pytest.raises(StyleLoomError, match="of 8 px"):
        toonfaces.render(toonfaces.Attributes(), 8)
