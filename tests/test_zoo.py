"""The shipped models: small enough, with a card each, and as good as the card says."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from recipes import toonfaces_attributes
from torch import Tensor

import styleloom
from styleloom.core.checkpoint import read_tensors, resolve, zoo_names
from styleloom.data import images
from styleloom.data.bundled import bundled
from styleloom.demo.inversion import TARGETS
from styleloom.drawn import toonfaces
from styleloom.drawn.painterly import draw
from styleloom.metrics.distribution import frechet_distance, made_images
from styleloom.metrics.image import perceptual_distance
from styleloom.metrics.inception import load_embedding
from styleloom.nn.labeler import Labeler
from styleloom.papers import dumoulin, stylegan2, super_resolution
from styleloom.papers.learned_optimizer import Gate, Loom
from styleloom.tasks import inversion


@pytest.mark.parametrize("name", zoo_names())
def test_files_and_cards(name: str) -> None:
    path = resolve(name)
    tensors, metadata = read_tensors(path)
    assert all(tensor.dtype == torch.float16 or tensor.ndim < 2 for tensor in tensors.values())
    assert {"kind", "config", "format_version", "license"} <= set(metadata) and metadata["license"] != "unknown"
    assert path.stat().st_size <= (4_000_000 if name == "vgg19-lite" else 16 * 2**20)
    card = path.with_suffix(".md").read_text()
    for part in ("## Data", "## License", "## Training", "## Quality"):
        assert part in card, f"{name}.md lacks {part}"


def test_all_models_together_are_small() -> None:
    sizes = [resolve(name).stat().st_size for name in zoo_names()]
    assert max(sizes) <= 16_000_000 and sum(sizes) <= 95_000_000  # a wheel may have 100


def test_vgg19_lite_explains_the_true_network(shared: Path) -> None:
    """R^2 of read-outs fitted on 12 and judged on 8 other held-out photographs: a small form of benchmarks/features.py."""
    from benchmarks.features import features_of, flat
    from recipes.vgg19_lite import read_photos, read_teachers

    from styleloom.nn.vgg_files import load_features

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


def test_pastiche_knows_the_bundled_styles_and_they_differ() -> None:
    model = dumoulin.load()
    assert model.styles == tuple(styleloom.STYLES)
    photo = styleloom.resize(styleloom.bundled("cat"), (96, 128))
    painted = [dumoulin.stylize(photo, name, model=model) for name in model.styles]
    apart = [(one - other).abs().mean() for index, one in enumerate(painted) for other in painted[:index]]
    assert min(apart) > 0.01
    # Each is nearer to its own style than the photograph is, in the mean and spread of features.
    features = styleloom.load_features()
    layers = ("relu1_2", "relu2_2")

    def look(image: Tensor) -> dict[str, Tensor]:
        return {layer: torch.cat(torch.std_mean(x, (2, 3)), 1) for layer, x in features(image, layers).items()}

    before = look(photo)
    for name, image in zip(model.styles, painted, strict=True):
        wanted, found = look(styleloom.resize_to_fit(styleloom.bundled(name), 320)), look(image)
        for layer in layers:
            assert F.mse_loss(found[layer], wanted[layer]) < 0.8 * F.mse_loss(before[layer], wanted[layer]), (name, layer)


def test_bf16_is_within_a_gray_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("styleloom.core.precision.bf16_is_fast", lambda: True)
    photo, painting = styleloom.resize(styleloom.bundled("cat"), (96, 128)), styleloom.draw("wave", 128)
    for method, style in (("dumoulin", "mosaic"), ("adain", painting), ("johnson", "johnson-swirls")):
        full, half = (styleloom.stylize(photo, style, method, precision=precision) for precision in ("fp32", "bf16"))
        assert 0 < (half - full).abs().mean() < 1 / 255, method


def test_enlarging_looks_more_like_the_truth_than_bicubic() -> None:
    features, layers = styleloom.load_features(), ("relu1_1", "relu2_1", "relu3_1")
    for name in ("astronaut", "cat", "coffee"):
        photo = styleloom.bundled(name)[..., 40:232, 100:356]
        small = super_resolution.reduced(photo)
        found, plain = styleloom.upscale(small), styleloom.resize(small, (192, 256))
        distances = [perceptual_distance(features, image, photo, layers) for image in (found, plain)]
        assert distances[0] < 0.9 * distances[1], (name, distances)


def test_attributes_of_faces_that_were_not_seen_are_told() -> None:
    """A small form of what the training script measures on 5,000."""
    network = styleloom.load("toonfaces-attributes")
    assert isinstance(network, Labeler)
    found = toonfaces_attributes.quality(network, range(2_000_000, 2_000_800))
    assert len(found) == 22 and min(found.values()) > 0.95, found


def test_a_generator_of_64_px() -> None:
    generator, discriminator = stylegan2.load("toonfaces-64"), stylegan2.load_discriminator("toonfaces-64")
    assert generator.resolution == 64 and sum(each.numel() for each in generator.synthesis.parameters()) >= 1_500_000
    made = generator.generate(range(16))
    assert made.shape == (16, 3, 64, 64) and discriminator(made * 2 - 1).shape == (16, 1)
    apart = [(one - other).abs().mean() for index, one in enumerate(made) for other in made[:index]]
    assert min(apart) > 0.02  # a seed is a face of its own
    # Truncation draws images together.
    near = generator.generate(range(16), truncation_psi=0.5)
    assert (near - near.mean(0)).abs().mean() < 0.8 * (made - made.mean(0)).abs().mean()


def test_made_cartoon_faces_look_like_drawn_ones() -> None:
    """By the bundled features, far nearer to faces that were not trained on than portraits are."""
    embedding = load_embedding()
    drawn = toonfaces.render([toonfaces.attributes(seed) for seed in range(1_000_000, 1_000_400)])
    real = embedding.of(drawn.split(50))
    made, portraits = (embedding.of(made_images(stylegan2.load(name), 400)) for name in ("toonfaces-64", "portraits-128"))
    distance = frechet_distance(real, made)
    assert distance < 0.5 * frechet_distance(real, portraits)


@pytest.mark.parametrize("model", TARGETS)
def test_a_learned_optimizer_is_where_tuned_adam_comes_to_in_three_times_the_steps(model: str) -> None:
    generator, targets = stylegan2.load(model), TARGETS[model]()[: 4 if model == "toonfaces-64" else 2]
    tools = inversion.tools_of(generator)
    first = {}
    for init in ("mean", "encoder"):
        learned, adam = (
            inversion.invert(generator, targets, tools=tools, init=init, optimizer=name, num_steps=steps).losses
            for name, steps in (("learned", 8), ("adam", 24))
        )
        assert (learned[-1] < adam.amin(0)).float().mean() >= 0.75, (init, learned[-1], adam.amin(0))
        first[init] = learned[0]
    # The encoder begins nearer than the mean image, for each face.
    assert (first["encoder"] < 0.7 * first["mean"]).all()


def test_a_gate_is_nearer_after_half_the_steps_than_the_adam_that_it_multiplies() -> None:
    generator, targets = stylegan2.load("toonfaces-64"), TARGETS["toonfaces-64"]()[:4]
    plain, gated = inversion.tools_of(generator), inversion.tools_of(generator, learned="toonfaces-64-gate")
    assert isinstance(gated.learned, Gate) and isinstance(plain.learned, Loom)  # a generator's own is the better one
    assert plain.basis is not None and gated.basis is not None and torch.equal(gated.basis.vectors, plain.basis.vectors)
    for init in ("encoder", "random"):
        found = inversion.invert(generator, targets, tools=gated, init=init, optimizer="learned", num_steps=8).losses
        adam = inversion.invert(generator, targets, tools=plain, init=init, optimizer="adam", tuned=False, num_steps=16).losses
        assert (found[-1] < adam[-1]).all(), (init, found[-1], adam[-1])


def test_equal_steps_of_anystyles_strength_look_equal() -> None:
    photo, style = images.resize_to_fit(bundled("cat"), 192), draw("wave", 192)
    features, layers = styleloom.load_features(), ("relu1_1", "relu2_1", "relu3_1", "relu4_1")

    def change(alpha: float) -> float:
        painted = styleloom.stylize(photo, style, method="ghiasi", alpha=alpha)
        return perceptual_distance(features, photo, painted, layers)

    whole = change(1.0)
    assert change(0.0) == 0
    for alpha in (0.1, 0.25, 0.5, 0.75):
        assert change(alpha) / whole == pytest.approx(alpha, abs=0.12)
