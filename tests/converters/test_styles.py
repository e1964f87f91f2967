"""Style networks of other projects, written here the way they write them: strict names, equal outputs, clear refusals."""

from pathlib import Path

import pytest
import torch
from benchmarks.public_networks import ExamplesNet, naoto_decoder, naoto_vgg
from torch import Tensor, nn

from styleloom.converters.styles import convert_style
from styleloom.core.checkpoint import save_model
from styleloom.core.errors import StyleLoomError
from styleloom.nn import transform_net
from styleloom.papers import adain, johnson


class RrminaConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, norm: bool = True) -> None:
        super().__init__()
        self.pad = nn.ReflectionPad2d(kernel // 2)
        self.conv_layer = nn.Conv2d(inputs, outputs, kernel, stride)
        self.norm_layer = nn.InstanceNorm2d(outputs, affine=True) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_layer(self.pad(x))
        return self.norm_layer(x) if self.norm_layer is not None else x


class RrminaDeconv(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv_transpose = nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, 1)
        self.norm_layer = nn.InstanceNorm2d(outputs, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm_layer(self.conv_transpose(x))


class RrminaBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = RrminaConv(128, 128, 3, 1), RrminaConv(128, 128, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(torch.relu(self.conv1(x)))


class RrminaNet(nn.Module):
    """rrmina's TransformerNetwork, on BGR images of 0 to 255."""

    def __init__(self) -> None:
        super().__init__()
        relu = nn.ReLU()
        self.ConvBlock = nn.Sequential(
            RrminaConv(3, 32, 9, 1), relu, RrminaConv(32, 64, 3, 2), relu, RrminaConv(64, 128, 3, 2), relu
        )
        self.ResidualBlock = nn.Sequential(*[RrminaBlock() for _ in range(5)])
        self.DeconvBlock = nn.Sequential(
            RrminaDeconv(128, 64), relu, RrminaDeconv(64, 32), relu, RrminaConv(32, 3, 9, 1, norm=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.DeconvBlock(self.ResidualBlock(self.ConvBlock(x)))


def shaken(network: nn.Module) -> nn.Module:
    """Norms that do something, too."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.2 * torch.randn_like(parameter)
    return network.eval().requires_grad_(False)


def loaded(path: Path, out: Path) -> transform_net.TransformNet:
    kind, tensors, config = convert_style(path)
    save_model(out, tensors, kind=kind, config=config, license="test")
    return johnson.load(out)


def test_pytorch_examples(tmp_path: Path) -> None:
    network = shaken(ExamplesNet())
    state = network.state_dict() | {"in1.running_mean": torch.zeros(32), "res3.in2.running_var": torch.ones(128)}
    assert len(network.state_dict()) == 62
    torch.save(state, tmp_path / "candy.pth")
    image = torch.rand(1, 3, 64, 80)
    found = loaded(tmp_path / "candy.pth", tmp_path / "m.safetensors")(image)
    torch.testing.assert_close(found, network(image * 255) / 255, rtol=0, atol=1e-4)


def test_rrmina(tmp_path: Path) -> None:
    network = shaken(RrminaNet())
    torch.save(network.state_dict(), tmp_path / "net.pth")
    image = torch.rand(1, 3, 64, 80)
    found = loaded(tmp_path / "net.pth", tmp_path / "m.safetensors")(image)
    torch.testing.assert_close(found, network(image.flip(1) * 255).flip(1) / 255, rtol=0, atol=1e-4)


def test_naoto_adain(tmp_path: Path) -> None:
    torch.manual_seed(0)
    vgg, decoder = naoto_vgg().requires_grad_(False), naoto_decoder().requires_grad_(False)
    assert sum(parameter.numel() for parameter in decoder.parameters()) == 3_505_219
    torch.save(vgg.state_dict(), tmp_path / "vgg_normalised.pth")
    torch.save(decoder.state_dict(), tmp_path / "decoder.pth")
    kind, tensors, config = convert_style(tmp_path / "decoder.pth", tmp_path / "vgg_normalised.pth")
    save_model(tmp_path / "m.safetensors", tensors, kind=kind, config=config, license="test")
    model = adain.load(tmp_path / "m.safetensors")
    content, style = torch.rand(1, 3, 64, 48), torch.rand(1, 3, 40, 56)
    encoder = vgg[:31]  # relu4_1
    x, y = encoder(content), encoder(style)
    spread = lambda t: (t.flatten(2).var(2) + 1e-5).sqrt()[..., None, None]  # noqa: E731
    target = (x - x.mean((2, 3), keepdim=True)) / spread(x) * spread(y) + y.mean((2, 3), keepdim=True)
    torch.testing.assert_close(model(content, style), decoder(target).clamp(0, 1), rtol=0, atol=1e-4)


def test_refusals(tmp_path: Path) -> None:
    torch.save(naoto_decoder().state_dict(), tmp_path / "decoder.pth")
    with pytest.raises(StyleLoomError, match=r"vgg_normalised\.pth too"):
        convert_style(tmp_path / "decoder.pth")
    torch.save(naoto_vgg().state_dict(), tmp_path / "vgg.pth")
    with pytest.raises(StyleLoomError, match="is a VGG, not a style network"):
        convert_style(tmp_path / "vgg.pth")
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(StyleLoomError, match="is no style network of"):
        convert_style(tmp_path / "other.pth")
    torch.save({"conv1.conv2d.weight": torch.zeros(32, 3, 9, 9)}, tmp_path / "part.pth")
    with pytest.raises(StyleLoomError, match="is not whole: missing"):
        convert_style(tmp_path / "part.pth")
