"""Distill ``vgg19-lite``, the perceptual network that StyleLoom ships, from two teachers.

The student has VGG-19's layers at a fraction of its width. At relu1_1 ... relu3_1 it learns to predict, through one
linear read-out a layer, the true VGG-19; below that a compressed VGG-19 (Wang et al., "Collaborative Distillation for
Ultra-Resolution Universal Style Transfer", 2020, arXiv:2003.08436). A second term asks that the *distances* between
the Gram matrices of two images agree with the teacher's, since those distances are what style losses are made of.

    python -m recipes.vgg19_lite --photos photos256.zip --teachers teachers/ --out runs/vgg19-lite
"""

from __future__ import annotations

import argparse
import json
import math
import time
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from styleloom.core.checkpoint import read_state, save_model, save_state
from styleloom.data.images import read, to_uint8
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import fill, load_features

CONFIG: dict[str, Any] = dict(convs=(2, 2, 4, 4, 1), widths=(16, 32, 80, 160, 160), padding="reflect")
TRUE_LAYERS = ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1")
TEACHER_LAYERS = ("relu3_2", "relu3_3", "relu3_4", "relu4_1", "relu4_2", "relu4_3", "relu4_4", "relu5_1")
LAYERS = TRUE_LAYERS + TEACHER_LAYERS
GRAM_LAYERS = ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu4_1", "relu5_1")
HELD_OUT = 200


def read_photos(path: Path) -> tuple[list[Tensor], list[Tensor]]:
    """(training, held-out) photographs of a zip as uint8 [3, H, W]; the split is a fixed shuffle of the sorted names."""
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        order = np.random.RandomState(0).permutation(len(names))
        tensors = [torch.from_numpy(to_uint8(read(BytesIO(archive.read(names[i]))))).permute(2, 0, 1) for i in order]
    return tensors[:-HELD_OUT], tensors[-HELD_OUT:]


def read_teachers(folder: Path) -> tuple[Features, Features]:
    """The true VGG-19 up to relu3_1 and the compressed one up to relu5_1, frozen, both reflection-padded."""
    true = load_features(folder / "vgg19_normalised_relu3_1.safetensors")
    small = Features(convs=(2, 2, 4, 4, 1), widths=(16, 32, 64, 128, 128), padding="reflect", mean=(0, 0, 0), std=(1, 1, 1))
    names = [f"conv{name.replace('_', '')}" for name in small.convs]
    fill(small, load_file(folder / "vgg19_compressed16x.safetensors"), names, preprocessing="conv0")
    return true, small.requires_grad_(False)


def draw_batch(photos: list[Tensor], count: int, size: int, rng: np.random.RandomState) -> Tensor:
    """Random crops, flips, scales and colors of photographs: [count, 3, size, size] in [0, 1].

    Optimized images pass through noise, flat color and colors that no photograph has, so some crops do too.
    """
    crops = []
    for index in rng.randint(len(photos), size=count):
        photo = photos[index]
        _, height, width = photo.shape
        side = int(rng.uniform(0.5, 1.0) * min(height, width))
        top, left = rng.randint(height - side + 1), rng.randint(width - side + 1)
        crop = photo[:, top : top + side, left : left + side].float()[None] / 255
        crop = F.interpolate(crop, (size, size), mode="bilinear", antialias=True, align_corners=False)[0]
        if rng.rand() < 0.5:
            crop = crop.flip(-1)
        if rng.rand() < 0.4:  # contrast and color cast
            gain = torch.from_numpy(rng.uniform(0.5, 1.6, (3, 1, 1)).astype(np.float32))
            crop = (crop - 0.5) * gain + 0.5 + float(rng.uniform(-0.15, 0.15))
        if rng.rand() < 0.15:
            crop = crop[torch.from_numpy(rng.permutation(3))]
        if rng.rand() < 0.05:
            crop = 1 - crop
        if rng.rand() < 0.15:
            noise = torch.from_numpy(rng.randn(3, size, size).astype(np.float32))
            crop = crop + float(rng.uniform(0.02, 0.3)) * noise
        crops.append(crop.clamp(0, 1))
    return torch.stack(crops)


def sample(features: Tensor, layer: str, rng: np.random.RandomState) -> Tensor:
    """Every 4th position of block 1 and every 2nd of block 2, from a random corner: [N, C, H, W] -> [N, positions, C]."""
    stride = {"1": 4, "2": 2}.get(layer[4], 1)
    top, left = rng.randint(stride, size=2)
    return features[:, :, top::stride, left::stride].permute(0, 2, 3, 1).flatten(1, 2).float()


def gram_distances(samples: Tensor) -> Tensor:
    """Distances between the Gram matrices of all pairs of a batch: [N, positions, C] -> [N (N - 1) / 2]."""
    gram = (samples.mT @ samples / samples.shape[1]).flatten(1)
    gram = gram / gram.detach().norm(dim=1).mean()
    i, j = torch.triu_indices(len(gram), len(gram), offset=1)
    return (gram[i] - gram[j]).norm(dim=1)


