"""Mixing, walks and figures, by what they must be at their ends."""

from itertools import pairwise

import pytest
import torch

import styleloom as sl
from styleloom.core.errors import StyleLoomError
from styleloom.nn.generators import slerp
from styleloom.papers import progan, stylegan2
from styleloom.tasks import sampling


@pytest.fixture(scope="module")
def generator() -> stylegan2.Generator:
    torch.manual_seed(0)
    made = stylegan2.networks(stylegan2.StyleGAN2Recipe(resolution=64, channel_base=128, channel_max=8, z_dim=8, w_dim=8))[0]
    for name, p in made.named_parameters():
        if name.endswith("noise_strength"):
            p.data.fill_(0.2)
    made.mapping.w_avg.copy_(made.estimate_w_avg(500))  # type: ignore[operator]
    return made


def test_mix(generator: stylegan2.Generator) -> None:
    first, second = generator.map([1]), generator.map([2, 3])
    chosen = {"coarse": range(4), "middle": range(4, 8), "fine": range(8, 10), "all": range(10), "3-5": range(3, 6), "7": [7]}
    for layers, taken in chosen.items():
        found = sl.mix(first, second, layers)
        assert found.shape == (2, 10, 8)
        for layer in range(10):
            torch.testing.assert_close(found[:, layer], (second if layer in taken else first.expand(2, -1, -1))[:, layer])
    wrong = {"loud": "unknown layers 'loud'", "8-12": "layers 8-12 are not there; this generator has 0-9", "5-2": "not there"}
    for layers, message in wrong.items():
        with pytest.raises(StyleLoomError, match=message):
            sl.mix(first, second, layers)
    with pytest.raises(StyleLoomError, match="fine layers begin at 8, and this generator has 0-7"):
        sl.mix(first[:, :8], second[:, :8], "fine")
    with pytest.raises(StyleLoomError, match="do not fit each other"):
        sl.mix(first[:, :8], second)
    with pytest.raises(StyleLoomError, match="do not fit each other"):
        sl.mix(generator.map([1, 2, 3]), second)
    with pytest.raises(StyleLoomError, match="do not fit each other"):
        sl.mix(first[:, 0], second[:, 0])


def test_mixing_rows(generator: stylegan2.Generator) -> None:
    rows = sampling.mixing_rows(generator, [1, 2], [3, 4, 5], "middle", truncation_psi=0.5)
    assert [tuple(row.shape) for row in rows] == [(4, 3, 64, 64)] * 3
    sources, others = generator.map([1, 2], truncation_psi=0.5), generator.map([3, 4, 5], truncation_psi=0.5)
    wanted = next(generator.render(sl.mix(others[1:2], sources[:1], "middle")))
    torch.testing.assert_close(rows[1][2:3], wanted, atol=1e-5, rtol=0)
    torch.testing.assert_close(rows[2][:1], next(generator.render(sources[1:])), atol=1e-5, rtol=0)
    assert bool((rows[0][0] == 1).all())


def test_truncation_sheet_ends_at_the_mean(generator: stylegan2.Generator) -> None:
    sheet = sampling.truncation_sheet(generator, [1, 2], [1.0, 0.0])
    mean = sampling.mean_image(generator)
    for top in (0, 68):
        torch.testing.assert_close(sheet[..., top : top + 64, 68:], mean, atol=1e-5, rtol=0)
    torch.testing.assert_close(sheet[..., :64, :64], generator.generate([1]), atol=1e-5, rtol=0)
    same = sampling.truncation_sheet(generator, [7], [1.0, 1.0], noise_mode="random")
    torch.testing.assert_close(same[..., :64], same[..., 68:])  # a row has one noise


def test_walks(generator: stylegan2.Generator) -> None:
    found = list(sampling.walk(generator, [1, 2, 3], frames=4, truncation_psi=0.7))
    assert len(found) == 12
    ws = generator.map([1, 2, 3], truncation_psi=0.7)
    for place in range(3):
        torch.testing.assert_close(found[4 * place], ws[place : place + 1])
        torch.testing.assert_close(found[4 * place + 1], ws[place : place + 1].lerp(ws[[(place + 1) % 3]], 0.25))
    spheric = list(sampling.walk(generator, [1, 2], frames=4, space="z", loop=False))
    assert len(spheric) == 5
    torch.testing.assert_close(spheric[-1], generator.map([2], truncation_psi=0.7))
    steps = [float((b - a).norm()) for a, b in pairwise(found)]
    assert min(steps) > 0
    for arguments, message in ((dict(seeds=[1]), "1 seeds and 48 frames"), (dict(seeds=[1, 2], space="q"), "unknown space 'q'")):
        with pytest.raises(StyleLoomError, match=message):
            next(sampling.walk(generator, **arguments))


def test_slerp_keeps_to_the_sphere_at_even_pace() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(3, 16), torch.randn(3, 16)
    a, b = a / a.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True)
    mode = [slerp(a, b, share) for share in (0, 0.25, 0.5, 0.75, 1)]
    torch.testing.assert_close(mode[0], a)
    torch.testing.assert_close(mode[-1], b)
    for each in mode:
        torch.testing.assert_close(each.norm(dim=1), torch.ones(3))
    angles = torch.stack([(x * y).sum(1).acos() for x, y in pairwise(mode)])
    torch.testing.assert_close(angles, angles[:1].expand_as(angles), atol=1e-4, rtol=0)
    torch.testing.assert_close(slerp(a, a, 0.3), a)


def test_noise_figure(generator: stylegan2.Generator) -> None:
    figure = sampling.noise_figure(generator, 1, draws=8)
    below = figure[..., 68:, :]
    assert below.shape[-1] == 7 * 68 - 4  # all, none, and 4 to 64 px
    spreads = [float(below[..., start : start + 64].mean()) for start in range(0, 7 * 68, 68)]
    assert spreads[1] == 0  # without noise
    assert spreads[0] > max(spreads[2:])
    assert min(spreads[2:]) > 0
    with pytest.raises(StyleLoomError, match="this progan generator has no noise"):
        sampling.noise_figure(progan.networks(progan.ProGANRecipe(resolution=8, channel_base=32, z_dim=8))[0], 1)
