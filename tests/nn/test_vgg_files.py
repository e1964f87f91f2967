"""Public VGG files, made small or of random numbers in the layouts that their projects use."""

import os
import pickle
import tarfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from styleloom.core.errors import StyleLoomError
from styleloom.nn.vgg_files import load_features

WIDTHS = (64, 128, 256, 512, 512)


def torchvision_vgg(convs: tuple[int, ...]) -> nn.Sequential:
    """``features`` as torchvision builds it: convolution, ReLU, ... and pooling after each block."""
    modules: list[nn.Module] = []
    channels = 3
    for count, width in zip(convs, WIDTHS, strict=True):
        for _ in range(count):
            modules += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        modules.append(nn.MaxPool2d(2))
    return nn.Sequential(*modules)


def adain_vgg(depth: int) -> nn.Sequential:
    """The normalized encoder as the AdaIN projects build it, cut after ``depth`` modules."""
    modules: list[nn.Module] = [nn.Conv2d(3, 3, 1)]
    channels = 3
    for count, width in zip((2, 2, 4, 4, 4), WIDTHS, strict=True):
        for _ in range(count):
            modules += [nn.ReflectionPad2d(1), nn.Conv2d(channels, width, 3), nn.ReLU()]
            channels = width
        modules.append(nn.MaxPool2d(2, ceil_mode=True))
    return nn.Sequential(*modules[:depth])


@pytest.mark.parametrize(
    ("convs", "layers"),
    [((2, 2, 3, 3, 3), {"relu1_2": 3, "relu3_3": 15, "relu4_3": 22}), ((2, 2, 4, 4, 4), {"conv4_2": 21, "relu5_1": 29})],
    ids=["vgg16", "vgg19"],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_torchvision_and_timm(tmp_path: Path, convs: tuple[int, ...], layers: dict[str, int], suffix: str) -> None:
    torch.manual_seed(0)
    vgg = torchvision_vgg(convs)
    tensors = OrderedDict((f"features.{name}", value) for name, value in vgg.state_dict().items())
    tensors["classifier.0.weight" if suffix == ".pth" else "pre_logits.fc1.weight"] = torch.zeros(2, 2)
    path = tmp_path / f"vgg{suffix}"
    if suffix == ".pth":
        torch.save(tensors, path)
    else:
        save_file(dict(tensors), path)
    image = torch.rand(1, 3, 100, 100)
    found = load_features(path)(image, tuple(layers))
    x = (image - torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    for layer, index in layers.items():
        wanted = vgg[: index + 1](x)
        margin = min(
            wanted.shape[-1] // 2 - 1, 4 + 60 // (100 // wanted.shape[-1])
        )  # the border of the first convolution differs
        inner = (..., slice(margin, -margin), slice(margin, -margin))
        spread = wanted.std().item()
        assert found[layer].shape == wanted.shape
        assert torch.allclose(found[layer][inner], wanted[inner], atol=2e-2 * spread), layer


@pytest.mark.parametrize("depth", [18, 31, 53])
def test_adain_layout_whole_and_cut(tmp_path: Path, depth: int) -> None:
    torch.manual_seed(0)
    vgg = adain_vgg(depth)
    torch.save(vgg.state_dict(), tmp_path / "vgg_normalised.pth")
    network = load_features(tmp_path / "vgg_normalised.pth")
    image = torch.rand(1, 3, 64, 48)
    layers = {"relu1_1": 3, "relu3_1": 17, "relu4_1": 30, "relu5_1": 43}
    layers = {layer: index for layer, index in layers.items() if index < depth}
    found = network(image, tuple(layers))
    for layer, index in layers.items():
        assert torch.allclose(found[layer], vgg[: index + 1](image), atol=1e-5), layer


def test_the_true_vgg19(shared: Path) -> None:
    tensors = load_file(shared / "teachers" / "vgg19_normalised_relu3_1.safetensors")
    vgg = adain_vgg(18)
    vgg.load_state_dict(tensors)
    image = torch.rand(1, 3, 64, 64)
    found = load_features(shared / "teachers" / "vgg19_normalised_relu3_1.safetensors")(image, ("relu2_1", "relu3_1"))
    assert torch.allclose(found["relu3_1"], vgg(image), atol=1e-3)


class Evil:
    """Pickles to a system call."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


def test_nothing_in_a_hostile_pickle_runs(tmp_path: Path) -> None:
    torch.save({"features.0.weight": Evil(tmp_path / "ran")}, tmp_path / "a.pth")
    with pytest.raises(StyleLoomError, match="holds more than tensors"):
        load_features(tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Evil(tmp_path / "ran")))
    with pytest.raises(StyleLoomError):
        load_features(tmp_path / "b.pth")
    assert not (tmp_path / "ran").exists()


def test_foreign_damaged_and_missing_files_are_named_for_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(StyleLoomError, match="no such file"):
        load_features(tmp_path / "none.pth")
    (tmp_path / "a.pth").write_bytes(b"not a pickle")
    with pytest.raises(StyleLoomError, match="is no PyTorch file"):
        load_features(tmp_path / "a.pth")
    torch.save(torch.zeros(3), tmp_path / "b.pth")
    with pytest.raises(StyleLoomError, match="no state_dict"):
        load_features(tmp_path / "b.pth")
    torch.save({"layer1.weight": torch.zeros(3)}, tmp_path / "c.pth")
    with pytest.raises(StyleLoomError, match=r"no VGG-16 or VGG-19 .* 'layer1.weight'"):
        load_features(tmp_path / "c.pth")
    with tarfile.open(tmp_path / "d.pth", "w") as archive:
        archive.add(tmp_path / "a.pth", arcname="storages")
    with pytest.raises(StyleLoomError, match="tar format"):
        load_features(tmp_path / "d.pth")
    batchnorm: dict[str, Tensor] = {f"features.{k}.weight": torch.zeros(1) for k in (0, 1, 3, 4)}
    torch.save(batchnorm, tmp_path / "e.pth")
    with pytest.raises(StyleLoomError, match="neither VGG-16 nor VGG-19"):
        load_features(tmp_path / "e.pth")


def test_the_embedded_network_has_the_layers_of_vgg19() -> None:
    network = load_features()
    assert not any(parameter.requires_grad for parameter in network.parameters())
    for layer in ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu4_2", "relu5_1"):
        assert layer in network.layers
    assert load_features(pooling="average").pooling == "average"
