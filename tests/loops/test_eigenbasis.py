"""The average Gauss-Newton matrix where it can be told beforehand, and Adam along its eigenvectors."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from styleloom.core.errors import StyleLoomError
from styleloom.loops import eigenbasis
from styleloom.loops.eigenbasis import EigenAdam, Eigenbasis
from styleloom.nn.generators import Generator
from styleloom.papers import progan, stylegan2


class Linear(nn.Module):
    """Images that are linear in ws."""

    def __init__(self, ws: int, dim: int) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(ws * dim, 3 * 4 * 4))

    def forward(self, ws: Tensor, noise_mode: str = "const") -> Tensor:
        return (ws.flatten(1) @ self.matrix).view(-1, 3, 4, 4)


class Mapping(nn.Module):
    def __init__(self, ws: int) -> None:
        super().__init__()
        self.ws = ws

    def forward(self, z: Tensor, c: Any = None, psi: float = 1.0, cutoff: Any = None) -> Tensor:
        return z[:, None].expand(-1, self.ws, -1)


class Plain(Generator):
    def __init__(self) -> None:
        super().__init__({}, z_dim=3, c_dim=0, w_dim=3, num_ws=2, resolution=4)
        self.mapping, self.synthesis = Mapping(2), Linear(2, 3)
        self.mapping.register_buffer("w_avg", torch.zeros(3))


def basis_of(generator: Generator, **options: Any) -> Eigenbasis:
    *_, last_one = eigenbasis.eigenbasis(generator, lambda image: [(image, 2.0)], **options)
    assert last_one.basis is not None
    return last_one.basis


def test_eigenvectors_of_a_linear_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(eigenbasis, "BATCH", 500)
    generator = Plain()
    found = basis_of(generator, samples=8_000)
    matrix = torch.as_tensor(generator.synthesis.matrix).detach()
    values, vectors = torch.linalg.eigh(matrix @ matrix.T)
    # Images in [0, 1] change by half as much as those in [-1, 1], squares by a quarter; and each counts twice.
    torch.testing.assert_close(found.values, values.flip(0) / 2, rtol=0.05, atol=0.2)
    agreement = (found.vectors * vectors.flip(1)).sum(0).abs()
    assert agreement.min() > 0.95
    assert basis_of(generator, samples=200, keep=2).vectors.shape == (6, 2)


def test_a_generator_of_one_w_has_a_basis() -> None:
    network = progan.Generator(4, 0, 8, 3, synthesis_kwargs=dict(channel_base=32, channel_max=4)).eval().requires_grad_(False)
    assert network.num_ws == 1 and basis_of(network, samples=40).vectors.shape == (4, 4)


def test_what_a_basis_leaves_has_coordinates() -> None:
    """Fewer samples than dimensions, and a layer above the compared resolution: every ws comes back, and Adam moves all of it."""
    torch.manual_seed(0)
    sizes = dict(channel_base=64, channel_max=8)
    network = (
        stylegan2.Generator(4, 0, 4, 16, synthesis_kwargs=sizes, mapping_kwargs=dict(num_layers=1)).eval().requires_grad_(False)
    )
    assert network.layers_up_to(8) == 4 and network.num_ws == 6
    found = basis_of(network, samples=6, side=8)
    assert found.vectors.shape == (16, 6) and len(found.values) == 6 + 16 + 8
    ws = torch.randn(3, 6, 4)
    torch.testing.assert_close(found.back(found.rotate(ws)), ws, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.leading().rotate(ws)[:, :6], found.rotate(ws)[:, :6])
    w = torch.zeros(6, 4, requires_grad=True)
    target = torch.randn(6, 4)
    optimizer = EigenAdam([w], found, lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        (w - target).square().sum().backward()
        optimizer.step()
    assert float((w - target).detach().abs().max()) < 0.2


def test_a_basis_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    state = tmp_path / "basis.state"
    torch.manual_seed(0)
    generator = Plain()
    whole = basis_of(generator, samples=160, batch=16)
    for progress in eigenbasis.eigenbasis(generator, lambda image: [(image, 2.0)], samples=160, batch=16, state=state):
        if progress.index == 96:
            break
    assert state.exists()
    found = basis_of(generator, samples=160, batch=16, state=state)
    torch.testing.assert_close(found.values, whole.values, rtol=0, atol=0)
    torch.testing.assert_close(found.vectors, whole.vectors, rtol=0, atol=0)
    with pytest.raises(StyleLoomError, match="belongs to a run with other"):
        basis_of(generator, samples=200, batch=16, state=state)


def test_adam_in_a_plain_basis_is_adam() -> None:
    identity = Eigenbasis(torch.eye(6), torch.full((6,), 1 / 6), torch.ones(6), 2, 3)
    ours, theirs = torch.randn(2, 2, 3).unbind(0), None
    theirs = [each.clone().requires_grad_(True) for each in ours]
    mine = [each.clone().requires_grad_(True) for each in ours]
    pair = EigenAdam(mine, identity, lr=0.1, eps=1e-8), torch.optim.Adam(theirs, lr=0.1, betas=(0.8, 0.95))
    for _ in range(5):
        for optimizer, params in zip(pair, (mine, theirs), strict=True):
            optimizer.zero_grad()
            sum((each**4).sum() + each.prod() for each in params).backward()  # type: ignore[union-attr]
            optimizer.step()
    torch.testing.assert_close(torch.stack(mine), torch.stack(theirs))


def test_adam_in_a_turned_basis_turns_with_it() -> None:
    """Of an ill-conditioned square it finds the bottom as soon as if it stood straight."""
    torch.manual_seed(1)
    turn = torch.linalg.qr(torch.randn(6, 6))[0]
    scales = torch.logspace(0, -3, 6)
    found = []
    for vectors in (torch.eye(6), turn):
        w = (vectors @ torch.ones(6)).view(2, 3).requires_grad_(True)
        optimizer = EigenAdam([w], Eigenbasis(vectors, scales, torch.ones(6), 2, 3), lr=0.1)
        for _ in range(30):
            optimizer.zero_grad()
            (scales * (w.flatten() @ vectors).square()).sum().backward()
            optimizer.step()
        found.append(w.detach().flatten() @ vectors)
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-3)


def test_files_and_mistakes(tmp_path: Path) -> None:
    found = basis_of(Plain(), samples=50)
    found.save(tmp_path / "basis.safetensors")
    again = eigenbasis.load(tmp_path / "basis.safetensors")
    torch.testing.assert_close(again.vectors, found.vectors, atol=1e-3, rtol=1e-3)
    with pytest.raises(StyleLoomError, match=r"latents of shape \[3, 3\]; this basis takes \[2, 3\]: use space w_plus"):
        EigenAdam([torch.zeros(3, 3, requires_grad=True)], found)
