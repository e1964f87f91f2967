"""One verb for every method: whatever holds an image is taken, and a mask means the same everywhere."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.cli.program import run
from torch import Tensor

import styleloom as sl
from styleloom.core.errors import StyleLoomError
from styleloom.papers import ghiasi

FAST: dict[str, Any] = dict(size=64, first_size=64, first_steps=2)


@pytest.fixture
def photo() -> Tensor:
    torch.manual_seed(0)
    return (torch.rand(1, 3, 48, 64) * 255).round() / 255


def test_whatever_holds_an_image(photo: Tensor, tmp_path: Path) -> None:
    sl.write(photo, tmp_path / "photo.png")
    array = (photo[0].permute(1, 2, 0) * 255).byte().numpy()
    style = sl.bundled("wave")
    wanted = sl.stylize(photo, style, method="adain")
    same: Any
    for same in (
        tmp_path / "photo.png",
        str(tmp_path / "photo.png"),
        array,
        array.astype(np.uint16) * 257,
        Image.fromarray(array),
    ):
        torch.testing.assert_close(sl.stylize(same, "wave", method="adain"), wanted, atol=1e-5, rtol=0)
    for same in (photo[0], (photo * 255).byte(), array.astype(np.float64) / 255):
        torch.testing.assert_close(sl.stylize(same, [style], method="adain"), wanted, atol=1e-5, rtol=0)
    assert sl.upscale(tmp_path / "photo.png").shape == (1, 3, 192, 256)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (torch.rand(1, 3, 32, 32) * 255, "content has values from .*; wanted 0 to 1; divide by 255"),
        (torch.full((1, 3, 32, 32), float("nan")), "content has values from nan"),
        (torch.rand(1, 4, 32, 32), r"content is torch.float32 of shape \[1, 4, 32, 32\]"),
        (np.zeros((32, 32, 4), np.uint8), r"content is an array of uint8 of shape \[32, 32, 4\]"),
        (np.zeros((32, 32), np.int64), "content is an array of int64"),
        (None, "content is a NoneType"),
        ("nowhere.png", "no such image: nowhere.png"),
    ],
)
def test_what_is_no_image(wrong: Any, message: str) -> None:
    with pytest.raises(StyleLoomError, match=message):
        sl.stylize(wrong, "wave", method="adain")


def test_a_mask_keeps_the_photograph_to_the_bit(photo: Tensor, tmp_path: Path) -> None:
    mask = torch.zeros(1, 1, 48, 64)
    mask[..., 20:] = 1
    torch.manual_seed(1)
    anystyle = ghiasi.AnyStyle(sl.load_features(), width=8, deep_width=16).eval().requires_grad_(False)
    calls: dict[str, tuple[Any, dict[str, Any]]] = {
        "gatys": ("wave", dict(preset="draft", **FAST)),
        "adain": ("wave", {}),
        "ghiasi": ("wave", dict(model=anystyle)),
        "dumoulin": ("swirls", {}),
        "johnson": ("johnson-swirls", {}),
    }
    for method, (style, options) in calls.items():
        found = sl.stylize(photo, style, method, mask=mask, **options)
        assert torch.equal(found[..., :20], photo[..., :20]), method
        assert (found[..., 24:] - photo[..., 24:]).abs().mean() > 0.02, method
    sl.write(photo, tmp_path / "photo.png")
    sl.write(mask.expand(1, 3, -1, -1), tmp_path / "mask.png")
    for method, (style, _) in calls.items():
        if method == "ghiasi":
            continue
        more = ["--size", "64", "--first-size", "64", "--first-steps", "2", "--preset", "draft"] if method == "gatys" else []
        files = [str(tmp_path / "photo.png"), style, "--mask", str(tmp_path / "mask.png"), "-o", str(tmp_path / f"{method}.png")]
        assert run("stylize", *files, "--method", method, "--device", "cpu", *more) == 0
        assert torch.equal(sl.read(tmp_path / f"{method}.png")[..., :20], photo[..., :20]), method


def test_any_torch_optimizer_inverts() -> None:
    G = sl.stylegan2.load("toonfaces-64")
    target = G.generate([3])
    optimizers: list[Any] = [torch.optim.RAdam, lambda params: torch.optim.SGD(params, lr=1.0)]
    for optimizer in optimizers:
        result = sl.invert(G, target, optimizer=optimizer, num_steps=20)
        assert result.losses[-1] < result.losses[0]
        assert result.optimizer == optimizer.__name__


def test_quick_starts_from_one_pass(photo: Tensor) -> None:
    mask = torch.zeros(1, 1, 48, 64)
    mask[..., :32] = 1
    still: Any = dict(FAST, first_steps=1, lr=1e-9)
    for styles, options in (
        (["wave"], {}),
        (["wave", "mosaic"], dict(weights=[0.3, 0.7])),
        (["wave", "mosaic"], dict(mask=mask)),
        (["wave"], dict(keep_color="matching")),
    ):
        found = sl.stylize(photo, styles, preset="quick", **still, **options)
        wanted = sl.stylize(photo, styles, "ghiasi", size=64, **options)
        assert (found - wanted).abs().mean() < (0.02 if "keep_color" in options else 1e-5)
        assert (found - photo).abs().mean() > 0.05


def test_quick_is_nearer_to_the_style_than_one_pass() -> None:
    photo, style = sl.resize_to_fit(sl.read("coffee"), 128), sl.draw("swirls", 128)
    objective = sl.gatys.objective_of(photo, [style], None, None, [1.0], sl.gatys.PRESETS["quick"], sl.load_features(), (85, 128))

    def loss(image: Tensor) -> float:
        return float(sum(objective(sl.gatys.with_margin(image, 12)).values()))

    quick = sl.stylize(photo, style, preset="quick")
    from_photo = sl.stylize(photo, style, preset="quick", init="content")
    assert loss(quick) < loss(from_photo) < loss(photo)
    assert loss(quick) < loss(sl.stylize(photo, style, "ghiasi"))


def test_options_of_gatys_alone(photo: Tensor) -> None:
    for given in (dict(init=photo), dict(content_mask=photo[:, :1]), dict(features=sl.load_features())):
        with pytest.raises(StyleLoomError, match=f"{next(iter(given))} given, for gatys alone"):
            sl.stylize(photo, "wave", "adain", **given)
    wrongs: list[tuple[dict[str, Any], str]] = [
        (dict(content_mask="hands"), "content_mask is 'hands'; give 'faces' or a tensor"),
        (dict(content_mask=np.zeros((48, 64))), "content_mask is a ndarray; give 'faces' or a tensor"),
        (dict(content_mask=torch.zeros(1, 1, 48, 64), mask=torch.ones(1, 1, 48, 64)), "content_mask is empty"),
        (dict(content_mask=torch.ones(1, 1, 4, 6)), "content_mask has shape"),
        (dict(content_mask=torch.full((1, 1, 48, 64), 255.0)), "content_mask has values up to 255; wanted 0 to 1"),
        (dict(mask=torch.full((1, 1, 48, 64), 2.0)), "mask 1 has values up to 2; wanted 0 to 1"),
        (dict(init=np.zeros((48, 64, 4), np.uint8)), "init is an array"),
        (dict(init=lambda content, size: content[:, :1]), "init is torch.float32 of shape"),
        (dict(features=Path("vgg.pth")), "features is a PosixPath; give the name or file of a network"),
    ]
    for options, message in wrongs:
        with pytest.raises(StyleLoomError, match=message):
            sl.stylize(photo, "wave", **FAST, **options)
    array = (photo[0].movedim(0, 2) * 255).byte().numpy()
    begun = [sl.stylize(photo, "wave", init=init, **FAST) for init in (photo, array, lambda content, size: photo)]
    assert all(torch.allclose(each, begun[0], atol=1e-4) for each in begun)
    assert sl.stylize(photo, "wave", "adain", init=None).shape == photo.shape
    kept = torch.ones(1, 1, 48, 64)
    loose, tight = (sl.stylize(photo, "wave", content_mask=mask, **FAST) for mask in (None, kept))
    same = sl.gatys.stylize(photo, sl.bundled("wave"), sl.gatys.configure(**FAST), content_mask=lambda image: kept)
    assert torch.equal(tight, same) and not torch.equal(tight, loose)


def test_masks_and_a_content_mask_without_a_margin(photo: Tensor) -> None:
    mask, kept = torch.zeros(2, 1, 1, 48, 64)
    mask[..., :32], kept[..., 20:] = 1, 1
    options: dict[str, Any] = dict(size=96, first_size=64, first_steps=1, steps=1, mask=mask, content_mask=kept)
    for style in ("wave", ["wave", "mosaic"]):
        plain, within = (sl.stylize(photo, style, margin=margin, **options) for margin in (0, 12))
        assert plain.shape == within.shape == (1, 3, 72, 96) and (plain - within).abs().mean() < 0.05


def test_a_job_of_quick_paints_what_the_verb_paints(photo: Tensor, tmp_path: Path) -> None:
    sl.write(photo, tmp_path / "photo.png")
    sl.write(torch.linspace(0, 1, 64).expand(1, 3, 48, 64), tmp_path / "mask.png")
    options: dict[str, Any] = dict(preset="quick", weights=[0.2, 0.8], **FAST)
    mask = sl.read(tmp_path / "mask.png")[:, :1]
    *_, finished = sl.jobs.stylize(
        tmp_path / "photo.png", ["wave", "mosaic"], out=tmp_path / "out.png", mask=[tmp_path / "mask.png"], **options
    )
    assert isinstance(finished, sl.jobs.Finished) and not finished.failed
    wanted = sl.stylize(tmp_path / "photo.png", ["wave", "mosaic"], mask=mask, **options)
    assert (sl.read(tmp_path / "out.png") - wanted).abs().max() < 2 / 255


def test_a_narrow_image_is_told_with_the_size_that_would_do() -> None:
    narrow = torch.rand(1, 3, 30, 2000)
    with pytest.raises(StyleLoomError, match=r"smaller than 32 pixels.*at size 1024; give a size of 2134 or"):
        sl.stylize(narrow, "wave", preset="quick")
    with pytest.raises(StyleLoomError, match=r"style 1 would be smaller than 32 pixels.*give a size of 2134 or more"):
        sl.stylize(torch.rand(1, 3, 64, 64), narrow, preset="quick")


def test_quick_alone_needs_a_start(photo: Tensor) -> None:
    config = sl.gatys.configure("quick", **FAST)
    with pytest.raises(StyleLoomError, match='init "one-pass" and no network to paint it'):
        next(sl.gatys.steps(photo, sl.bundled("wave"), config))
    last = list(sl.gatys.steps(photo, sl.bundled("wave"), config, init=lambda content, size: 1 - content))[-1]
    assert (last.image - (1 - photo)).abs().mean() < (last.image - photo).abs().mean()
