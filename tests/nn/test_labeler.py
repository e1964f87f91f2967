"""A network that tells attributes: what it gives, that it learns, and what it refuses."""

from pathlib import Path

import pytest
import torch

import styleloom
from styleloom.core.errors import StyleLoomError
from styleloom.nn import labeler as labeler
from styleloom.nn.labeler import Labeler


def small() -> Labeler:
    torch.manual_seed(0)
    return Labeler(16, ["brightness"], {"side": ["left", "right"]}, widths=(8, 16))


def test_numbers_and_choices_are_learned() -> None:
    network = small()
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    bright, right = torch.rand(256) * 2 - 1, torch.randint(0, 2, (256,))
    images = ((bright + 1) / 4)[:, None, None, None].expand(-1, 3, 16, 16).clone()
    images[right == 0, :, :, :8] += 0.3
    images[right == 1, :, :, 8:] += 0.3
    for _ in range(60):
        numbers, logits = network(images[:200])
        loss = (numbers[:, 0] - bright[:200]).square().mean() + torch.nn.functional.cross_entropy(logits["side"], right[:200])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    told, classes = network.predict(images[200:]), network.classes(images[200:])
    assert (told["brightness"] - bright[200:]).abs().mean() < 0.15
    assert (told["side"] == right[200:]).float().mean() > 0.95
    assert torch.equal(classes["side"][0], told["side"]) and classes["side"][1].min() >= 0.5
    assert torch.equal(classes["brightness"][0], told["brightness"] > 0)
    assert torch.equal(classes["brightness"][1], told["brightness"].abs())


def test_files(tmp_path: Path) -> None:
    network = small()
    labeler.save(network, tmp_path / "model.safetensors")
    found = styleloom.load(tmp_path / "model.safetensors")
    assert isinstance(found, Labeler) and found.choices == {"side": ("left", "right")}
    image = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(found(image)[0], network(image)[0], atol=1e-3, rtol=0)


def test_other_sizes_are_refused() -> None:
    with pytest.raises(StyleLoomError, match="this network tells those of 16 px"):
        small()(torch.rand(1, 3, 8, 8))