def fit_readouts(found: dict[str, Tensor], wanted: dict[str, Tensor], readouts: nn.ModuleDict) -> None:
    """Set every read-out to the ridge regression of a first batch, so that training starts from R^2 > 0."""
    for layer in LAYERS:
        x, y = (sample(features[layer], layer, np.random.RandomState(0)).flatten(0, 1) for features in (found, wanted))
        center, mean = x.mean(0), y.mean(0)
        covariance = (x - center).T @ (x - center)
        ridge = 1e-3 * covariance.diagonal().mean() * torch.eye(len(covariance))
        weight = torch.linalg.solve(covariance + ridge, (x - center).T @ (y - mean)).T
        readouts[layer].load_state_dict({"weight": weight, "bias": mean - weight @ center})


def distillation_loss(
    found: dict[str, Tensor], wanted: dict[str, Tensor], readouts: nn.ModuleDict, gram_weight: float, seed: int
) -> tuple[Tensor, dict[str, float]]:
    """Read-out error as a share of each layer's variance, plus the scatter of log Gram distances; and R^2 a layer."""
    total = torch.zeros(())
    explained = {}
    for layer in LAYERS:
        x, target = (sample(features[layer], layer, np.random.RandomState(seed)) for features in (found, wanted))
        variance = (target - target.mean((0, 1))).square().mean()
        error = (readouts[layer](x) - target).square().mean() / variance
        total = total + error
        explained[layer] = 1 - error.item()
        if layer in GRAM_LAYERS:
            ratio = gram_distances(x).log() - gram_distances(target).log()
            total = total + gram_weight * ratio.var()
    return total, explained


def train(
    photos: Path, teachers: Path, out: Path, *, steps: int, batch: int, size: int, lr: float, gram_weight: float, seed: int
) -> None:
    """Distill for ``steps`` steps; keep ``out/state.safetensors`` every 250 of them and go on from it when it is there."""
    torch.manual_seed(seed)
    training, _ = read_photos(photos)
    true, small = (network.to(torch.bfloat16) for network in read_teachers(teachers))
    student = Features(**CONFIG)
    for conv in student.convs.values():
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    widths = {layer: (true if layer in TRUE_LAYERS else small).convs[layer[4:]].out_channels for layer in LAYERS}
    readouts = nn.ModuleDict({layer: nn.Linear(student.convs[layer[4:]].out_channels, widths[layer]) for layer in LAYERS})
    average = Features(**CONFIG)
    # Muon turns each kernel, seen as a matrix [out, in * 9], by an orthogonal step: thirteen plain convolutions in a
    # row are badly conditioned, and Adam alone is far slower here. It takes matrices: views of the kernels.
    kernels = [nn.Parameter(conv.weight.data.flatten(1)) for conv in student.convs.values()]
    muon = torch.optim.Muon(kernels, lr=lr, weight_decay=0, adjust_lr_fn="match_rms_adamw")
    biases = [parameter for name, parameter in student.named_parameters() if name.endswith("bias")]
    for bias in biases:
        nn.init.zeros_(bias)
    groups: list[dict[str, Any]] = [dict(params=biases), dict(params=readouts.parameters(), lr=3 * lr)]
    adam = torch.optim.Adam(groups, lr=lr, betas=(0.9, 0.99))
    rates = [(group, group["lr"]) for optimizer in (muon, adam) for group in optimizer.param_groups]
    parts: dict[str, Any] = dict(student=student, readouts=readouts, average=average, muon=muon, adam=adam)
    out.mkdir(parents=True, exist_ok=True)
    state, first = out / "state.safetensors", 0
    if state.exists():
        saved = read_state(state)
        first = saved.pop("step")
        for name, part in parts.items():
            part.load_state_dict(saved[name])
    start = time.time()
    for step in range(first, steps):
        # Warm up over 40 steps, then a cosine to 2% of the rate.
        scale = min(1, (step + 1) / 40) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        for group, rate in rates:
            group["lr"] = rate * scale
        images = draw_batch(training, batch, size, np.random.RandomState(seed * 1_000_003 + step))
        with torch.no_grad():
            wanted = {**true(images, TRUE_LAYERS), **small(images, TEACHER_LAYERS)}
        with torch.autocast("cpu", torch.bfloat16):
            found = student(images, LAYERS)
        if step == 0:
            fit_readouts(found, wanted, readouts)
        loss, explained = distillation_loss(found, wanted, readouts, gram_weight, seed=step)
        loss.backward()
        nn.utils.clip_grad_norm_([*biases, *readouts.parameters()], 1.0)
        for kernel, conv in zip(kernels, student.convs.values(), strict=True):
            kernel.grad = None if conv.weight.grad is None else conv.weight.grad.flatten(1)
        muon.step()
        adam.step()
        student.zero_grad()
        readouts.zero_grad()
        decay = min(0.998, (step + 1) / (step + 10))
        for mean, value in zip(average.parameters(), student.parameters(), strict=True):
            mean.data.lerp_(value.data, 1 - decay)
        if step % 25 == 0 or step == steps - 1:
            row = dict(step=step, loss=round(loss.item(), 4), seconds=round(time.time() - start, 1))
            row |= {layer: round(value, 3) for layer, value in explained.items()}
            with (out / "log.jsonl").open("a") as log:
                log.write(json.dumps(row) + "\n")
        if (step + 1) % 250 == 0 or step == steps - 1:
            save_state(state, dict(step=step + 1) | {name: part.state_dict() for name, part in parts.items()})
    half = {name: value.half() for name, value in average.state_dict().items()}
    save_model(out / "vgg19-lite.safetensors", half, kind="features", config=average.config, license="Apache-2.0")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--teachers", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--gram-weight", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    train(**vars(parser.parse_args()))
