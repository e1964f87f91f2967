"""Calm places: lattices of a known distance and strength, fog of a known share, faces that stay."""

import pytest
import torch

import styleloom as sl
from styleloom.core.errors import StyleLoomError
from styleloom.metrics.calm import face_shift, flat_places, fog, lattice
from styleloom.nn import mtcnn

NOISE = torch.randn(1, 3, 256, 320, generator=torch.Generator().manual_seed(0))
PAINTING = (0.5 + 0.02 * NOISE).clamp(0, 1)


def photograph() -> torch.Tensor:
    """A sky over a busy ground."""
    photo = torch.linspace(0.6, 0.8, 256)[:, None].expand(1, 3, 256, 320).clone()
    photo[:, :, 170:] = (0.5 + 0.3 * NOISE[:, :, 170:]).clamp(0, 1)
    return photo


def dots(period: int, strength: float) -> torch.Tensor:
    """Luma of blots at a regular distance: [256, 320]."""
    y, x = torch.arange(256)[:, None], torch.arange(320)
    wave = torch.cos(2 * torch.pi * y / period) * torch.cos(2 * torch.pi * x / period)
    return strength * wave


def test_the_sky_is_flat_and_the_ground_is_not() -> None:
    flat = flat_places(photograph())[0, 0]
    assert flat[20:140].all() and not flat[180:].any()


@pytest.mark.parametrize("period", [16, 40])
def test_a_lattice_is_seen_in_the_sky_and_not_on_the_ground(period: int) -> None:
    photo = photograph()
    calm = lattice((photo + 0.02 * NOISE).clamp(0, 1), photo, PAINTING)
    woven = lattice((photo + 0.02 * NOISE + dots(period, 0.1)).clamp(0, 1), photo, PAINTING)
    assert calm.excess < 1.3 and woven.excess > 4
    assert calm.regularity < 0.2 and woven.regularity > 0.6 and woven.own_regularity < 0.2
    below = dots(period, 0.1)
    below[:190] = 0
    assert lattice((photo + 0.02 * NOISE + below).clamp(0, 1), photo, PAINTING).excess < 1.3


def test_energy_lies_in_the_octave_of_the_wavelength() -> None:
    photo = photograph()
    by_octave = [torch.tensor(lattice(photo + dots(period, 0.05), photo, PAINTING).energies).argmax() for period in (6, 24)]
    assert by_octave[0] < by_octave[1]


def test_no_flat_place_is_an_error() -> None:
    with pytest.raises(StyleLoomError, match="of the photograph is flat"):
        lattice(PAINTING, (0.5 + 0.3 * NOISE).clamp(0, 1), PAINTING)


def test_fog_is_the_share_of_light_and_dark_that_is_lost() -> None:
    photo = sl.bundled("astronaut")
    assert fog(photo, photo) == pytest.approx(0, abs=1e-6)
    assert fog(0.5 + 0.25 * (photo - 0.5), photo) == pytest.approx(0.75, abs=1e-4)
    assert fog(torch.full_like(photo, 0.3), photo) == pytest.approx(1, abs=1e-4)
    assert fog((photo + 0.1).clamp(max=2), photo) == pytest.approx(0, abs=1e-5)  # a level alone is no fog


@pytest.mark.skipif(not mtcnn.available(), reason="needs the extra [faces]")
def test_faces_that_stay_and_faces_that_move() -> None:
    photo = sl.bundled("astronaut")
    assert face_shift(photo, photo) == pytest.approx(0, abs=1e-6)
    moved = face_shift(photo.roll(9, 3), photo)
    (face,) = mtcnn.find(photo)
    assert moved == pytest.approx(9 / (face.box[3] - face.box[1]), rel=0.25)
    assert face_shift(torch.full_like(photo, 0.5), photo) == 1.0
    assert face_shift(photo, torch.full_like(photo, 0.5)) is None
