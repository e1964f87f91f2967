"""pix2pix, CycleGAN and pix2pixHD: networks, losses that fall, and resume to the bit."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import styleloom as sl
from styleloom.core.errors import StyleLoomError
from styleloom.core.run import Hardware, Run
from styleloom.data import images
from styleloom.data.pairs import Domains, open_domains, toons
from styleloom.loops import translation
from styleloom.loops.fit import MODEL, STATE
from styleloom.nn.translation import PatchGAN, ResNetGenerator, UNet, inference_mode_of
from styleloom.papers import cyclegan, pix2pix, pix2pixhd
from styleloom.papers.pix2pixhd import InstanceEncoder, LocalEnhancer, MultiScale, boundaries, halved

CPU = Hardware("cpu")
SMALL: dict[str, Any] = dict(
    size=16, load_size=18, width=4, discriminator_width=4, discriminator_layers=1, save_every=3, log_every=1
)
RECIPES: dict[str, Any] = {
    "pix2pix": (pix2pix, pix2pix.Pix2PixRecipe(**SMALL, depth=3, num_steps=6, pool_size=2)),
    "cyclegan": (cyclegan, cyclegan.CycleGANRecipe(**SMALL, blocks=1, num_steps=6, pool_size=2)),
    "pix2pixhd": (pix2pixhd, pix2pixhd.Pix2PixHDRecipe(**SMALL, blocks=1, downsamplings=2, num_steps=6, perceptual_weight=0)),
}


def faces(aligned: bool) -> Domains:
    return toons("toonfaces:smile=-0.8:0.8", aligned=aligned, count=6)


@pytest.mark.parametrize("method", RECIPES)
def test_resume_ends_where_an_uninterrupted_run_does(method: str, tmp_path: Path) -> None:
    """Networks, pools, both optimizers and the falling step size, to the bit."""
    module, recipe = RECIPES[method]
    data = faces(method != "cyclegan")
    for _ in module.train(data, recipe, run=Run(tmp_path / "whole", hardware=CPU)):
        pass
    for _ in module.train(
        data, replace(recipe, num_steps=0, epochs=2, decay_epochs=0), run=Run(tmp_path / "other", hardware=CPU)
    ):
        pass  # as many steps by epochs
    loop = module.train(data, recipe, run=Run(tmp_path / "cut", hardware=CPU))
    for tick in loop:
        if tick.index == 3:
            break
    loop.close()
    ticks = list(module.train(data, recipe, run=Run(tmp_path / "cut", hardware=CPU, resume=True)))
    assert [tick.index for tick in ticks] == [4, 5, 6]
    for name in (STATE, MODEL):
        one, two = load_file(tmp_path / "whole" / name), load_file(tmp_path / "cut" / name)
        assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)
    assert not list(module.train(data, recipe, run=Run(tmp_path / "cut", hardware=CPU, resume=True)))  # finished already


@pytest.mark.parametrize("method", RECIPES)
def test_a_model_file_is_the_network(method: str, tmp_path: Path) -> None:
    module, recipe = RECIPES[method]
    for _ in module.train(
        faces(method != "cyclegan"), replace(recipe, num_steps=1), run=Run(tmp_path / "run", license="x", hardware=CPU)
    ):
        pass
    model = sl.load(tmp_path / "run" / MODEL, sl.Translator)
    again = tmp_path / "again.safetensors"
    module.save(model, again, "x")
    assert again.read_bytes() == (tmp_path / "run" / MODEL).read_bytes()
    assert set(model.networks) == ({"A", "B"} if method == "cyclegan" else {"B"}) and model.discriminators
    ticks = list(
        module.train(
            faces(method != "cyclegan"), replace(recipe, num_steps=1), run=Run(tmp_path / "more", hardware=CPU), base=model
        )
    )
    assert len(ticks) == 1
    with pytest.raises(StyleLoomError, match="the model to start from has another G"):
        next(
            iter(
                module.train(
                    faces(method != "cyclegan"), replace(recipe, width=8), run=Run(tmp_path / "no", hardware=CPU), base=model
                )
            )
        )


def test_pix2pix_learns_pairs(tmp_path: Path) -> None:
    """What L1 there is falls by half on pairs that are one map of colors."""
    torch.manual_seed(0)
    for index in range(4):
        image = torch.nn.functional.interpolate(torch.rand(1, 3, 4, 4), (16, 16), mode="bilinear")
        images.write(torch.cat([image, image.flip(1)], 3), tmp_path / "pairs" / f"{index}.png") if index else None
        (tmp_path / "pairs").mkdir(exist_ok=True)
    recipe = pix2pix.Pix2PixRecipe(
        **(SMALL | dict(load_size=16, save_every=500)),
        network="resnet",
        blocks=1,
        norm="instance",
        num_steps=80,
        lr=2e-3,
        batch=2,
    )
    losses = [tick.losses["L1"] for tick in pix2pix.train(tmp_path / "pairs", recipe, run=Run(tmp_path / "run", hardware=CPU))]
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


def test_two_processes_are_one_with_instance_norm(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import sys\n"
        "from styleloom.data.pairs import toons\n"
        "from styleloom.core.run import Hardware, Run\n"
        "from styleloom.papers.cyclegan import CycleGANRecipe, train\n"
        "if __name__ == '__main__':\n"
        "    data = toons('toonfaces:smile=-0.8:0.8', aligned=False, count=6)\n"
        f"    recipe = {replace(RECIPES['cyclegan'][1], batch=2, num_steps=2, pool_size=0)!r}\n"
        "    list(train(data, recipe, run=Run(sys.argv[1], hardware=Hardware('cpu', int(sys.argv[2])))))\n"
    )
    for processes in (1, 2):
        command = [sys.executable, str(script), str(tmp_path / str(processes)), str(processes)]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
    one, two = (load_file(tmp_path / str(processes) / STATE) for processes in (1, 2))
    weights = [key for key, value in one.items() if value.ndim == 4 and value.numel()]
    assert len(weights) > 20
    for key in weights:  # Adam's steps are of one length, so a few tiny gradients that rounding turns show
        assert (one[key] - two[key]).abs().mean() < 1e-6 + 1e-4 * one[key].abs().mean()


@pytest.mark.parametrize(("layers", "patch"), [(0, 1), (1, 16), (2, 34), (3, 70), (5, 286)])
def test_patches_have_the_sizes_of_the_paper(layers: int, patch: int) -> None:
    """What changes a logit in the middle: a square of that side."""
    D = PatchGAN(1, width=1, layers=layers, norm="none").double()
    for conv in D.convs:
        nn.init.constant_(conv.weight, 1.0)  # type: ignore[arg-type]
    x = torch.rand(1, 1, 400, 400, dtype=torch.double, requires_grad=True)
    logits = D(x)
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    assert x.grad is not None
    rows = (x.grad[0, 0] != 0).any(1).nonzero()
    assert rows[-1] - rows[0] + 1 == patch


def test_tiles_may_overlap_by_the_reach() -> None:
    """No pixel beyond it changes the middle of the result."""
    network = ResNetGenerator(1, 1, width=2, blocks=2, norm="none").double()
    side = 4 * (-(-(2 * int(network.reach or 0) + 9) // 4))
    x = torch.rand(1, 1, side, side, dtype=torch.double, requires_grad=True)
    network(x)[0, 0, side // 2, side // 2].backward()
    assert x.grad is not None
    rows = (x.grad[0, 0] != 0).any(1).nonzero()
    assert max(side // 2 - rows[0], rows[-1] - side // 2) <= int(network.reach or 0)


def test_dropout_is_the_noise() -> None:
    torch.manual_seed(0)
    network = UNet(3, 3, width=4, depth=6).eval()
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(network(x), network(x))
        with inference_mode_of(network, noise=True):
            assert not torch.equal(network(x), network(x))
        assert torch.equal(network(x), network(x))


def test_boundaries_and_codes_of_instances() -> None:
    numbers = torch.zeros(1, 1, 16, 16)
    numbers[..., 8:] = 7
    edge = boundaries(numbers)
    assert edge.sum() == 32 and edge[..., 7:9].all()
    torch.manual_seed(0)
    codes = InstanceEncoder(3, 2, width=4, downsamplings=2)(torch.rand(1, 3, 16, 16), numbers)
    assert codes.shape == (1, 2, 16, 16)
    for half in (codes[..., :8], codes[..., 8:]):
        torch.testing.assert_close(half, half[..., :1, :1].expand_as(half))
    assert not torch.equal(codes[..., :1], codes[..., -1:])


def test_usual_codes_are_centers_of_clusters() -> None:
    torch.manual_seed(0)
    encoder = InstanceEncoder(3, 2, width=4, downsamplings=2, norm="none").eval()
    numbers = torch.zeros(1, 1, 16, 16)
    numbers[..., 8:] = 7
    x = -torch.ones(1, 2, 16, 16)  # the left is of class 0, the right of class 1
    x[:, 0, :, :8], x[:, 1, :, 8:] = 1, 1
    kinds = [torch.rand(1, 3, 16, 16) * 2 - 1 for _ in range(2)]
    images = [kinds[index % 2] + 1e-4 * torch.randn(1, 3, 16, 16) for index in range(12)]
    knowing = encoder.find_usual([(x, image, numbers) for image in images], classes=2, count=2)
    with torch.no_grad():
        codes = torch.cat([encoder(image, numbers) for image in kinds])
    for usual, column in ((knowing.usual[0], 0), (knowing.usual[1], 15)):
        wanted = codes[:, :, 0, column]
        order = slice(None) if (usual[0] - wanted[0]).norm() < (usual[0] - wanted[1]).norm() else slice(None, None, -1)
        torch.testing.assert_close(usual, wanted.flip(0) if order.step else wanted, rtol=0, atol=1e-3)
    drawn = torch.cat([knowing.drawn(x, numbers, seed) for seed in range(20)])
    assert {tuple(code.tolist()) for code in drawn[:, :, 3, 3]} == {tuple(code.tolist()) for code in knowing.usual[0]}
    assert {tuple(code.tolist()) for code in drawn[:, :, 3, 12]} == {tuple(code.tolist()) for code in knowing.usual[1]}
    assert torch.equal(drawn[0], knowing.drawn(x, numbers, 0)[0])
    with pytest.raises(StyleLoomError, match="knows no usual codes"):
        encoder.drawn(x, numbers, 0)


def test_scales_see_halves_and_features_match_themselves() -> None:
    torch.manual_seed(0)
    D = MultiScale(3, width=4, layers=2, num=3)
    x = torch.rand(1, 3, 64, 64)
    features = D.features(x)
    torch.testing.assert_close(features[2][-1], D.scales[2](halved(halved(x))))
    assert [len(each) for each in features] == [4, 4, 4]
    assert pix2pixhd.feature_matching(features, features) == 0
    shifted = [[each + 1 for each in scale] for scale in features]
    # 4 / (layers + 1) for each of layers + 1 features, over the number of scales, whose sum is 4.
    assert pix2pixhd.feature_matching(shifted, features).item() == pytest.approx(4, rel=1e-5)


def test_an_enhancer_goes_around_a_trained_global_generator(tmp_path: Path) -> None:
    recipe = RECIPES["pix2pixhd"][1]
    small = replace(recipe, width=8, num_steps=1)
    for _ in pix2pixhd.train(faces(True), small, run=Run(tmp_path / "global", hardware=CPU)):
        pass
    inner = pix2pixhd.load(tmp_path / "global" / MODEL)
    around = replace(recipe, enhancer=True, size=32, load_size=32, width=4, num_steps=4, fix_global_epochs=100, epochs=100)
    for _ in pix2pixhd.train(faces(True), around, run=Run(tmp_path / "whole", hardware=CPU), base=inner):
        pass
    whole = pix2pixhd.load(tmp_path / "whole" / MODEL)
    assert isinstance(whole.networks["B"], LocalEnhancer)
    before, after = inner.networks["B"].state_dict(), whole.networks["B"].inner.state_dict()
    same = [torch.equal(before[name], after[name]) for name in after]
    assert not all(same)  # free from the second half on
    with pytest.raises(StyleLoomError, match="another shape: an enhancer of width n goes around one of width 2 n"):
        next(iter(pix2pixhd.train(faces(True), replace(around, width=8), run=Run(tmp_path / "no", hardware=CPU), base=inner)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pix2pix.Pix2PixRecipe(size=100), "size is 100; this network takes a multiple of 256"),
        (lambda: pix2pix.Pix2PixRecipe(size=16, depth=3), "size is 16; a discriminator of 3 layers needs 24 or more"),
        (lambda: pix2pix.Pix2PixRecipe(gan_weight=0, l1_weight=0), "nothing would be learned"),
        (lambda: cyclegan.CycleGANRecipe(gan_weight=0, cycle_weight_x=0, cycle_weight_y=0), "nothing would be learned"),
        (lambda: pix2pix.Pix2PixRecipe(blocks=6), "blocks is 6; a unet has none"),
        (lambda: cyclegan.CycleGANRecipe(depth=7), "depth is 7; that is of network unet"),
        (lambda: pix2pixhd.Pix2PixHDRecipe(local_blocks=4), "local_blocks is 4; that is of the enhancer"),
        (lambda: pix2pixhd.Pix2PixHDRecipe(encoder_width=8), "encoder_width is 8; that is of the codes' encoder"),
        (lambda: pix2pixhd.networks_of(pix2pixhd.Pix2PixHDRecipe(codes=3), 3, 3, False), "codes are of instances"),
        (lambda: translation.domains_of(faces(False), pix2pix.Pix2PixRecipe(), True), "these images are unaligned; wanted pairs"),
        (
            lambda: translation.domains_of(faces(True), cyclegan.CycleGANRecipe(), False),
            "these images are aligned; wanted two sets",
        ),
        (lambda: open_domains("x", aligned=True, derive="blur"), "unknown derive 'blur'"),
        (lambda: open_domains("x", "y", aligned=True, derive="edges"), "it takes no second folder"),
        (lambda: open_domains("x", aligned=True, layout="photos"), "say how with derive"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(StyleLoomError, match=message):
        make()
