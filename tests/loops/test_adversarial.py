"""What belongs to one image is the same in any batch; what is remembered between steps."""

import torch

from styleloom.core.random import SampleRandom
from styleloom.loops.adversarial import RunningStatistics, only, resolutions_of, sheet, trained
from styleloom.papers import progan, stylegan2
from styleloom.papers.ada import augment

CPU = torch.device("cpu")


def test_an_images_augmentation_does_not_depend_on_the_batch() -> None:
    images, seeds = torch.rand(6, 3, 16, 16) * 2 - 1, torch.arange(6)
    whole = augment(images, 0.7, generator=SampleRandom(seeds, 0, CPU))
    part = augment(images[1:3], 0.7, generator=SampleRandom(seeds[1:3], 0, CPU))
    torch.testing.assert_close(whole[1:3], part, atol=1e-5, rtol=0)
    assert not torch.allclose(whole, images)


def test_memory_gathers_means_and_forgets_them() -> None:
    statistics = RunningStatistics({"w": (2,), "sign": ()}, {"p": 0.25})
    assert statistics.take("w") is None
    statistics.add("w", torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    statistics.add("w", torch.tensor([[5.0, 9.0]]))
    statistics.add("sign", torch.tensor([1.0, float("nan")]))
    found = statistics.take("w")
    assert found is not None and found.tolist() == [3, 5]
    assert statistics.take("w") is None and statistics.take("sign") is None and statistics.take("sign") is None
    assert {name: float(value) for name, value in statistics.state_dict().items() if name == "p"} == {"p": 0.25}


def test_which_parameters_learn() -> None:
    _, discriminator = stylegan2.networks(stylegan2.StyleGAN2Recipe(resolution=16, channel_base=64, channel_max=8))
    assert resolutions_of(discriminator) == [16, 8, 4]
    some = trained(discriminator, 1)
    assert {name for name, each in discriminator.named_parameters() if not any(each is other for other in some)} == {
        name for name, _ in discriminator.named_parameters() if name.startswith("b16.")
    }
    generator, _ = stylegan2.networks(stylegan2.StyleGAN2Recipe(resolution=16, channel_base=64, channel_max=8))
    only(some, generator, discriminator)
    assert not any(each.requires_grad for each in generator.parameters())
    assert all(each.requires_grad == (not name.startswith("b16.")) for name, each in discriminator.named_parameters())


def test_a_sheet_has_samples_and_a_sweep_of_truncation() -> None:
    torch.manual_seed(0)
    generator, _ = progan.networks(progan.ProGANRecipe(resolution=8, channel_base=64, channel_max=8, z_dim=8), 3)
    found = sheet(generator)
    assert found.shape[2:] == (7 * 8 + 6 * 4, 8 * 8 + 7 * 4)
    torch.testing.assert_close(found[:, :, :8, :8], generator.generate([0], 0))
    # Truncated to nothing, images of a class are one image.
    torch.testing.assert_close(found[:, :, -8:, :8], found[:, :, -8:, 36:44])
