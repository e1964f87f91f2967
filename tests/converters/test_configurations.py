"""Configurations of official networks of which there is no recorded output, against their formulas written plainly."""

import math
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.conftest import Oracles
from tests.converters.pickled import Network, _module, as_nvidia, write_tensorflow, write_torch
from torch import Tensor

import styleloom as sl
from styleloom.core.errors import StyleLoomError
from styleloom.core.pth import read_checkpoint
from styleloom.papers import stylegan2

Numbers = dict[str, np.ndarray[Any, Any]]


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def drawn(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> Numbers:
    rng = np.random.RandomState(seed)
    return {
        name: np.asarray(rng.randn(*shape) * (0.3 if name.endswith("bias") else 1), np.float32) for name, shape in shapes.items()
    }


# ProGAN of TensorFlow. Kernels are [k, k, in, out]; those of Conv0_up are [k, k, out, in].


def progan_shapes(classes: int, fused: bool) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    z, widths, colors = 6, {4: 8, 8: 8, 16: 4}, 3
    g: dict[str, tuple[int, ...]] = {"4x4/Dense/weight": (z + classes, 128), "4x4/Dense/bias": (8,)}
    d: dict[str, tuple[int, ...]] = {}
    for side, width in widths.items():
        below = widths.get(side // 2, 0)
        lod = int(math.log2(16 // side))
        g |= {f"ToRGB_lod{lod}/weight": (1, 1, width, colors), f"ToRGB_lod{lod}/bias": (colors,)}
        d |= {f"FromRGB_lod{lod}/weight": (1, 1, colors, width), f"FromRGB_lod{lod}/bias": (width,)}
        if side == 4:
            g |= {"4x4/Conv/weight": (3, 3, 8, 8), "4x4/Conv/bias": (8,)}
            d |= {"4x4/Conv/weight": (3, 3, 9, 8), "4x4/Conv/bias": (8,), "4x4/Dense0/weight": (128, 8), "4x4/Dense0/bias": (8,)}
            d |= {"4x4/Dense1/weight": (8, 1 + classes), "4x4/Dense1/bias": (1 + classes,)}
            continue
        up, down = ("Conv0_up", "Conv1_down") if fused else ("Conv0", "Conv1")
        g |= {f"{side}x{side}/{up}/weight": (3, 3, width, below) if fused else (3, 3, below, width)}
        g |= {f"{side}x{side}/{up}/bias": (width,), f"{side}x{side}/Conv1/weight": (3, 3, width, width)}
        g |= {f"{side}x{side}/Conv1/bias": (width,)}
        d |= {f"{side}x{side}/Conv0/weight": (3, 3, width, width), f"{side}x{side}/Conv0/bias": (width,)}
        d |= {f"{side}x{side}/{down}/weight": (3, 3, width, below), f"{side}x{side}/{down}/bias": (below,)}
    return g, d


def tf_conv(x: Tensor, v: Numbers, name: str, gain: float = math.sqrt(2)) -> Tensor:
    w = torch.from_numpy(v[f"{name}/weight"]).permute(3, 2, 0, 1)
    return F.conv2d(x, w * gain / math.sqrt(w[0].numel()), padding=w.shape[-1] // 2)


def tf_bias(x: Tensor, v: Numbers, name: str) -> Tensor:
    b = torch.from_numpy(v[f"{name}/bias"])
    return x + (b if x.ndim == 2 else b.view(1, -1, 1, 1))


def tf_dense(x: Tensor, v: Numbers, name: str, gain: float = math.sqrt(2)) -> Tensor:
    w = torch.from_numpy(v[f"{name}/weight"])
    return x.flatten(1) @ (w * gain / math.sqrt(w.shape[0]))


def summed(w: Tensor) -> Tensor:
    """The sum of a kernel [k, k, ...] and its three neighbors."""
    w = F.pad(w.permute(2, 3, 0, 1), (1, 1, 1, 1))
    return w[..., 1:, 1:] + w[..., :-1, 1:] + w[..., 1:, :-1] + w[..., :-1, :-1]


def act(x: Tensor) -> Tensor:
    return torch.maximum(x, 0.2 * x)


def pn(x: Tensor) -> Tensor:
    return x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt()


def double(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def plain_progan(v: Numbers, z: Tensor, c: Tensor, fused: bool, lod: float) -> Tensor:
    x = pn(torch.cat([z, c], 1))
    x = tf_dense(x, v, "4x4/Dense", math.sqrt(2) / 4).view(-1, 8, 4, 4)
    x = pn(act(tf_bias(x, v, "4x4/Dense")))
    x = pn(act(tf_bias(tf_conv(x, v, "4x4/Conv"), v, "4x4/Conv")))
    image = tf_bias(tf_conv(x, v, "ToRGB_lod2", 1), v, "ToRGB_lod2")
    for side, level in ((8, 1), (16, 0)):
        name = f"{side}x{side}"
        if fused:
            w = torch.from_numpy(v[f"{name}/Conv0_up/weight"])  # [k, k, out, in]
            kernel = summed(w) * math.sqrt(2 / (9 * w.shape[3]))  # [out, in, k + 1, k + 1]
            x = F.conv_transpose2d(x, kernel.transpose(0, 1), stride=2, padding=1)
            x = pn(act(tf_bias(x, v, f"{name}/Conv0_up")))
        else:
            x = pn(act(tf_bias(tf_conv(double(x), v, f"{name}/Conv0"), v, f"{name}/Conv0")))
        x = pn(act(tf_bias(tf_conv(x, v, f"{name}/Conv1"), v, f"{name}/Conv1")))
        new = tf_bias(tf_conv(x, v, f"ToRGB_lod{level}", 1), v, f"ToRGB_lod{level}")
        image = new + (double(image) - new) * min(max(lod - level, 0), 1)
    return image


def plain_progan_discriminator(v: Numbers, image: Tensor, fused: bool) -> Tensor:
    x = act(tf_bias(tf_conv(image, v, "FromRGB_lod0"), v, "FromRGB_lod0"))
    for side in (16, 8):
        name = f"{side}x{side}"
        x = act(tf_bias(tf_conv(x, v, f"{name}/Conv0"), v, f"{name}/Conv0"))
        if fused:
            w = torch.from_numpy(v[f"{name}/Conv1_down/weight"])  # [k, k, in, out]
            kernel = summed(w).transpose(0, 1) * math.sqrt(2 / (9 * w.shape[2])) / 4
            x = act(tf_bias(F.conv2d(x, kernel, stride=2, padding=1), v, f"{name}/Conv1_down"))
        else:
            x = F.avg_pool2d(act(tf_bias(tf_conv(x, v, f"{name}/Conv1"), v, f"{name}/Conv1")), 2)
    spread = ((x - x.mean(0)).square().mean(0) + 1e-8).sqrt().mean()
    x = torch.cat([x, spread.expand(len(x), 1, 4, 4)], 1)
    x = act(tf_bias(tf_conv(x, v, "4x4/Conv"), v, "4x4/Conv"))
    x = act(tf_bias(tf_dense(x, v, "4x4/Dense0"), v, "4x4/Dense0"))
    return tf_bias(tf_dense(x, v, "4x4/Dense1", 1), v, "4x4/Dense1")


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("classes", [0, 3])
@torch.no_grad()
def test_progan_of_tensorflow(tmp_path: Path, fused: bool, classes: int) -> None:
    shapes_g, shapes_d = progan_shapes(classes, fused)
    g, d = drawn(shapes_g), drawn(shapes_d, 1)
    common = dict(num_channels=3, resolution=16, label_size=classes, fmap_base=32, fmap_max=8, latent_size=6, fused_scale=fused)
    z, c = torch.randn(4, 6), torch.eye(3)[[0, 1, 2, 1]] if classes else torch.zeros(4, 0)
    for lod in (0.0, 0.3):
        networks = [Network(v | {"lod": np.float32(lod)}, dict(common)) for v in (g, d, g)]
        write_tensorflow(tmp_path / "net.pkl", tuple(networks), "tfutil")
        found = sl.convert(tmp_path / "net.pkl", tmp_path / "g.safetensors")
        assert found["kind"] == "progan"
        generator = sl.progan.load(tmp_path / "g.safetensors")
        image = generator.synthesis(generator.mapping(z, c if classes else None))
        close(image, plain_progan(g, z, c, fused, lod))
    close(sl.progan.load_discriminator(tmp_path / "g.safetensors")(image, lod=0), plain_progan_discriminator(d, image, fused))


@torch.no_grad()
def test_a_network_in_the_midst_of_growing_keeps_its_level(tmp_path: Path) -> None:
    g, _ = (drawn(shapes) for shapes in progan_shapes(0, True))
    network = Network(g | {"lod": np.float32(1.25)}, dict(num_channels=3, resolution=16, latent_size=6))
    write_tensorflow(tmp_path / "net.pkl", network)
    sl.convert(tmp_path / "net.pkl", tmp_path / "g.safetensors")
    generator = sl.progan.load(tmp_path / "g.safetensors")
    assert generator.resolution == 8
    z = torch.randn(2, 6)
    wanted = plain_progan(g, z, torch.zeros(2, 0), True, 1.25)  # 16 px, enlarged from 8
    close(double(generator.synthesis(generator.mapping(z))), wanted)


# rosinality's progressive-gan-pytorch.


@torch.no_grad()
def test_progan_of_rosinality(tmp_path: Path) -> None:
    torch.manual_seed(0)
    widths, code, classes = (8, 8, 6), 5, 3
    state = {"label_embed.weight": torch.randn(classes, classes)}
    before = code + classes
    for place, width in enumerate(widths):
        size = 4 if place == 0 else 3
        state |= {f"progression.{place}.conv.0.conv.weight_orig": torch.randn(width, before, size, size)}
        state |= {f"progression.{place}.conv.3.conv.weight_orig": torch.randn(width, width, 3, 3)}
        state |= {f"progression.{place}.conv.{index}.conv.bias": torch.randn(width) for index in (0, 3)}
        state |= {f"to_rgb.{place}.weight": torch.randn(3, width, 1, 1), f"to_rgb.{place}.bias": torch.randn(3)}
        before = width
    torch.save(state, tmp_path / "g.model")

    def conv(x: Tensor, name: str, padding: int) -> Tensor:
        w = state[f"{name}.weight_orig"]
        return F.conv2d(x, w * math.sqrt(2 / w[0].numel()), state[f"{name}.bias"], padding=padding)

    z, label = torch.randn(4, code), torch.tensor([0, 2, 1, 1])
    x = torch.cat([pn(z), state["label_embed.weight"][label]], 1)[:, :, None, None]
    for place in range(3):
        x = double(x) if place else x
        x = act(pn(conv(x, f"progression.{place}.conv.0.conv", 1 if place else 3)))
        x = act(pn(conv(x, f"progression.{place}.conv.3.conv", 1)))
        if place == 1:
            old = F.conv2d(x, state["to_rgb.1.weight"], state["to_rgb.1.bias"])
    image = F.conv2d(x, state["to_rgb.2.weight"], state["to_rgb.2.bias"])
    sl.convert(tmp_path / "g.model", tmp_path / "g.safetensors")
    generator = sl.progan.load(tmp_path / "g.safetensors")
    ws = generator.mapping(z, F.one_hot(label, 3))
    close(generator.synthesis(ws), image)
    close(generator.synthesis(ws, lod=0.25), 0.25 * double(old) + 0.75 * image)
    close(generator.synthesis(ws, lod=1), old)


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
@pytest.mark.parametrize("archive", [True, False])
def test_modules_that_were_saved_whole(tmp_path: Path, archive: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As progressive-gan-pytorch does: the classes of its file become inert objects, of which only the tensors are read."""
    saved_whole(tmp_path / "g.model", archive)
    state = read_checkpoint(tmp_path / "g.model")
    assert set(state) == {"label_embed.weight", "to_rgb.0.weight", "to_rgb.0.bias", "progression.0.conv.0.conv.weight_orig"}
    torch.testing.assert_close(state["progression.0.conv.0.conv.weight_orig"], torch.arange(24.0).view(4, 6, 1, 1))
    monkeypatch.chdir(tmp_path)
    saved_whole(tmp_path / "g.model", archive, hostile=True)
    with pytest.raises(StyleLoomError, match=r"asks for posix\.system"):
        read_checkpoint(tmp_path / "g.model")
    assert not Path("ran").exists()


def saved_whole(path: Path, archive: bool, hostile: bool = False) -> None:
    """A module of a file ``model.py``, pickled with its classes."""
    with _module("model"):
        source = sys.modules["model"]

        class Conv(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.conv = torch.nn.Module()
                self.conv.weight_orig = torch.nn.Parameter(torch.arange(24.0).view(4, 6, 1, 1))
                self.register_forward_pre_hook(Hook())

        class Hook:
            def __call__(self, *_: Any) -> None:
                raise AssertionError("executed")

        class Runs:
            def __reduce__(self) -> Any:
                return os.system, ("touch ran",)

        for each in (Conv, Hook):
            each.__module__, each.__qualname__ = "model", each.__name__
            setattr(source, each.__name__, each)
        net = torch.nn.Module()
        net.label_embed = torch.nn.Embedding(2, 2)
        net.to_rgb = torch.nn.ModuleList([torch.nn.Conv2d(4, 3, 1)])
        block = torch.nn.Module()
        block.conv = torch.nn.Sequential(Conv())
        net.progression = torch.nn.ModuleList([block])
        if hostile:
            net.hidden = Runs()  # type: ignore[assignment]
        torch.save(net, path, _use_new_zipfile_serialization=archive)


# Class-conditional StyleGAN2.


def pickled_pair(path: Path, generator: stylegan2.Generator, discriminator: stylegan2.Discriminator) -> None:
    side = generator.resolution
    common = dict(img_resolution=side, img_channels=3)
    g = as_nvidia(generator, "Generator", **common)
    d = as_nvidia(discriminator, "Discriminator", **common)
    if spread := discriminator.b4.num_channels:
        d.meta["state"]["_modules"]["b4"].meta["state"]["_modules"]["mbstd"] = as_nvidia(
            torch.nn.Module(), group_size=discriminator.b4.group_size, num_channels=spread
        )
    write_torch(path, {"G": g, "D": d, "G_ema": g, "augment_pipe": as_nvidia(with_p(0.35)), "training_set_kwargs": {}})


def with_p(p: float) -> torch.nn.Module:
    pipe = torch.nn.Module()
    pipe.register_buffer("p", torch.tensor(p))
    return pipe


@pytest.mark.parametrize("architecture", ["orig", "skip", "resnet"])
@pytest.mark.parametrize("classes", [0, 3])
@torch.no_grad()
def test_every_architecture_of_nvidias_pickles(tmp_path: Path, architecture: str, classes: int) -> None:
    torch.manual_seed(0)
    synthesis: dict[str, Any] = dict(channel_base=64, channel_max=8, architecture=architecture, conv_clamp=256.0)
    if architecture == "skip":
        synthesis |= dict(resample_filter=[1, 2, 1], use_noise=False)
    mapping = dict(num_layers=2, layer_features=9, embed_features=7 if classes else None, w_avg_beta=0.99, lr_multiplier=0.1)
    generator = stylegan2.Generator(6, classes, 5, 16, mapping_kwargs=mapping, synthesis_kwargs=synthesis)
    discriminator = stylegan2.Discriminator(
        classes,
        16,
        channel_base=64,
        channel_max=8,
        architecture=architecture,
        cmap_dim=6 if classes else None,
        epilogue_kwargs=dict(mbstd_group_size=2, mbstd_num_channels=2 if classes else 0),
    )
    for network in (generator, discriminator):
        for value in (*network.parameters(), *network.buffers()):
            if value.ndim < 2:
                value.copy_(torch.randn_like(value))
    pickled_pair(tmp_path / "net.pkl", generator, discriminator)
    found = sl.convert(tmp_path / "net.pkl", tmp_path / "g.safetensors")
    assert found["config"]["augment_p"] == pytest.approx(0.35)
    again, other = stylegan2.load(tmp_path / "g.safetensors"), stylegan2.load_discriminator(tmp_path / "g.safetensors")
    z, c = torch.randn(4, 6), torch.eye(3)[[0, 1, 2, 0]] if classes else None
    ws = generator.mapping(z, c, truncation_psi=0.6)
    close(again.mapping(z, c, truncation_psi=0.6), ws)
    image = generator.synthesis(ws, noise_mode="const")
    close(again.synthesis(ws, noise_mode="const"), image)
    close(other(image, c), discriminator(image, c))


@torch.no_grad()
def test_classes_of_the_first_stylegan2(tmp_path: Path) -> None:
    """z and the class's row of a matrix are normalized together; the discriminator has a logit for each class."""
    torch.manual_seed(0)
    shapes: dict[str, tuple[int, ...]] = {"LabelConcat/weight": (3, 6), "Dense0/weight": (12, 5), "Dense0/bias": (5,)}
    mapping = drawn(shapes)
    synthesis: dict[str, tuple[int, ...]] = {"4x4/Const/const": (1, 4, 4, 4), "noise0": (1, 1, 4, 4), "noise1": (1, 1, 8, 8)}
    synthesis |= {"noise2": (1, 1, 8, 8)}
    for name, outputs in (("4x4/Conv", 4), ("8x8/Conv0_up", 4), ("8x8/Conv1", 4), ("4x4/ToRGB", 3), ("8x8/ToRGB", 3)):
        size = 1 if "RGB" in name else 3
        synthesis |= {f"{name}/weight": (size, size, 4, outputs), f"{name}/bias": (outputs,), f"{name}/mod_weight": (5, 4)}
        synthesis |= {f"{name}/mod_bias": (4,)} | ({f"{name}/noise_strength": ()} if size == 3 else {})
    discriminator = drawn(
        {
            "8x8/FromRGB/weight": (1, 1, 3, 4), "8x8/FromRGB/bias": (4,), "8x8/Conv0/weight": (3, 3, 4, 4),
            "8x8/Conv0/bias": (4,),
            "8x8/Conv1_down/weight": (3, 3, 4, 4), "8x8/Conv1_down/bias": (4,), "8x8/Skip/weight": (1, 1, 4, 4),
            "4x4/Conv/weight": (3, 3, 5, 4), "4x4/Conv/bias": (4,), "4x4/Dense0/weight": (64, 4), "4x4/Dense0/bias": (4,),
            "Output/weight": (4, 3), "Output/bias": (3,),
        }
    )  # fmt: skip
    plain = dict(num_channels=3, resolution=8, label_size=3, latent_size=6, dlatent_size=5, mapping_layers=1)
    parts = dict(mapping=Network(mapping, {}), synthesis=Network(drawn(synthesis), {}))
    g = Network({"dlatent_avg": np.zeros(5)}, plain, **parts)
    write_tensorflow(tmp_path / "net.pkl", (g, Network(discriminator, plain), g))
    sl.convert(tmp_path / "net.pkl", tmp_path / "g.safetensors")
    generator, found = stylegan2.load(tmp_path / "g.safetensors"), stylegan2.load_discriminator(tmp_path / "g.safetensors")
    z, c = torch.randn(4, 6), torch.eye(3)[[0, 1, 2, 1]]
    x = pn(torch.cat([z, c @ torch.from_numpy(mapping["LabelConcat/weight"])], 1))
    w = math.sqrt(2) * act(tf_dense(x, mapping, "Dense0", 0.01) + 0.01 * torch.from_numpy(mapping["Dense0/bias"]))
    ws = generator.mapping(z, c)
    close(ws[:, 0], w)
    image = generator.synthesis(ws, noise_mode="const")
    assert image.shape == (4, 3, 8, 8)
    # The logits of all classes are those that each class, asked for alone, picks out.
    alone = torch.cat([found(image, torch.eye(3)[[k]].expand(4, 3)) for k in range(3)], 1)
    last = found.b4
    hidden: list[Tensor] = []
    last.out.register_forward_hook(lambda module, given, result: hidden.append(result))
    close(found(image, c), (alone * c).sum(1, keepdim=True))
    close((hidden[-1] * c).sum(1, keepdim=True), found(image, c))


def test_other_networks_are_named_for_what_they_are(tmp_path: Path) -> None:
    write_tensorflow(tmp_path / "net.pkl", Network({"weird/weight": np.zeros((2, 2))}, dict(resolution=8)))
    with pytest.raises(StyleLoomError, match="none of ProGAN, StyleGAN and StyleGAN2"):
        sl.convert(tmp_path / "net.pkl", tmp_path / "g.safetensors")
    write_torch(tmp_path / "net.pkl", {"G_ema": as_nvidia(torch.nn.Linear(2, 2), "Generator"), "D": None})
    with pytest.raises(StyleLoomError, match="holds a Generator that is not StyleGAN2's"):
        sl.convert(tmp_path / "net.pkl", tmp_path / "g.safetensors")
    write_tensorflow(tmp_path / "net.pkl", Network({"4x4/Dense/weight": np.zeros((2, 2)), "lod": 0}, dict(resolution=8)))
    with pytest.raises(StyleLoomError, match="is not whole: its G has no variable '4x4/Dense/bias'"):
        sl.convert(tmp_path / "net.pkl", tmp_path / "g.safetensors")
    write_tensorflow(tmp_path / "net.pkl", Network({"4x4/Dense/weight": np.zeros((2, 2))}, dict(use_leakyrelu=False)))
    with pytest.raises(StyleLoomError, match="only networks with leaky ReLUs"):
        sl.convert(tmp_path / "net.pkl", tmp_path / "g.safetensors")


def nested(depth: int) -> Network:
    """A network whose components' components double in number at each level."""
    network = Network({"a": np.zeros(1)}, {})
    for _ in range(depth):
        network = Network({"a": np.zeros(1)}, {}, left=network, right=network)
    return network


def test_damaged_and_hostile_structures_end_in_one_line(tmp_path: Path) -> None:
    out = tmp_path / "g.safetensors"
    write_tensorflow(tmp_path / "net.pkl", nested(40))  # 2^40 of them, were they all read
    with pytest.raises(StyleLoomError, match="none of ProGAN, StyleGAN and StyleGAN2"):
        sl.convert(tmp_path / "net.pkl", out)
    big = np.zeros((256, 256), np.float32)
    names = {f"4x4/Dense/weight{index or ''}": big for index in range(50)}
    network = Network({}, dict(resolution=8))
    network.state["variables"] = list(names.items())  # one array under many names
    write_tensorflow(tmp_path / "net.pkl", network)
    with pytest.raises(StyleLoomError, match="would unpack to more than the file holds"):
        sl.convert(tmp_path / "net.pkl", out)
    g, _ = progan_shapes(0, True)
    for change, value in (("resolution", "large"), ("resolution", 2**70), ("latent_size", 6)):
        plain = dict(num_channels=3, resolution=16) | {change: value}
        write_tensorflow(
            tmp_path / "net.pkl", Network(drawn(g) | {"lod": np.float32(np.nan if change == "latent_size" else 0)}, plain)
        )
        with pytest.raises(StyleLoomError, match=r"is damaged|is not whole|power of two"):
            sl.convert(tmp_path / "net.pkl", out)
    generator, _ = stylegan2.networks(stylegan2.StyleGAN2Recipe(resolution=8, channel_base=32, z_dim=4, w_dim=4))
    for key, value in (("num_layers", "many"), ("w_dim", 5), ("img_resolution", 2**40)):
        part = as_nvidia(generator, "Generator", **{"img_resolution": 8, "img_channels": 3})
        target = part.meta["state"] if key != "num_layers" else part.meta["state"]["_modules"]["mapping"].meta["state"]
        target[key] = value
        write_torch(tmp_path / "net.pkl", {"G_ema": part, "D": None})
        with pytest.raises(StyleLoomError, match=r"is damaged"):
            sl.convert(tmp_path / "net.pkl", out)
    assert not out.exists()


def test_a_checkpoint_whose_tensors_do_not_fit_is_not_written(oracles: Oracles, tmp_path: Path) -> None:
    content: dict[str, Any] = torch.load(oracles / "ros_sg2_64" / "converted.pt", weights_only=True)
    for name, value in (("latent_avg", torch.zeros(5000)), ("kernel", torch.zeros(4, 4)), ("noise", torch.zeros(1, 1, 3, 3))):
        broken = {key: dict(part) if isinstance(part, dict) else part for key, part in content.items()}
        if name == "latent_avg":
            broken["latent_avg"] = value
        else:
            broken["g_ema"]["convs.0.conv.blur.kernel" if name == "kernel" else "noises.noise_3"] = value
        torch.save(broken, tmp_path / "g.pt")
        with pytest.raises(StyleLoomError, match="is damaged"):
            sl.convert(tmp_path / "g.pt", tmp_path / "g.safetensors")
        assert not (tmp_path / "g.safetensors").exists()
