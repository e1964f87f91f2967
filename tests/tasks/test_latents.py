"""Latents and directions as other projects keep them."""

from pathlib import Path

import numpy as np
import pytest
import torch

import styleloom as sl
from styleloom.core.errors import StyleLoomError
from styleloom.papers import directions
from styleloom.papers.stylegan2 import StyleGAN2Recipe, networks


@pytest.fixture(scope="module")
def generator() -> sl.Generator:
    torch.manual_seed(0)
    return networks(StyleGAN2Recipe(resolution=16, channel_base=64, channel_max=8, z_dim=8, w_dim=8))[0]


def test_tensors_and_dictionaries_of_latents(generator: sl.Generator, tmp_path: Path) -> None:
    ws = generator.map([1])
    torch.save(ws, tmp_path / "e4e.pt")
    torch.save({"a.png": {"latent": ws[0], "noise": []}, "b.png": {"latent": ws[0], "noise": []}}, tmp_path / "projected.pt")
    np.save(tmp_path / "face.npy", ws[0].numpy())
    np.savez(tmp_path / "PROJECTED_W.NPZ", w=ws.numpy())
    (tmp_path / "PROJECTED_W.NPZ.npz").rename(tmp_path / "PROJECTED_W.NPZ")
    torch.save(ws[0, 0], tmp_path / "w.pt")
    for name, count in (("e4e.pt", 1), ("projected.pt", 2), ("face.npy", 1), ("PROJECTED_W.NPZ", 1), ("w.pt", 1)):
        torch.testing.assert_close(sl.load_latents(tmp_path / name, generator).ws, ws.expand(count, -1, -1))
    torch.save(torch.rand(1, 3, 8), tmp_path / "other.pt")
    with pytest.raises(StyleLoomError, match=r"latents of shape \[1, 3, 8\]; this generator wants \[N, "):
        sl.load_latents(tmp_path / "other.pt", generator)


def test_directions_as_tensors_and_in_capitals(generator: sl.Generator, tmp_path: Path) -> None:
    vector = torch.randn(1, 8, generator=torch.Generator().manual_seed(0))
    torch.save(vector, tmp_path / "age.pt")
    np.save(tmp_path / "small.npy", vector.numpy())
    (tmp_path / "AGE.NPY").write_bytes((tmp_path / "small.npy").read_bytes())
    one, two = (directions.load(tmp_path / name, generator) for name in ("age.pt", "AGE.NPY"))
    assert list(one) == ["age"] and list(two) == ["AGE"]
    assert torch.equal(one["age"].vector, two["AGE"].vector)
