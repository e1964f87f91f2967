"""Figures of made images beside true ones."""

import json
from pathlib import Path

import pytest
import sklearn.metrics
import torch
from tests.cli.program import outcome, run

from styleloom.data import images
from styleloom.metrics.image import label_scores, psnr
from styleloom.tasks.comparison import compare


def test_scores_of_label_maps_are_scikit_learns() -> None:
    torch.manual_seed(0)
    truth, told = torch.randint(4, (1, 20, 20)), torch.randint(5, (1, 20, 20))
    scores = label_scores(told, truth, 6)
    flat = truth.flatten().numpy(), told.flatten().numpy()
    assert scores["per_pixel"] == pytest.approx(sklearn.metrics.accuracy_score(*flat))
    recalls = sklearn.metrics.recall_score(*flat, labels=range(4), average=None, zero_division=0)
    assert scores["per_class"] == pytest.approx(recalls.mean())
    ious = sklearn.metrics.jaccard_score(*flat, labels=range(4), average=None, zero_division=0)
    assert scores["iou"] == pytest.approx(ious.mean())


def test_each_image_and_all() -> None:
    torch.manual_seed(0)
    truth = [torch.rand(1, 3, 64, 64) for _ in range(8)]
    made = [(each + 0.1 * torch.randn_like(each)).clamp(0, 1) for each in truth]
    steps = list(compare(zip(made, truth, strict=True), 8))
    assert [step.index for step in steps] == list(range(1, 9))
    for step, one, other in zip(steps, made, truth, strict=True):
        assert step.image["psnr"] == pytest.approx(psnr(one, other))
        assert step.image["l1"] == pytest.approx(float((one - other).abs().mean()))
    last = steps[-1].figures
    assert last["l1"] == pytest.approx(sum(step.image["l1"] for step in steps) / 8)
    assert "fd" not in steps[0].figures and last["fd"] > 0 and "vgg19-lite" in steps[-1].features
    same = list(compare(zip(truth, truth, strict=True), 8))[-1].figures
    assert same["l1"] == 0 and same["ssim"] == pytest.approx(1) and same["features"] == 0 and abs(same["fd"]) < 1e-3


def test_the_command_and_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    for folder in ("made", "truth"):
        Path(folder).mkdir()
        for index in range(3):
            images.write(torch.rand(1, 3, 64, 80), f"{folder}/{index}.png")
    assert run("compare", "made", "truth", "--page", "page.html", "--json", "--device", "cpu") == 0
    told = outcome(capsys)
    assert [row["name"] for row in told["images"]] == ["0", "1", "2"]
    own = psnr(*(images.read(f"{folder}/1.png") for folder in ("made", "truth")))
    assert told["images"][1]["psnr"] == pytest.approx(own)
    page = Path("page.html").read_text()
    assert page.count("<img") == 3 and "means of 3 images" in page and "http" not in page
    Path("truth/2.png").unlink()
    for arguments, message in (
        (["made", "truth"], "1 images have no twin in B: 2"),
        (["made", "made", "--page", "page.pdf"], "a page is called .html"),
        (["made", "made", "--labels", "none.csv"], "cannot read the color table none.csv"),
    ):
        capsys.readouterr()
        assert run("compare", *arguments, "--device", "cpu") == 2
        assert message in capsys.readouterr().err


def test_labels_are_told_of_their_colors() -> None:
    colors = [(0, 0, 0), (255, 255, 255)]
    truth = torch.zeros(1, 3, 64, 64)
    truth[..., 32:] = 1
    made = truth.clone()
    made[..., :16] = 1
    (step,) = compare([(made, truth)], 1, colors=colors)
    assert step.image["per_pixel"] == 0.75 and step.image["per_class"] == 0.75
    assert step.image["iou"] == pytest.approx((0.5 + 32 / 48) / 2)


def test_damaged_images_are_named_and_have_no_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("made", "truth"):
        Path(name).mkdir()
        for index in range(3):
            images.write(torch.full((1, 3, 40, 40), 0.1 * index + (0.2 if name == "made" else 0.1)), f"{name}/{index}.png")
    whole = Path("made/1.png").read_bytes()
    Path("made/1.png").write_bytes(whole[: len(whole) // 2])
    assert run("compare", "made", "truth", "--json") == 3
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["name"] for row in report["images"]] == ["0", "2"] and list(report["damaged"]) == ["made/1.png"]
    assert report["figures"]["l1"] == pytest.approx(sum(row["l1"] for row in report["images"]) / 2)
