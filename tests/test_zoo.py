"""The shipped models: small enough, with a card each, and as good as the card says."""

from pathlib import Path

import pytest
import torch

from styleloom.blocks.checkpoint import read_tensors, resolve, zoo_names


@pytest.mark.parametrize("name", zoo_names())
def test_files_and_cards(name: str) -> None:
    path = resolve(name)
    tensors, metadata = read_tensors(path)
    assert all(tensor.dtype == torch.float16 for tensor in tensors.values())
    assert {"kind", "config", "format_version", "licence"} <= set(metadata)
    assert path.stat().st_size <= (4_000_000 if name == "vgg19-lite" else 16 * 2**20)
    card = path.with_suffix(".md").read_text()
    for part in ("## Data", "## Licence", "## Training", "## Quality"):
        assert part in card, f"{name}.md lacks {part}"


def test_vgg19_lite_explains_the_true_network(shared: Path) -> None:
    """R^2 of read-outs fitted on 12 and judged on 8 other held-out photographs: a small form of benchmarks/features.py."""
    from benchmarks.features import features_of, flat

    from styleloom.convert.vgg import load_features
    from styleloom.zoo.train_vgg19_lite import read_photos, read_teachers

    _, held_out = read_photos(shared / "data" / "photos256.zip")
    true, student = read_teachers(shared / "teachers")[0], load_features("vgg19-lite")
    for layer, least in {"relu1_1": 0.9, "relu2_1": 0.75, "relu3_1": 0.55}.items():
        step = {"1": 4, "2": 2}.get(layer[4], 1)
        pairs = [
            (
                flat(features_of(student, photo, [layer])[layer], step),
                flat(features_of(true, photo, [layer])[layer], step)[:, :-1],
            )
            for photo in held_out[:20]
        ]
        x, y = (torch.cat([pair[i] for pair in pairs[:12]]) for i in (0, 1))
        readout = torch.linalg.lstsq(x, y).solution
        x, y = (torch.cat([pair[i] for pair in pairs[12:]]) for i in (0, 1))
        r2 = 1 - (x @ readout - y).square().sum() / (y - y.mean(0)).square().sum()
        assert r2 > least, layer
