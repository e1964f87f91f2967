"""Directions, against what they must be: eigenvectors, normals, and minima."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.papers import directions, progan, stylegan, stylegan2
from styleloom.papers.directions import Direction


@pytest.fixture(scope="module")
def generator() -> stylegan2.Generator:
    torch.manual_seed(0)
    recipe = stylegan2.StyleGAN2Recipe(resolution=16, channel_base=128, channel_max=16, z_dim=8, w_dim=8, mapping_layers=2)
    made = stylegan2.networks(recipe)[0]
    made.mapping.w_avg.copy_(made.estimate_w_avg(500))  # type: ignore[operator]
    return made


def brightness(image: Tensor) -> Tensor:
    """Means of the left and the right half, and of the upper one: [N, 3]."""
    side = image.shape[-1] // 2
    return torch.stack(
        [image[..., :side].mean((1, 2, 3)), image[..., side:].mean((1, 2, 3)), image[:, :, :side].mean((1, 2, 3))], 1
    )


NAMES = ("left", "right", "top")


def test_interfacegan_finds_the_plane(generator: stylegan2.Generator) -> None:
    w = generator.map(range(3000))[:, 0]
    normal = torch.linspace(-1, 1, 8)
    normal = normal / normal.norm()
    along = w @ normal - (w @ normal).median()
    for labels in ((along > 0).long(), along):
        found = directions.interfacegan(generator, w, labels, "it")
        assert found.vector.shape == (generator.num_ws, 8)
        cosine = torch.cosine_similarity(found.vector[0], normal, dim=0)
        assert float(cosine) > 0.98
        # Strength 1 is one standard deviation of w along it, the same in each row.
        unit = found.vector[0] / found.vector[0].norm()
        assert float(found.vector[0].norm()) == pytest.approx(float((w @ unit).std()), rel=0.05)
        torch.testing.assert_close(found.vector, found.vector[:1].expand_as(found.vector))
    for labels, message in ((torch.ones(3000), "all labels of it are 1"), (torch.ones(3), r"labels for 3000 latents")):
        with pytest.raises(StyleLoomError, match=message):
            directions.interfacegan(generator, w, labels, "it")


def test_interfacegan_in_w_plus(generator: stylegan2.Generator) -> None:
    torch.manual_seed(1)
    ws = torch.stack([generator.map(range(start, start + 2000))[:, 0] for start in range(0, 2000 * generator.num_ws, 2000)], 1)
    labels = ws[:, 3, 2] > ws[:, 3, 2].median()  # one number of one row decides
    found = directions.interfacegan(generator, ws, labels.long())
    assert int(found.vector.abs().argmax()) == 3 * 8 + 2


def test_conditional_is_the_papers_formula(generator: stylegan2.Generator) -> None:
    torch.manual_seed(0)
    a, b, c = (Direction(name, torch.randn(generator.num_ws, 8)) for name in "abc")
    n1, n2 = a.vector / a.vector.norm(), b.vector / b.vector.norm()
    found = directions.conditional(a, [b]).vector
    wanted = n1 - (n1 * n2).sum() * n2
    torch.testing.assert_close(found / found.norm(), wanted / wanted.norm())
    both = directions.conditional(a, [b, c]).vector
    assert abs(float((both * b.vector).sum())) < 1e-4 and abs(float((both * c.vector).sum())) < 1e-4
    assert float(both.norm()) == pytest.approx(float(a.vector.norm()), rel=1e-5)
    with pytest.raises(StyleLoomError, match="a lies within the directions"):
        directions.conditional(a, [Direction("2a", 2 * a.vector)])


def test_ganspace_is_the_pca_of_w(generator: stylegan2.Generator) -> None:
    from sklearn.decomposition import PCA

    found = directions.ganspace(generator, 3, range(2, 4), samples=2000)
    pca = PCA(3, svd_solver="full").fit(generator.map(range(2000))[:, 0].numpy())
    for place, direction in enumerate(found.values()):
        wanted = torch.from_numpy(pca.components_[place] * np.sqrt(pca.explained_variance_[place])).float()
        torch.testing.assert_close(direction.vector[2].abs(), wanted.abs(), atol=1e-4, rtol=1e-3)
        assert float(direction.vector[2][direction.vector[2].abs().argmax()]) > 0
        assert not bool(direction.vector[:2].any()) and not bool(direction.vector[4:].any())


@pytest.mark.parametrize("paper", [stylegan, stylegan2])
def test_sefa_is_the_eigenvectors_of_the_affines(paper: object) -> None:
    torch.manual_seed(0)
    make = type(paper.RECIPES["64"])  # type: ignore[attr-defined]
    recipe = make(resolution=16, channel_base=128, channel_max=16, z_dim=8, w_dim=8, mapping_layers=2)
    generator = paper.networks(recipe)[0]  # type: ignore[attr-defined]
    synthesis = generator.synthesis
    blocks = [(4, ("conv1",) if paper is stylegan2 else ("conv0", "conv1")), (8, ("conv0", "conv1")), (16, ("conv0", "conv1"))]
    affines = [synthesis.get_submodule(f"b{side}.{name}.affine").weight for side, names in blocks for name in names]
    for layers in (None, range(1, 3)):
        chosen = affines if layers is None else affines[1:3]
        rows = torch.cat([each.detach() for each in chosen]).double()
        rows = rows / rows.norm(dim=1, keepdim=True)
        _, _, v = torch.linalg.svd(rows)  # right singular vectors, another way to the same
        found = directions.sefa(generator, 4, layers)
        for place, direction in enumerate(found.values()):
            row = direction.vector[1].double()
            assert abs(float(row @ v[place]) / float(row.norm())) == pytest.approx(1, abs=1e-5)
    with pytest.raises(StyleLoomError, match="no styles"):
        directions.sefa(progan.networks(progan.ProGANRecipe(resolution=8, channel_base=32, z_dim=8))[0], 2)


def test_least_squares_changes_one_thing(generator: stylegan2.Generator) -> None:
    *_, last = directions.least_squares(generator, brightness, NAMES, samples=64, damping=1e-3)
    assert last.index == last.total == 64 and set(last.directions) == set(NAMES)
    measured = directions.effects(generator, last.directions, brightness, NAMES, strengths=(-0.01, 0.01), samples=64, seed=0)
    torch.testing.assert_close(measured.mean.diagonal(), torch.ones(3), atol=0.3, rtol=0)  # by one standard deviation
    # Plain gradients change the other half as well; these do so less.
    mean = torch.zeros(3, generator.num_ws, 8)
    for seed in range(32):
        ws = generator.map([seed]).requires_grad_(True)
        told = brightness(generator.synthesis(ws, noise_mode="const").add(1).div(2))[0]
        mean += torch.stack([torch.autograd.grad(each, ws, retain_graph=True)[0][0] for each in told])
    plain = {name: Direction(name, each / each.norm() * 0.1) for name, each in zip(NAMES, mean, strict=True)}
    before = directions.effects(generator, plain, brightness, NAMES, strengths=(-0.5, 0.5), samples=32, seed=0)
    for name in NAMES:
        assert measured.spill(name, name)["size"] < before.spill(name, name)["size"]


def test_effects_are_differences(generator: stylegan2.Generator) -> None:
    torch.manual_seed(0)
    direction = Direction("any", 0.3 * torch.randn(generator.num_ws, 8))
    found = directions.effects(generator, {"any": direction}, brightness, NAMES, strengths=(2.0,), samples=8, seed=5)
    ws = generator.map(range(5, 13))

    def told(ws: Tensor) -> Tensor:
        with torch.no_grad():
            return brightness(generator.synthesis(ws, noise_mode="const").add(1).div(2).clamp(0, 1))

    change = (told(ws + 2 * direction.vector) - told(ws)) / told(ws).std(0) / 2
    torch.testing.assert_close(found.mean[0], change.mean(0), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.size[0], change.abs().mean(0), atol=1e-4, rtol=1e-4)


def test_files(generator: stylegan2.Generator, tmp_path: Path) -> None:
    made = directions.ganspace(generator, 2, samples=100)
    directions.save(made, tmp_path / "d.safetensors")
    again = directions.load(tmp_path / "d.safetensors", generator)
    assert list(again) == ["pc0", "pc1"] and again["pc0"].method == "GANSpace"
    torch.testing.assert_close(again["pc1"].vector, made["pc1"].vector, atol=1e-3, rtol=1e-3)
    other = stylegan2.networks(stylegan2.StyleGAN2Recipe(resolution=16, channel_base=128, channel_max=16, z_dim=8, w_dim=8))[0]
    other.mapping.w_avg.fill_(1.0)  # type: ignore[operator]
    with pytest.raises(StyleLoomError, match="made for another generator"):
        directions.load(tmp_path / "d.safetensors", other)
    # InterFaceGAN's boundaries are unit normals [1, w_dim]; GANSpace's components [K, 1, w_dim] with their deviations.
    normal = np.eye(8, dtype=np.float32)[2:3]
    np.save(tmp_path / "smile.npy", normal)
    smile = directions.load(tmp_path / "smile.npy", generator)["smile"]
    spread = float(generator.map(range(4000))[:, 0, 2].std())
    torch.testing.assert_close(smile.vector, torch.from_numpy(normal).expand(generator.num_ws, -1) * spread)
    np.savez(tmp_path / "pca.npz", lat_comp=np.eye(8)[:3, None], lat_stdev=np.array([3.0, 2.0, 1.0]))
    torch.testing.assert_close(directions.load(tmp_path / "pca.npz", generator)["pc1"].vector[0], 2 * torch.eye(8)[1])
    (tmp_path / "bad.npz").write_bytes(b"PK nothing")
    np.save(tmp_path / "objects.npy", np.array([dict(a=1)], dtype=object))
    np.save(tmp_path / "wide.npy", np.ones((1, 9)))
    for name, message in {
        "bad.npz": "damaged",
        "objects.npy": "damaged, or holds objects",
        "wide.npy": r"a direction of shape \[1, 9\]",
        "none.npy": "no such file",
    }.items():
        with pytest.raises(StyleLoomError, match=message):
            directions.load(tmp_path / name, generator)
    with pytest.raises(StyleLoomError, match="name the generator too"):
        directions.load(tmp_path / "smile.npy")
