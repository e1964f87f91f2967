"""Painters: made ready once, the same to the bit as painting image by image, whatever is asked of them."""

import pytest
import torch

import styleloom as sl
from styleloom.core.errors import StyleLoomError
from styleloom.papers import adain, dumoulin, ghiasi, johnson
from styleloom.tasks.painting import painter

PHOTOS = torch.rand(3, 3, 48, 56, generator=torch.Generator().manual_seed(0))
STYLES = [torch.rand(1, 3, 40, 64, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]


def test_a_style_is_embedded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ghiasi.load()
    embedded = []
    embed = model.embed
    monkeypatch.setattr(model, "embed", lambda style: embedded.append(1) or embed(style))  # type: ignore[func-returns-value]
    paint = ghiasi.painter(ghiasi.configure(), STYLES, model=model)
    results = [paint(PHOTOS), paint(PHOTOS[:1])]
    assert len(embedded) == 2
    torch.testing.assert_close(results[0][:1], results[1], rtol=0, atol=1e-5)
    assert torch.equal(results[1], ghiasi.stylize(PHOTOS[:1], STYLES, ghiasi.configure()))


@pytest.mark.parametrize("method", ["ghiasi", "adain", "dumoulin"])
@pytest.mark.parametrize("settings", [{}, {"alpha": 0.5}, {"keep_color": "luminance"}])
def test_bytes_in_bytes_out_and_single_images_alike(method: str, settings: dict[str, object]) -> None:
    module = {"ghiasi": ghiasi, "adain": adain, "dumoulin": dumoulin}[method]
    styles = ["wave", "mosaic"] if method == "dumoulin" else STYLES
    paint = module.painter(module.configure(**settings), styles, [1.0, 3.0])
    bytes_ = (PHOTOS * 255).round().byte()
    whole = paint(bytes_)
    assert whole.dtype == torch.uint8 and whole.shape == PHOTOS.shape
    for index in range(3):
        assert int((whole[index].int() - paint(bytes_[index : index + 1])[0].int()).abs().max()) <= 1


def test_what_a_painter_refuses() -> None:
    with pytest.raises(StyleLoomError, match="2 styles, but johnson paints one at a time"):
        johnson.painter(johnson.configure(), ["johnson-mosaic", "johnson-swirls"])
    with pytest.raises(StyleLoomError, match="no style image"):
        ghiasi.painter(ghiasi.configure(), [])
    paint = painter("ghiasi", STYLES[0], ghiasi.configure())
    for wrong in (torch.rand(3, 48, 56), torch.rand(1, 1, 48, 56), torch.zeros(1, 3, 8, 8, dtype=torch.int64)):
        with pytest.raises(StyleLoomError, match=r"wanted a float \[N, 3, H, W\]"):
            paint(wrong)


def test_a_mask_leaves_the_rest_to_the_bit() -> None:
    mask = torch.zeros(1, 1, 48, 56)
    mask[..., :20] = 1
    paint = painter("adain", STYLES[:1], sl.adain.configure(), masks=[mask])
    made = paint(PHOTOS)
    assert torch.equal(made[..., 20:], PHOTOS[..., 20:]) and not torch.equal(made[..., :20], PHOTOS[..., :20])
