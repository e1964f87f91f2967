"""The learned optimizer of any generator: what it is before training, what must not matter to it, and descent maps."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from styleloom.core import checkpoint
from styleloom.core.errors import StyleLoomError
from styleloom.core.run import Hardware, Run
from styleloom.loops import eigenbasis
from styleloom.loops.eigenbasis import EigenAdam, Eigenbasis
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import load_features
from styleloom.papers import learned_optimizer, stylegan2
from styleloom.papers.image2stylegan import InversionConfig, InversionStep, steps
from styleloom.papers.image2stylegan.objective import Objective, Weights
from styleloom.papers.learned_optimizer import LoomAny, Source, basis, factory, supervised, train_any
from styleloom.papers.learned_optimizer.supervised import SupervisedDescent

CPU = Hardware("cpu")


@pytest.fixture(scope="module")
def network() -> Features:
    return load_features().prepare(torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def prepared(generator: stylegan2.Generator, network: Features) -> tuple[Eigenbasis, SupervisedDescent]:
    """A basis of fewer directions than there are, and maps along it."""
    generator.requires_grad_(False)
    found = basis.make_basis(generator, samples=24)
    *_, last = supervised.fit(generator, found, network, samples=96)
    assert last.descent is not None
    return found, last.descent


def descend(generator: Any, network: Features, optimizer: Any, num_steps: int = 8) -> list[InversionStep]:
    targets = generator.generate([3, 4, 5])
    return list(steps(generator, targets, InversionConfig(num_steps=num_steps), features=network, optimizer=optimizer))


def trained(**options: Any) -> LoomAny:
    torch.manual_seed(4)
    made = LoomAny(hidden=8, **options).requires_grad_(False)
    torch.nn.init.normal_(made.layers[-1].weight, std=0.2)  # type: ignore[arg-type]
    return made


def test_untrained_it_is_adam_in_the_eigenbasis(
    generator: stylegan2.Generator, network: Features, prepared: tuple[Eigenbasis, SupervisedDescent]
) -> None:
    untrained = LoomAny(hidden=8, lr=0.1).requires_grad_(False).bound(generator, *prepared)
    ours = descend(generator, network, factory(untrained))
    theirs = descend(generator, network, lambda params, _: EigenAdam(params, prepared[0], lr=0.1))
    torch.testing.assert_close(ours[-1].history, theirs[-1].history, rtol=2e-2, atol=1e-5)


def test_signs_of_eigenvectors_do_not_matter(
    generator: stylegan2.Generator, network: Features, prepared: tuple[Eigenbasis, SupervisedDescent]
) -> None:
    found, maps = prepared
    torch.manual_seed(0)
    signs = torch.randint(0, 2, (found.vectors.shape[1],)) * 2.0 - 1
    turned = SupervisedDescent(**maps.config)
    turned.load_state_dict(maps.state_dict() | {"maps": maps.maps * signs})
    pairs = [(found, maps), (replace(found, vectors=found.vectors * signs), turned)]
    histories = [descend(generator, network, factory(trained().bound(generator, *pair)))[-1].history for pair in pairs]
    torch.testing.assert_close(*histories, rtol=1e-3, atol=1e-6)
    assert float((histories[0][1] - descend(generator, network, None)[-1].history[1]).abs().max()) > 1e-4


def test_descent_maps_find_the_way_in_a_linear_world(network: Features) -> None:
    """Images linear in ws: one map leads to the target, from the mean and from elsewhere."""

    class Linear(stylegan2.Generator):
        def __init__(self) -> None:
            super().__init__(
                4, 0, 4, 32, 3, mapping_kwargs=dict(num_layers=1), synthesis_kwargs=dict(channel_base=32, channel_max=4)
            )
            torch.manual_seed(0)
            waves = F.interpolate(torch.randn(self.num_ws * 4, 3, 4, 4), 32, mode="bicubic")
            self.synthesis.forward = lambda ws, **_: torch.einsum("nk,kchw->nchw", ws.flatten(1), 0.1 * waves)  # type: ignore

        def image_at(self, ws: Tensor, side: int) -> Tensor:
            return self.synthesis(ws)

        def layers_up_to(self, side: int) -> int:
            return self.num_ws

    linear = Linear().requires_grad_(False)
    size = linear.num_ws * 4
    axes = Eigenbasis(torch.eye(size), torch.ones(size), torch.ones(size), linear.num_ws, 4)
    *_, last = supervised.fit(linear, axes, network, samples=800)
    maps = last.descent
    assert maps is not None and float(maps.reliability[0].min()) > 0.9
    ws = linear.map(range(5000, 5016))
    objective = Objective(linear, (linear.synthesis(ws) + 1) / 2, network, Weights())
    for start in (torch.zeros_like(ws), linear.map(range(16))):
        image, terms = objective(start)
        observed = objective.observe(image, torch.stack(list(terms.values())).sum(0))
        difference = supervised.gridded(observed.target, observed.target_features)
        difference = difference - supervised.gridded(observed.image, observed.features)
        found = start + axes.back(maps(difference)[0])
        assert float((found - ws).square().mean()) < 0.1 * float((start - ws).square().mean())


def test_it_learns_on_several_generators_and_resumes_exactly(
    generator: stylegan2.Generator, network: Features, prepared: tuple[Eigenbasis, SupervisedDescent], tmp_path: Path
) -> None:
    torch.manual_seed(7)
    sizes = dict(channel_base=128, channel_max=8)
    larger = (
        stylegan2.Generator(6, 0, 6, 32, 3, mapping_kwargs=dict(num_layers=1), synthesis_kwargs=sizes)
        .eval()
        .requires_grad_(False)
    )
    larger.w_avg.copy_(larger.estimate_w_avg(500))
    sources = [Source(generator, *prepared), Source(larger, basis.make_basis(larger, samples=20))]
    recipe = replace(
        learned_optimizer.RECIPES["any"], hidden=8, num_steps=10, batch=2, unroll_length=6, first_unroll_length=3, lr=0.02
    )
    recipe = replace(recipe, save_every=1)
    whole = list(train_any(sources, recipe, run=Run(tmp_path / "whole", hardware=CPU)))
    for step in train_any(sources, recipe, run=Run(tmp_path / "half", hardware=CPU)):
        if step.index == 4:
            break
    *_, last = train_any(sources, recipe, run=Run(tmp_path / "half", hardware=CPU, resume=True))
    assert last.losses["descent"] == whole[-1].losses["descent"]
    ours, other = (learned_optimizer.load(tmp_path / name / "model.safetensors") for name in ("whole", "half"))
    assert isinstance(ours, LoomAny) and ours.config["generator"] == ""
    for mine, theirs in zip(ours.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    assert any(bool(parameter.any()) for parameter in ours.layers[-1].parameters())


def test_files_and_mistakes(
    generator: stylegan2.Generator, prepared: tuple[Eigenbasis, SupervisedDescent], tmp_path: Path
) -> None:
    found, maps = prepared
    path = tmp_path / "basis.safetensors"
    basis.save(path, found, maps)
    again, kept = eigenbasis.load(path), basis.load_maps(path)
    assert kept is not None and len(again.values) == len(found.values)
    torch.testing.assert_close(kept.maps, maps.maps, rtol=1e-3, atol=1e-3)
    found.save(path)
    assert basis.load_maps(path) is None
    network = LoomAny(hidden=8)
    with pytest.raises(StyleLoomError, match="make both anew"):
        network.bound(generator, replace(found, vectors=found.vectors[:, :5]), maps)
    with pytest.raises(StyleLoomError, match="was made for another generator"):
        network.bound(generator, replace(found, generator="someone"), maps)
    with pytest.raises(StyleLoomError, match="no generators to train on"):
        list(train_any([], run=Run(tmp_path / "run", hardware=CPU)))
    with pytest.raises(StyleLoomError, match="starts mean or random"):
        list(
            train_any([Source(generator, *prepared)], learned_optimizer.RECIPES["lstm"], run=Run(tmp_path / "run", hardware=CPU))
        )
    with pytest.raises(
        StyleLoomError, match=r"memory is 0\.1 GiB; an image of this generator, 16 px, takes about 0\.\d: it needs at least"
    ):
        basis.make_basis(generator, samples=4, memory=0.1)


def test_what_does_not_fit_is_told_in_a_line(
    generator: stylegan2.Generator,
    prepared: tuple[Eigenbasis, SupervisedDescent],
    network: Features,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, _ = prepared
    with pytest.raises(StyleLoomError, match=r"call bound\(generator, basis, maps\) first"):
        descend(generator, network, factory(LoomAny(hidden=8)))
    with pytest.raises(StyleLoomError, match=r"train loom-any with train_any\(\)"):
        list(learned_optimizer.train(generator, learned_optimizer.RECIPES["any"], run=Run(tmp_path / "run", hardware=CPU)))
    loom = learned_optimizer.Loom(found, num_ws=generator.num_ws, w_dim=generator.w_dim, resolution=16, channels=0)
    with pytest.raises(StyleLoomError, match="was made for another generator"):
        learned_optimizer.transferred(loom, generator, replace(found, generator="someone"))
    # A state goes on with the weights that it was begun with, and with no others.
    state = tmp_path / "state"
    monkeypatch.setattr(eigenbasis, "STATE_EVERY", 1)
    next(basis.estimate_basis(generator, samples=200, state=state))
    assert state.exists()
    with pytest.raises(StyleLoomError, match="a run with other images or settings"):
        next(basis.estimate_basis(generator, samples=200, state=state, weights=Weights(pixel_weight=5.0)))


def test_memory_is_kept_to(generator: stylegan2.Generator) -> None:
    large = stylegan2.Generator(8, 0, 8, 256, 3, mapping_kwargs=dict(num_layers=1))
    one = basis.bytes_of_image(large, 256) / 2**30
    assert basis.batch_for(large, 256, 0.5 + 1.5 * one) == 1 and basis.batch_for(large, 256, 0.5 + 3.2 * one) == 3
    assert basis.bytes_of_image(large, 128) < basis.bytes_of_image(large, 256) / 2
    assert basis.batch_for(generator, 16, 4.0) == basis.LARGEST_BATCH


def test_a_fit_of_maps_goes_on_where_it_was_stopped(
    generator: stylegan2.Generator, network: Features, prepared: tuple[Eigenbasis, SupervisedDescent], tmp_path: Path
) -> None:
    found, whole = prepared
    state = tmp_path / "maps.state"
    loop = supervised.fit(generator, found, network, samples=96, state=state)
    for _ in range(8):  # six batches make the targets
        next(loop)
    loop.close()  # type: ignore[attr-defined]
    assert len(checkpoint.read_state(state)["features"]) == 8 * supervised.BATCH
    rest = list(supervised.fit(generator, found, network, samples=96, state=state))
    assert len(rest) == 3 * 6 - 8 + 1 and rest[-1].descent is not None
    assert all(torch.equal(value, rest[-1].descent.state_dict()[name]) for name, value in whole.state_dict().items())
    with pytest.raises(StyleLoomError, match="other images or settings"):
        next(supervised.fit(generator, found, network, samples=48, state=state))
    state.write_bytes(b"nothing")
    with pytest.raises(StyleLoomError, match="remove it to begin anew"):
        next(supervised.fit(generator, found, network, samples=96, state=state))
