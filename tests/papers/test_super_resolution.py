"""Enlarging four times: what it starts from, tiles, a short training whose loss falls, files and errors."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.run import Run
from styleloom.data import images
from styleloom.nn.vgg import Features
from styleloom.papers import super_resolution
from styleloom.papers.super_resolution import Upscaler, UpscalerRecipe, upscale


@pytest.fixture
def photo() -> Tensor:
    """A colorful image of odd sides, [1, 3, 61, 83]."""
    torch.manual_seed(5)
    return images.resize(torch.rand(1, 3, 20, 28), (61, 83))


@pytest.fixture
def network() -> Upscaler:
    """A narrow network that adds something of its own."""
    torch.manual_seed(0)
    network = Upscaler(width=6, blocks=2)
    torch.nn.init.normal_(network.last.weight, std=0.05)
    return network.eval().requires_grad_(False)


def test_it_begins_as_the_bicubic_enlargement(photo: Tensor) -> None:
    found = upscale(photo, Upscaler(width=6, blocks=2))
    torch.testing.assert_close(found, F.interpolate(photo, scale_factor=4, mode="bicubic").clamp(0, 1))


@pytest.mark.parametrize("tile", [16, 32])
def test_tiles_are_the_whole(network: Upscaler, photo: Tensor, tile: int) -> None:
    whole = upscale(photo, network, tile=0)
    assert whole.shape == (1, 3, 244, 332)
    assert (whole - upscale(photo, Upscaler(width=6, blocks=2), tile=0)).abs().mean() > 0.01
    torch.testing.assert_close(upscale(photo, network, tile=tile), whole, rtol=0, atol=1e-5)
    as_bytes = upscale((photo * 255).round().to(torch.uint8), network, tile=tile)
    assert as_bytes.dtype == torch.uint8
    assert (as_bytes.float() / 255 - whole).abs().mean() < 1 / 255


def test_reach_is_how_far_a_pixel_looks(network: Upscaler) -> None:
    torch.manual_seed(1)
    side = 2 * network.reach + 9
    image = torch.rand(1, 3, side, side, requires_grad=True)
    middle = side // 2
    network(image)[..., 4 * middle, 4 * middle].sum().backward()
    assert image.grad is not None
    rows = image.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert middle - rows.min() <= network.reach
    assert rows.max() - middle <= network.reach


def test_training_beats_what_it_starts_from_and_loads_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    for index in range(4):  # checkerboards: bicubic enlargement cannot draw their edges
        board = torch.rand(1, 3, 4, 4).round().repeat_interleave(24, 2).repeat_interleave(24, 3)
        images.write(board, tmp_path / f"{index}.png")
    recipe = UpscalerRecipe(
        num_steps=200,
        size=32,
        width=8,
        blocks=1,
        lr=4e-3,
        batch=4,
        feature_weight=0,
        pixel_weight=100,
        ema_decay=0,
        save_every=200,
    )
    ticks = list(super_resolution.train(tmp_path, recipe, run=Run(tmp_path / "run")))
    first, last = (sum(sum(tick.losses.values()) for tick in part) for part in (ticks[:25], ticks[-25:]))
    assert last < 0.9 * first
    board = images.read(tmp_path / "0.png")[..., :64, :64]
    small = super_resolution.reduced(board)
    found = upscale(small, tmp_path / "run" / "model.safetensors")
    assert F.mse_loss(found, board) < 0.9 * F.mse_loss(images.resize(small, (64, 64)), board)


def test_objective_is_its_terms(photo: Tensor) -> None:
    features = Features(convs=(2, 2), widths=(4, 6))
    truth, layers = torch.rand_like(photo), ("relu1_2", "relu2_2")
    found, wanted = features(photo, layers), features(truth, layers)
    shares = [F.mse_loss(found[layer], wanted[layer]) / wanted[layer].square().mean() for layer in layers]
    losses = super_resolution.objective(features, photo, truth, UpscalerRecipe(feature_weight=3, pixel_weight=2, layers=layers))
    torch.testing.assert_close(losses["features"], 3 * torch.stack(shares).mean())
    torch.testing.assert_close(losses["pixels"], 2 * (photo - truth).square().mean())


def test_texture_is_the_amplitude_of_what_is_fine() -> None:
    checks = (torch.arange(64)[:, None] + torch.arange(64)[None]) % 2 * 0.2 + 0.4  # 0.1 around 0.5
    found = super_resolution.fine_texture(checks.expand(1, 3, 64, 64))[..., 1:-1, 1:-1]
    torch.testing.assert_close(found, torch.full_like(found, 0.1 * 24 / 25), rtol=0.02, atol=0)  # a blur keeps 1 of 25
    slope = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    assert super_resolution.fine_texture(slope)[..., 1:-1, 1:-1].max() < 1.1e-3


def test_errors(tmp_path: Path, network: Upscaler) -> None:
    with pytest.raises(StyleLoomError, match="5 x 40 is too small"):
        upscale(torch.rand(1, 3, 40, 5), network)
    with pytest.raises(StyleLoomError, match="tile is -1"):
        upscale(torch.rand(1, 3, 40, 40), network, tile=-1)
    with pytest.raises(StyleLoomError, match="size is 66"):
        next(super_resolution.train(tmp_path, UpscalerRecipe(size=66), run=Run(tmp_path / "run")))
    with pytest.raises(StyleLoomError, match="nothing would be learned"):
        next(super_resolution.train(tmp_path, UpscalerRecipe(feature_weight=0, pixel_weight=0), run=Run(tmp_path / "run")))
    with pytest.raises(StyleLoomError, match="unknown optimizer"):
        next(super_resolution.train(tmp_path, UpscalerRecipe(optimizer="sgd"), run=Run(tmp_path / "run")))
