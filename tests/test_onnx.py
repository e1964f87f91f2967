"""ONNX files give what the networks give, at other sizes and batches than those they were traced at."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import styleloom as sl
from styleloom.core.errors import StyleLoomError
from styleloom.nn import transform_net
from styleloom.nn.translation import BatchNorm, ResNetGenerator, UNet, inference_mode_of, initialize
from styleloom.nn.vgg import Features
from styleloom.papers import adain, dumoulin, ghiasi, stylegan, stylegan2, super_resolution

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'styleloom[export]'")
pytestmark = pytest.mark.filterwarnings("ignore")  # those of the exporter


def networks() -> dict[str, nn.Module]:
    """Narrow random networks of each kind."""
    torch.manual_seed(0)
    found = {
        "johnson": transform_net.TransformNet(width=4, blocks=1),
        "dumoulin": dumoulin.StyleNet(["a", "b"], width=4, blocks=1),
        "adain": adain.AdaIN(Features(convs=(1, 1, 1, 1), widths=(4, 4, 6, 6), padding="reflect")),
        "ghiasi": ghiasi.AnyStyle(
            Features(convs=(1, 1, 1, 1, 1), widths=(4, 4, 6, 6, 6), padding="reflect"),
            width=4,
            blocks=1,
            deep_blocks=1,
            deep_width=6,
        ),
        "super-resolution": super_resolution.Upscaler(width=4, blocks=1),
    }
    for network in found.values():
        for parameter in network.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        network.eval().requires_grad_(False)
    return found


@pytest.mark.parametrize("kind", ["johnson", "dumoulin", "ghiasi", "adain", "super-resolution"])
def test_onnx_equals_torch(kind: str, tmp_path: Path) -> None:
    network = networks()[kind]
    inputs = sl.export(network, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    assert [each.name for each in session.get_inputs()] == list(inputs)
    for batch, height, width in ((1, 61, 83), (3, 40, 96)):
        image = torch.rand(batch, 3, height, width)
        others: dict[str, list[Tensor]] = {
            "dumoulin": [torch.softmax(torch.randn(batch, 2), 1)],
            "ghiasi": [torch.rand(batch, 3, 77, 45), torch.tensor(1.6)],
            "adain": [torch.rand(batch, 3, 77, 45), torch.tensor(0.6)],
        }
        given = [image, *others.get(kind, [])]
        expected = network(*given).clamp(0, 1).numpy()
        found = session.run(None, {name: each.numpy() for name, each in zip(inputs, given, strict=True)})[0]
        assert found.shape == expected.shape
        assert expected.std() > 0.01
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("module", [stylegan, stylegan2])
def test_generators(module: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    generator, _ = module.networks(type(module.RECIPES["64"])(resolution=16, channel_base=64, channel_max=8, z_dim=8, w_dim=8), 3)
    for parameter in generator.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    inputs = sl.export(generator.requires_grad_(False), tmp_path / "model.onnx")
    assert inputs == {"z": ["batch", 8], "truncation_psi": [], "c": ["batch", 3]}
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    for batch in (1, 3):
        z, c, psi = torch.randn(batch, 8), torch.eye(3)[:batch], torch.tensor(0.6)
        expected = generator.synthesis(generator.mapping(z, c, truncation_psi=0.6), noise_mode="const").add(1).div(2).clamp(0, 1)
        found = session.run(None, {"z": z.numpy(), "truncation_psi": psi.numpy(), "c": c.numpy()})[0]
        assert expected.std() > 0.01
        np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("statistics", ["saved", "batch"])
@pytest.mark.parametrize("kind", ["resnet", "unet"])
def test_translators_in_both_modes_of_batch_norm(kind: str, statistics: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network: Any = (
        ResNetGenerator(3, 3, width=4, blocks=1, norm="batch", upsample="nearest")
        if kind == "resnet"
        else UNet(1, 3, width=4, depth=4)
    )
    initialize(network, 0.3)
    for module in network.modules():
        if isinstance(module, BatchNorm):
            module.running_mean.normal_()  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    network.eval()
    sl.export(sl.Translator({"B": network}), tmp_path / "model.onnx", statistics=statistics)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    for shape in ((1, 61, 95), (3, 48, 64)):
        image = torch.rand(shape[0], network.in_channels, *shape[1:])
        below, right = (-side % network.multiple for side in shape[1:])
        with torch.no_grad(), inference_mode_of(network, batch_statistics=statistics == "batch"):
            padded = nn.functional.pad(image * 2 - 1, (0, right, 0, below), mode="replicate")
            expected = network(padded)[..., : shape[1], : shape[2]].add(1).div(2).clamp(0, 1)
        output = torch.from_numpy(session.run(None, {"image": image.numpy()})[0])
        torch.testing.assert_close(output, expected, atol=5e-4, rtol=0)


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(StyleLoomError, match=r"called \.onnx"):
        sl.export(networks()["johnson"], tmp_path / "model.pb")
    with pytest.raises(StyleLoomError, match="Features is not exported"):
        sl.export(sl.load("vgg19-lite"), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
