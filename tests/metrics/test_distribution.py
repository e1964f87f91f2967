"""Distances of sets, precision and recall, against formulas written out; the Inception network's shapes and its enlarging."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.linalg import sqrtm

from styleloom import load_features
from styleloom.core.errors import StyleLoomError
from styleloom.data.datasets import SquareImages
from styleloom.metrics import inception
from styleloom.metrics.distribution import (
    Distance,
    Embedding,
    frechet_distance,
    kernel_distance,
    layer_means,
    made_images,
    precision_recall,
)
from styleloom.papers import stylegan2


def test_frechet_distance_is_that_of_two_normal_distributions() -> None:
    random = np.random.RandomState(0)
    first, second = random.randn(400, 6) @ random.randn(6, 6), random.randn(300, 6) @ random.randn(6, 6) + 1
    c1, c2 = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    wanted = np.square(first.mean(0) - second.mean(0)).sum() + np.trace(c1 + c2 - 2 * sqrtm(c1 @ c2).real)
    found = frechet_distance(torch.from_numpy(first), torch.from_numpy(second))
    assert math.isclose(found, wanted, rel_tol=1e-6)
    assert frechet_distance(torch.from_numpy(first), torch.from_numpy(first)) < 1e-6


def test_kernel_distance_is_the_unbiased_estimate() -> None:
    random = np.random.RandomState(1)
    x, y = random.randn(60, 5), random.randn(60, 5) + 0.5

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / 5 + 1) ** 3

    off = 1 - np.eye(60)
    wanted = ((kernel(x, x) + kernel(y, y)) * off).sum() / (60 * 59) - 2 * kernel(x, y).mean()
    found = kernel_distance(torch.from_numpy(x), torch.from_numpy(y), subsets=3)  # the whole sets, three times
    assert math.isclose(found, wanted, rel_tol=1e-6)
    state = torch.get_rng_state()
    assert kernel_distance(torch.from_numpy(x), torch.from_numpy(y), subset_size=20, seed=3) == kernel_distance(
        torch.from_numpy(x), torch.from_numpy(y), subset_size=20, seed=3
    )
    assert torch.equal(state, torch.get_rng_state())


def test_precision_and_recall_by_brute_force() -> None:
    random = np.random.RandomState(2)
    real, made = random.randn(50, 3), random.randn(40, 3) * 0.5 + 0.3

    def covered(support: np.ndarray, points: np.ndarray) -> float:
        inside = 0
        for point in points:
            for place, center in enumerate(support):
                others = sorted(np.linalg.norm(np.delete(support, place, 0) - center, axis=1))
                if np.linalg.norm(point - center) <= others[2]:
                    inside += 1
                    break
        return inside / len(points)

    found = precision_recall(torch.from_numpy(real), torch.from_numpy(made))
    assert found == (covered(real, made), covered(made, real))
    assert precision_recall(torch.from_numpy(real), torch.from_numpy(real) + 100) == (0, 0)
    assert precision_recall(torch.from_numpy(real), torch.from_numpy(real)) == (1, 1)


def test_sets_that_cannot_be_compared() -> None:
    with pytest.raises(StyleLoomError, match=r"shapes \[5, 3\] and \[5, 4\]"):
        frechet_distance(torch.rand(5, 3), torch.rand(5, 4))
    with pytest.raises(StyleLoomError, match="at least 4 images"):
        precision_recall(torch.rand(3, 3), torch.rand(5, 3))
    with pytest.raises(StyleLoomError, match="no images"):
        Embedding("none", lambda x: x, 1).of([])


def test_bundled_features_tell_blurred_images_from_sharp_ones() -> None:
    embedding = layer_means(load_features(), "vgg19-lite")
    images = torch.rand(60, 3, 64, 64)
    blurred = torch.nn.functional.avg_pool2d(images, 3, 1, 1)
    first, again, other = (embedding.of(part.split(20)) for part in (images[:30], images[30:], blurred[:30]))
    assert first.shape == (30, embedding.num_features)
    assert frechet_distance(first, again) < 0.2 * frechet_distance(first, other)
    # Unit mean square at each position: each layer counts by its number of channels, whatever the scale of its activations.
    single = embedding.network(images[:1])
    assert single.square().sum() <= embedding.num_features


def test_made_images_are_those_of_their_seed() -> None:
    generator = stylegan2.load("toonfaces-64")
    found = torch.cat(list(made_images(generator, 40, seed=5)))
    assert found.shape == (40, 3, 64, 64) and torch.equal(found, torch.cat(list(made_images(generator, 40, seed=5))))
    z = np.random.RandomState(5).randn(32, generator.z_dim)
    own = generator.synthesis(generator.mapping(torch.from_numpy(z[:1]).float()), "none").add(1).div(2).clamp(0, 1)
    assert (found[:1] - own).abs().mean() < 0.01 < 0.05 < (found[1:2] - own).abs().mean()  # but for the noise


def test_distance_to_a_set_is_least_for_the_set_itself(tmp_path: Path) -> None:
    generator = stylegan2.load("toonfaces-64")

    class Made(SquareImages):
        def __init__(self) -> None:
            pass

        def __len__(self) -> int:
            return 64

        def read(self, index: int) -> torch.Tensor:
            return generator.generate([index])[0]

    distance = Distance(Made(), 64, layer_means(load_features(), "vgg19-lite"))
    whole = distance(generator)
    generator.get_parameter("synthesis.b32.torgb.bias").data.add_(1)
    assert whole < 0.5 * distance(generator)


def test_inception_has_the_published_shape() -> None:
    network = inception.Inception()
    names = network.state_dict()
    # torch-fidelity's file: 23,850,960 numbers that are learned, and those names.
    assert sum(parameter.numel() for parameter in network.parameters()) == 23_850_960
    assert names["Mixed_7c.branch3x3dbl_3b.conv.weight"].shape == (384, 384, 3, 1)
    assert names["Mixed_6e.branch7x7dbl_5.bn.running_var"].shape == (192,) and names["fc.weight"].shape == (1008, 2048)
    with torch.inference_mode():
        assert network.eval()(torch.rand(1, 3, 40, 40)).shape == (1, 2048)


def test_inception_enlarges_as_tensorflow_1_does() -> None:
    image = torch.rand(1, 2, 5, 7, dtype=torch.float64)
    found = inception._enlarged(image)
    assert found.shape == (1, 2, 299, 299)
    for row, column in ((0, 0), (17, 250), (298, 298), (150, 3)):
        y, x = row * 5 / 299, column * 7 / 299
        top, left = int(y), int(x)
        bottom, right = min(top + 1, 4), min(left + 1, 6)
        v, u = y - top, x - left
        above = image[0, :, top, left] * (1 - u) + image[0, :, top, right] * u
        below = image[0, :, bottom, left] * (1 - u) + image[0, :, bottom, right] * u
        torch.testing.assert_close(found[0, :, row, column], above * (1 - v) + below * v)


def test_inception_is_loaded_from_its_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = inception.Inception().eval()
    path = tmp_path / "weights-inception-2015-12-05-6726825d.pth"
    torch.save(network.state_dict(), path)
    embedding = inception.load_embedding(path)
    image = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(embedding.network(image), network(image))
    assert embedding.num_features == 2048 and "as torch-fidelity" in embedding.name
    # pytorch-fid's file holds the same weights, and its code resizes by PyTorch's rule, to -1 to 1.
    other = path.rename(tmp_path / "pt_inception-2015-12-05-6726825d.pth")
    embedding = inception.load_embedding(other)
    enlarged = F.interpolate(image, (299, 299), mode="bilinear", align_corners=False)
    with torch.inference_mode(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(inception, "_enlarged", lambda x: enlarged * 255)
        torch.testing.assert_close(embedding.network(image), network((image * 255).round()), atol=2e-4, rtol=1e-3)
    assert "as pytorch-fid" in embedding.name
    torch.save({"conv.weight": torch.zeros(1)}, path)
    with pytest.raises(StyleLoomError, match="is not the Inception network"):
        inception.load_embedding(path)


def test_a_torchvision_for_another_torch_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> object:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr("importlib.import_module", broken)
    with pytest.raises(StyleLoomError, match=r"torchvision does not fit torch .*uninstall torchvision"):
        frechet_distance(torch.rand(5, 2), torch.rand(5, 2))
