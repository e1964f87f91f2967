"""Path length and separability where one can tell them beforehand."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from styleloom import load_features
from styleloom.core.errors import StyleLoomError
from styleloom.metrics.latent import conditional_entropy, path_length, separability
from styleloom.nn.generators import Generator
from styleloom.nn.vgg import Features


class Mapping(nn.Module):
    """w is z, bent: its first number cubed."""

    def forward(self, z: Tensor, c: Tensor | None = None, truncation_psi: float = 1.0) -> Tensor:
        return torch.cat([z[:, :1] ** 3, z[:, 1:]], 1)[:, None]


class Synthesis(nn.Module):
    """The first number of w, as a brightness."""

    def forward(self, ws: Tensor, noise_mode: str = "const", generator: torch.Generator | None = None) -> Tensor:
        return (0.1 * ws[:, 0, :1]).tanh()[:, :, None, None].expand(-1, 3, 16, 16)


class Plain(Generator):
    def __init__(self) -> None:
        super().__init__({}, z_dim=4, c_dim=0, w_dim=4, num_ws=1, resolution=16)
        self.anchor = nn.Parameter(torch.zeros(1))
        self.mapping, self.synthesis = Mapping(), Synthesis()


def test_path_length_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the squared difference of brightness for a distance, it is that of tanh along a straight way."""
    monkeypatch.setattr("styleloom.metrics.latent.perceptual_distances", lambda _, a, b, layers: (a - b).square().mean((1, 2, 3)))
    generator = Plain().double()
    options: dict[str, Any] = dict(space="w", samples=3000, epsilon=1e-3)
    features = Features(convs=(1,), widths=(1,))  # not asked
    found = path_length(generator, features, **options)
    draw, chance = np.random.RandomState(0), np.random.RandomState(0)
    lengths = []
    for start in range(0, 6000, 32):
        z = draw.randn(min(32, 6000 - start), 4).astype(np.float32)
        share = chance.rand(len(z) // 2, 1)[:, 0]
        first, second = np.split(z[:, 0].astype(float) ** 3, 2)
        slope = 0.5 * 0.1 * (second - first) / np.cosh(0.1 * (first + share * (second - first))) ** 2
        lengths += (slope**2).tolist()
    low, high = np.percentile(lengths, 1, method="lower"), np.percentile(lengths, 99, method="higher")
    wanted = np.mean([each for each in lengths if low <= each <= high])
    assert abs(found / wanted - 1) < 0.05
    assert path_length(generator, features, **options, sampling="end") > 0


def test_path_length_refuses_other_spaces() -> None:
    wrong: list[dict[str, Any]] = [dict(space="s"), dict(sampling="middle")]
    for options in wrong:
        with pytest.raises(StyleLoomError, match="unknown"):
            path_length(Plain(), load_features(), **options)


def test_entropy_that_a_plane_leaves() -> None:
    random = np.random.RandomState(0)
    x = random.randn(2000, 5)
    assert conditional_entropy(x, x @ np.arange(1, 6) > 0) < 0.05
    assert conditional_entropy(x, random.rand(2000) > 0.5) > 0.95
    assert conditional_entropy(x, np.zeros(2000)) == 0
    # A ring is not split by a plane: one bit less what the shares tell.
    inside = np.square(x[:, :2]).sum(1) < 1.386
    assert conditional_entropy(x, inside) > 0.9
    assert conditional_entropy(x, np.digitize(x[:, 0], [-0.5, 0.5])) < 0.3


def test_separability_is_better_where_the_latent_is_unbent() -> None:
    """The class is told by w's plane but not by z's: its first numbers' product."""

    class Folded(Mapping):
        def forward(self, z: Tensor, c: Tensor | None = None, truncation_psi: float = 1.0) -> Tensor:
            return torch.cat([z[:, :1] * z[:, 1:2], z[:, 1:]], 1)[:, None]

    generator = Plain()
    generator.mapping = Folded()

    def label(image: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        value = image[:, 0, 0, 0]
        return {"sign": (value > 0, value.abs()), "always": (value > -9, value)}

    found = separability(generator, label, samples=1000)
    assert "always" not in found["w"]  # nothing to tell apart
    assert found["w"]["sign"] < 0.1 and found["z"]["sign"] > 0.8
