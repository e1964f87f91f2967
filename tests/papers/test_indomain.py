"""An encoder learns to read latents off images, and a run resumes exactly."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from styleloom.core.checkpoint import read_state
from styleloom.core.errors import StyleLoomError
from styleloom.core.run import Run
from styleloom.data import images
from styleloom.loops.fit import MODEL, STATE
from styleloom.papers import indomain, stylegan2

RECIPE = indomain.EncoderRecipe(
    num_steps=6, batch=4, channel_base=128, channel_max=16, log_every=1, sample_every=100, save_every=3
)


@pytest.fixture(scope="module")
def networks() -> tuple[stylegan2.Generator, stylegan2.Discriminator]:
    torch.manual_seed(0)
    recipe = stylegan2.StyleGAN2Recipe(resolution=16, channel_base=256, channel_max=16, z_dim=8, w_dim=8, mapping_layers=2)
    generator, discriminator = stylegan2.networks(recipe)
    generator.w_avg.copy_(generator.estimate_w_avg(1000))
    return generator.eval(), discriminator


@pytest.fixture(scope="module")
def photos(networks: tuple[stylegan2.Generator, Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("images")
    for seed, image in enumerate(networks[0].generate(range(12))):
        images.write(image, folder / f"{seed:02d}.png")
    return str(folder)


def run(photos: str, networks: Any, out: Path, stop: int = 10**9, **options: Any) -> None:
    changes = {name: options.pop(name) for name in list(options) if name in RECIPE.__dataclass_fields__}
    where = {key: options.pop(key) for key in ("hardware", "license", "resume") if key in options}
    generator, discriminator = networks
    for tick in indomain.train(
        photos, generator, replace(RECIPE, **changes), run=Run(out, **where), discriminator=discriminator, **options
    ):
        if tick.index == stop:
            break


@pytest.mark.parametrize("options", [dict(), dict(adversarial_weight=0.1), dict(iterations=2)])
def test_resume_is_exact(options: dict[str, Any], photos: str, networks: Any, tmp_path: Path) -> None:
    discriminator = {name: value.clone() for name, value in networks[1].state_dict().items()}
    for part, stop in (("whole", 6), ("halves", 4), ("halves", 6)):  # one step after the checkpoint
        networks[1].load_state_dict(discriminator)
        run(photos, networks, tmp_path / part, stop, resume=True, **options)
    left, right = (read_state(tmp_path / part / STATE) for part in ("whole", "halves"))
    for kind in left["networks"]:
        for name, value in left["networks"][kind].items():
            assert torch.equal(value, right["networks"][kind][name]), (kind, name)
    networks[1].load_state_dict(discriminator)


def test_a_batch_in_two_parts_takes_the_same_step(photos: str, networks: Any, tmp_path: Path) -> None:
    """Which images are made is decided for each of them, so the parts are those of the whole."""
    for accumulate in (1, 2):
        run(photos, networks, tmp_path / str(accumulate), 1, num_steps=1, batch=6, accumulate=accumulate, latent_weight=1.0)
    whole, parts = (read_state(tmp_path / part / STATE)["networks"]["encoder"] for part in "12")
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=0, atol=2e-5, msg=name)


def test_a_gray_generator_has_an_encoder_too(photos: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    gray = stylegan2.Generator(8, 0, 8, 16, 1, synthesis_kwargs=dict(channel_base=128, channel_max=16)).eval()
    for iterations in (1, 2):
        run(photos, (gray, None), tmp_path / str(iterations), num_steps=1, iterations=iterations)
        assert indomain.load(tmp_path / str(iterations) / MODEL).encode(gray, torch.rand(2, 3, 16, 16)).isfinite().all()


def test_the_last_look_follows_the_image(networks: Any) -> None:
    """Its gradient, which the in-domain term descends on; what it saw of the look before is given."""
    torch.manual_seed(0)
    generator = networks[0]
    encoder = indomain.Encoder(16, generator.num_ws, 8, channel_base=128, channel_max=16, iterations=2)
    image = torch.rand(1, 3, 16, 16, requires_grad=True)
    seen = image * 2 - 1
    with torch.no_grad():
        got = generator.w_avg.expand(1, generator.num_ws, -1) * 0  # the mean that an untrained encoder knows
        got = encoder(torch.cat([seen, generator.synthesis(got, noise_mode="const")], 1))
        got = generator.synthesis(got, noise_mode="const")
    (wanted,) = torch.autograd.grad(encoder(torch.cat([seen, got], 1)).square().sum(), image, retain_graph=True)
    *_, before, last = encoder.iterate(generator, image * 2 - 1)
    (found,) = torch.autograd.grad((last - before.detach()).square().sum(), image)
    assert float(wanted.abs().max()) > 0
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("iterations", [1, 2])
def test_latents_that_are_read_off_make_the_image_again(iterations: int, photos: str, networks: Any, tmp_path: Path) -> None:
    generator = networks[0]
    run(photos, networks, tmp_path, num_steps=80, batch=8, iterations=iterations, save_every=1000, lr=5e-3)
    encoder = indomain.load(tmp_path / MODEL)
    wanted = generator.generate(range(100, 116))

    def apart(ws: Tensor) -> float:
        return float((torch.cat(list(generator.render(ws))) - wanted).square().mean())

    assert apart(encoder.encode(generator, wanted)) < 0.75 * apart(generator.w_avg.expand(16, generator.num_ws, -1))


@pytest.mark.parametrize(
    "change",
    [
        dict(iterations=0),
        dict(iterations=10**6),
        dict(synthetic=1.5),
        dict(lr=-1.0),
        dict(latent_weight=-1.0),
        dict(pixel_weight=-1.0),
    ],
)
def test_recipes_that_cannot_be(change: dict[str, Any]) -> None:
    ((name, value),) = change.items()
    with pytest.raises(StyleLoomError, match=f"^{name} is {value}; it must be"):
        replace(RECIPE, **change)


def test_mistakes(photos: str, networks: Any, tmp_path: Path) -> None:
    with pytest.raises(StyleLoomError, match="adversarial_weight is not 0, and this generator's file has no discriminator"):
        next(indomain.train(photos, networks[0], replace(RECIPE, adversarial_weight=0.1), run=Run(tmp_path)))
