"""Muon against torch's own on matrices, Adam on vectors, and its orthogonal steps against the singular vectors."""

import torch
from torch import nn

from styleloom.loops.optimizers import Muon, orthogonal


def test_kernels_move_as_torchs_muon_moves_matrices() -> None:
    start = torch.randn(6, 4, 3, 3)
    kernel, matrix = nn.Parameter(start.clone()), nn.Parameter(start.flatten(1).clone())
    ours = Muon([kernel], lr=0.01)
    theirs = torch.optim.Muon([matrix], lr=0.01, weight_decay=0, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        gradient = torch.randn_like(start)
        kernel.grad, matrix.grad = gradient, gradient.flatten(1)
        ours.step()
        theirs.step()
    # torch's iterates in bf16
    torch.testing.assert_close(
        kernel.detach().flatten(1) - start.flatten(1), matrix.detach() - start.flatten(1), rtol=0.1, atol=2e-3
    )


def test_vectors_move_as_adam_moves_them() -> None:
    ours, theirs = nn.Parameter(torch.ones(5)), nn.Parameter(torch.ones(5))
    muon, adam = Muon([ours], lr=0.01), torch.optim.Adam([theirs], lr=0.01, betas=(0.9, 0.99))
    for _ in range(4):
        ours.grad = theirs.grad = torch.randn(5)
        muon.step()
        adam.step()
    torch.testing.assert_close(ours, theirs)


def test_orthogonal_keeps_singular_vectors() -> None:
    matrix = torch.randn(8, 20)
    u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonal(matrix)
    values = (u.T @ found @ vh.T).diagonal()
    assert ((values > 0.6) & (values < 1.3)).all()
    torch.testing.assert_close(orthogonal(matrix.T), found.T)
