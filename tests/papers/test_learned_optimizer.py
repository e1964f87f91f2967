"""Learned optimizers: what they are before training, that their training's gradient is right, and that they learn."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError
from styleloom.core.run import Hardware, Run
from styleloom.loops.eigenbasis import EigenAdam, Eigenbasis, eigenbasis
from styleloom.nn.generators import generator_id
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import load_features
from styleloom.papers import learned_optimizer, stylegan2
from styleloom.papers.image2stylegan import InversionConfig, InversionStep, steps
from styleloom.papers.image2stylegan.objective import Observation
from styleloom.papers.learned_optimizer import (
    CoordinatewiseLSTM,
    Gate,
    Landscape,
    Learned,
    Loom,
    Network,
    OptimizerRecipe,
    Schedule,
    factory,
)
from styleloom.papers.learned_optimizer.loom import ResidualBlock, quasi_newton
from styleloom.papers.learned_optimizer.losses import DescentLosses
from styleloom.papers.learned_optimizer.optimizer import FALLBACK_BETAS, FALLBACK_DECAY, FALLBACK_RATE, FALLBACK_WARMUP

SIDE = 16
CPU = Hardware("cpu")


@pytest.fixture(scope="module")
def basis(generator: stylegan2.Generator) -> Eigenbasis:
    *_, last_one = eigenbasis(generator, lambda image: [(image, 1 / image[0].numel())], samples=200)
    assert last_one.basis is not None
    return last_one.basis


def loom(generator: stylegan2.Generator, basis: Eigenbasis, **options: Any) -> Loom:
    torch.manual_seed(2)
    sizes: dict[str, Any] = dict(
        num_ws=generator.num_ws, w_dim=8, resolution=SIDE, w_avg=generator.w_avg, generator=generator_id(generator)
    )
    return Loom(basis, **sizes, **options).requires_grad_(False)


def gate(generator: stylegan2.Generator) -> Gate:
    torch.manual_seed(2)
    return Gate(generator.num_ws, 8, hidden=16, generator=generator_id(generator)).requires_grad_(False)


def run(generator: Any, features: Any, targets: Tensor, network: Any, num_steps: int = 20, **options: Any) -> list[InversionStep]:
    config = InversionConfig(num_steps=num_steps)
    chosen: Any = factory(network) if isinstance(network, torch.nn.Module) else network  # type: ignore[arg-type]
    return list(steps(generator, targets, config, features=features, optimizer=chosen, **options))


def test_untrained_it_is_adam_in_the_eigenbasis(generator: stylegan2.Generator, basis: Eigenbasis, features: Features) -> None:
    targets = generator.generate([3, 4, 5])
    ours = run(generator, features, targets, loom(generator, basis, lr=0.1))
    theirs = run(generator, features, targets, lambda params, _: EigenAdam(params, basis, lr=0.1))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.each, other.each, rtol=1e-2, atol=1e-5)
    torch.testing.assert_close(ours[-1].ws, theirs[-1].ws, rtol=1e-2, atol=1e-2)


def test_quasi_newton_is_what_the_matrices_say() -> None:
    """BFGS with whole matrices: H' = (1 - rho s y^T) H (1 - rho y s^T) + rho s s^T, from a diagonal one."""
    torch.manual_seed(0)
    hessian = torch.randn(7, 7, dtype=torch.float64)
    hessian = hessian @ hessian.T + torch.eye(7)
    diagonal, gradient, all_s = torch.rand(7).double() + 0.1, torch.randn(2, 7).double(), torch.randn(2, 3, 7).double()
    all_y = all_s @ hessian
    all_s[1, 0] = all_y[1, 0] = 0  # none yet
    all_s[0, 1] = -all_s[0, 1]  # without curvature
    for row in range(2):
        s, y = all_s[row, 2], all_y[row, 2]
        inverse = torch.diag(diagonal) * (s @ y / (y * diagonal @ y)).clamp(0.05, 20)
        for s, y in zip(all_s[row], all_y[row], strict=True):
            if s @ y > 0:
                left = torch.eye(7) - torch.outer(s, y) / (s @ y)
                inverse = left @ inverse @ left.T + torch.outer(s, s) / (s @ y)
        torch.testing.assert_close(quasi_newton(gradient, all_s, all_y, diagonal)[row], -inverse @ gradient[row])
    none = torch.zeros(2, 3, 7).double()
    torch.testing.assert_close(quasi_newton(gradient, none, none, diagonal), -diagonal * gradient)


def test_an_lstm_takes_each_coordinate_by_itself_and_small_gradients_too() -> None:
    torch.manual_seed(0)
    network = CoordinatewiseLSTM(2, 3).requires_grad_(False)
    ws, gradient = torch.zeros(1, 2, 3), torch.tensor([[[1e-6, 1.0, -1.0], [2e-6, 1.0, 3.0]]])
    blind: Any = None
    state = network.init_state(1)
    for _ in range(3):
        step, state = network(ws, gradient, blind, state)
    same, signs, small = step[0, 0, 1] - step[0, 1, 1], step[0, 0, 1] - step[0, 0, 2], step[0, 0, 0] - step[0, 1, 0]
    assert abs(same) < 1e-8 < 1e-6 < min(abs(signs), abs(small))
    alone, _ = network(
        ws[:, :1], gradient[:, :1], blind, {k: v[:, :3] if v.ndim > 1 else v for k, v in network.init_state(1).items()}
    )
    torch.testing.assert_close(alone, network(ws, gradient, blind, network.init_state(1))[0][:, :1])


def test_a_landscape_descends_by_the_gradient_in_its_own_space() -> None:
    torch.manual_seed(0)
    network = Landscape(2, 3, hidden=5, lr=0.3)
    blind: Any = None
    ws, gradients = torch.randn(2, 2, 3), torch.randn(2, 2, 2, 3)
    update, _ = network(ws, gradients[0], blind, network.init_state(2))
    torch.testing.assert_close(update, -0.3 * gradients[0])  # the map begins as the identity

    torch.nn.init.normal_(network.last.weight)
    z, state, total = ws, network.init_state(2), torch.zeros(2, 2, 3)
    for gradient in gradients:
        update, state = network(ws + total.detach(), gradient, blind, state)
        total = total + update
        jacobian = [torch.autograd.functional.jacobian(lambda each: network.map(each[None])[0], each) for each in z]
        z = z - 0.3 * torch.stack([torch.einsum("abij,ab->ij", each, g) for each, g in zip(jacobian, gradient, strict=True)])
        torch.testing.assert_close(ws + total, network.map(z))
    # A training's gradient is that of the last point alone, which is taken as given.
    weights, wanted = tuple(network.parameters()), torch.randn_like(ws)
    got = torch.autograd.grad((total * wanted).sum(), weights)
    torch.testing.assert_close(got, torch.autograd.grad((network.map(z) * wanted).sum(), weights))


def test_the_training_gradient_is_that_of_the_losses_where_the_inputs_are_given(
    generator: stylegan2.Generator, basis: Eigenbasis, tmp_path: Path
) -> None:
    """Against differences: the weights are moved, while the inputs of the network stay as they were."""
    sizes: dict[str, Any] = dict(channels=4, widest=8)
    recipe = OptimizerRecipe(
        batch=2, pretrain_fraction=0.0, unroll_length=3, first_unroll_length=3, synthetic=1.0, starts=("mean",), **sizes
    )
    network = loom(generator, basis, **sizes).requires_grad_(True)
    torch.nn.init.normal_(network.last.weight, std=0.05)
    torch.nn.init.normal_(network.step_network.last.weight, std=0.1)  # type: ignore[union-attr]
    features = load_features().prepare(torch.device("cpu"), torch.float32)
    losses = DescentLosses(generator.requires_grad_(False), features, recipe, None, network)
    batch = torch.zeros(2, 3, SIDE, SIDE), torch.randn(2, 3, 8), torch.ones(2, dtype=torch.bool), torch.tensor([0, 2])
    inputs: list[tuple[Any, ...]] = []
    original = network.forward

    def recording(*arguments: Any) -> Any:
        inputs.append(arguments)
        return original(*arguments)

    network.forward = recording  # type: ignore[method-assign, assignment]
    losses.whole_descent(*batch)["descent"].backward()
    network.forward = original  # type: ignore[method-assign]
    directions = {name: torch.randn_like(p) for name, p in network.named_parameters() if p.grad is not None}
    assert len(directions) == len(list(network.parameters()))
    slope = sum(float((p.grad * directions[name]).sum()) for name, p in network.named_parameters() if p.grad is not None)

    def replayed(size: float) -> float:
        """The mean of natural log losses when each step is that of moved weights, from inputs as they were."""
        with torch.no_grad():
            for name, p in network.named_parameters():
                p.add_(directions[name], alpha=size)
            objective, ws, _ = losses._begin(*batch)
            total = 0.0
            for arguments in inputs:
                ws = ws + network(*arguments)[0]
                _, terms = objective(ws)
                total += float(torch.stack(list(terms.values())).sum(0).double().log().mean()) / len(inputs)
            for name, p in network.named_parameters():
                p.sub_(directions[name], alpha=size)
        return total

    assert slope == pytest.approx((replayed(5e-5) - replayed(-5e-5)) / 1e-4, rel=0.03)


def test_it_learns_to_be_faster(generator: stylegan2.Generator, basis: Eigenbasis, features: Features, tmp_path: Path) -> None:
    recipe = OptimizerRecipe(
        num_steps=80,
        pretrain_fraction=0.25,
        batch=8,
        unroll_length=8,
        synthetic=1.0,
        starts=("mean", "random"),
        lr=3e-3,
        channels=8,
        widest=16,
    )
    ticks = list(learned_optimizer.train(generator, recipe, run=Run(tmp_path / "run", hardware=CPU), basis=basis))
    pairs = [tick.losses["pairs"] for tick in ticks[:20]]
    assert pairs[0] == 1.0  # at first it says nothing, so that all of the way is left
    assert pairs[-1] < 0.9 and "descent" in ticks[20].losses
    trained = learned_optimizer.load(tmp_path / "run" / "model.safetensors")
    assert trained.schedule == Schedule(anneal_start=8, step_decay_start=60)
    targets = generator.generate(range(500, 516))
    config = InversionConfig(num_steps=8)
    ends = {}
    for name, network in (("trained", trained), ("untrained", loom(generator, basis))):
        *_, found = steps(generator, targets, config, optimizer=factory(network))
        ends[name] = found.each.log().mean()
    assert ends["trained"] < ends["untrained"] - 0.2


def test_training_on_keeps_what_suits_its_base_unless_inputs(
    generator: stylegan2.Generator, basis: Eigenbasis, tmp_path: Path
) -> None:
    common: dict[str, Any] = dict(num_steps=1, pretrain_fraction=0.0, batch=2, unroll_length=8, synthetic=1.0, starts=("mean",))
    names = ("anneal_start", "step_decay_start", "fallback_step")
    for index, (own, given, wanted) in enumerate(
        [
            ((100, 25, 300), (None, None, None), (100, 25, 300)),
            ((4, 25, 0), (None, None, None), (8, 25, 0)),
            ((0, 25, 0), (None, None, None), (0, 25, 0)),
            ((100, 25, 300), (9, 7, 50), (9, 7, 50)),
            ((100, 25, 300), (0, 0, 0), (0, 0, 0)),
        ]
    ):
        base = loom(generator, basis, schedule=Schedule(*own))
        recipe = OptimizerRecipe(**common | dict(zip(names, given, strict=True)))
        out = tmp_path / str(index)
        list(learned_optimizer.train(generator, recipe, run=Run(out, hardware=CPU), base=base))
        trained = learned_optimizer.load(out / "model.safetensors")
        assert trained.schedule == Schedule(*wanted) and vars(trained.schedule) == trained.config["schedule"]


def test_a_gate_learns_a_step_at_a_time_and_resumes_in_the_middle_of_descents(
    generator: stylegan2.Generator, tmp_path: Path
) -> None:
    preset = learned_optimizer.RECIPES["gate"]
    sizes = dict(
        num_steps=100,
        batch=4,
        hidden=16,
        unroll_length=10,
        first_unroll_length=10,
        starts=("random",),
        save_every=7,
        lr=3e-3,
        inner_lr=0.1,
    )
    recipe = OptimizerRecipe(**(vars(preset) | sizes))
    ticks = list(learned_optimizer.train(generator, recipe, run=Run(tmp_path / "a", hardware=CPU)))
    losses = [tick.losses["image"] for tick in ticks]
    ends = [losses[start + 9] / losses[start] for start in range(0, 100, 10)]
    assert sum(ends[-3:]) < 0.7 * sum(ends[:3])
    for tick in learned_optimizer.train(generator, recipe, run=Run(tmp_path / "b", hardware=CPU)):
        if tick.index == 87:
            break
    *_, last = learned_optimizer.train(generator, recipe, run=Run(tmp_path / "b", hardware=CPU, resume=True))
    assert last.losses == ticks[-1].losses
    whole, again = (learned_optimizer.load(tmp_path / name / "model.safetensors").state_dict() for name in "ab")
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_resume_and_batches(generator: stylegan2.Generator, basis: Eigenbasis, features: Features, tmp_path: Path) -> None:
    network = loom(generator, basis)
    torch.nn.init.normal_(network.step_network.last.weight, std=0.05)  # type: ignore[union-attr]
    targets = generator.generate([3, 4, 5])
    whole = run(generator, features, targets, network)
    state: dict[str, Any] = dict(state=tmp_path / "run", state_every=5)
    loop = steps(generator, targets, InversionConfig(num_steps=20), features=features, optimizer=factory(network), **state)
    for step in loop:
        if step.index == 7:
            break
    again = run(generator, features, targets, network, **state)
    assert len(again) == 16 and torch.equal(again[-1].ws, whole[-1].ws)
    alone = run(generator, features, targets[1:2], network)
    torch.testing.assert_close(alone[-1].each[0], whole[-1].each[1], rtol=1e-3, atol=1e-6)


def test_what_is_transferred_is_the_same_where_it_came_from_and_works_elsewhere(
    generator: stylegan2.Generator, basis: Eigenbasis, features: Features
) -> None:
    network = loom(generator, basis, channels=0)
    torch.nn.init.normal_(network.last.weight, std=0.02)
    targets = generator.generate([3, 4])
    here = run(generator, features, targets, network)
    again = run(generator, features, targets, learned_optimizer.transferred(network, generator, basis))
    assert torch.equal(here[-1].ws, again[-1].ws)
    torch.manual_seed(5)
    other = stylegan2.Generator(8, 0, 12, SIDE, 3, synthesis_kwargs=dict(channel_base=128, channel_max=16)).eval()
    other.w_avg.copy_(other.estimate_w_avg(1000))
    *_, found = eigenbasis(other.requires_grad_(False), lambda image: [(image, 1 / image[0].numel())], samples=200)
    assert found.basis is not None and found.basis.vectors.shape[1] == 72 > 48 == basis.vectors.shape[1]
    moved = learned_optimizer.transferred(network, other, found.basis)
    assert torch.equal(moved.embedding[:48], network.embedding) and torch.equal(
        moved.embedding[48:], network.embedding[-1:].expand(24, -1)
    )
    assert all(torch.equal(*pair) for pair in zip(moved.last.parameters(), network.last.parameters(), strict=True))
    there = run(other, features, other.generate([3, 4]), moved)
    assert bool((there[-1].each < 0.5 * there[0].each).all())


def test_a_new_step_network_begins_with_no_step(generator: stylegan2.Generator, basis: Eigenbasis, features: Features) -> None:
    network = loom(generator, basis, channels=0)
    torch.nn.init.normal_(network.last.weight, std=0.02)
    renewed = learned_optimizer.with_new_step_network(network, 4, widest=8, step_hidden=12, blocks=1, rank=5)
    assert renewed.step_network is not None and renewed.step_network.last.in_features == 12
    assert renewed.step_network.up.in_features == 5
    assert any(isinstance(each, ResidualBlock) for each in renewed.step_network.layers)
    targets = generator.generate([3, 4])
    without, with_it = (run(generator, features, targets, each, 5)[-1].ws for each in (network, renewed))
    assert torch.allclose(without, with_it, atol=1e-6)


def test_it_learns_several_steps_in_a_row_from_pairs(
    generator: stylegan2.Generator, basis: Eigenbasis, features: Features, tmp_path: Path
) -> None:
    recipe = OptimizerRecipe(
        num_steps=40,
        batch=2,
        pretrain_fraction=1.0,
        pretrain_unroll_length=3,
        synthetic=1.0,
        starts=("mean",),
        channels=8,
        blocks=1,
        lr=3e-3,
        unroll_length=5,
    )
    steps = list(learned_optimizer.train(generator, recipe, run=Run(tmp_path / "run", hardware=CPU), basis=basis))
    shares = [step.losses["pairs"] for step in steps]
    assert shares[0] == pytest.approx(1, abs=0.05), "of the distance between two latents all is left at first"
    assert sum(shares[-5:]) / 5 < 0.9 * shares[0]


class Wild(Network):
    """An optimizer that is led astray."""

    def __init__(self) -> None:
        super().__init__()
        self.num_ws, self.w_dim, self.config = 6, 8, dict(generator="")

    def init_state(self, batch: int) -> dict[str, Tensor]:
        return dict(step=torch.zeros(batch))

    def forward(self, ws: Tensor, gradient: Tensor, observation: Observation, state: Any) -> tuple[Tensor, Any]:
        away = gradient / gradient.flatten(1).norm(dim=1)[:, None, None].clamp(min=1e-12)
        return away * 3, dict(step=state["step"] + 1)


def test_what_leads_astray_is_held_back(generator: stylegan2.Generator, features: Features) -> None:
    targets = generator.generate([3, 4, 5])
    found = run(generator, features, targets, Wild(), num_steps=40)
    first = found[0].each
    assert bool((found[-1].each <= 1.6 * first).all()) and bool(found[-1].each.isfinite().all())


def test_steps_shrink_once_a_descent_is_to_settle(generator: stylegan2.Generator, basis: Eigenbasis) -> None:
    ws, gradient, target = torch.randn(2, 6, 8), torch.randn(2, 6, 8), torch.rand(2, 3, SIDE, SIDE)
    observation = Observation(torch.ones(2), target, target)
    early, late = (loom(generator, basis, schedule=Schedule(step_decay_start=start)) for start in (3, 12))
    state = early.init_state(2) | dict(step=torch.tensor([2.0, 11.0]))  # the third step, and the twelfth
    (shrunk, _), (whole, _) = (network(ws, gradient, observation, state) for network in (early, late))
    torch.testing.assert_close(shrunk, whole * torch.tensor([1.0, 0.5])[:, None, None])


def test_adam_takes_over_in_the_end(generator: stylegan2.Generator, basis: Eigenbasis) -> None:
    ws, gradient, target = torch.randn(4, 6, 8), torch.randn(4, 6, 8), torch.rand(4, 3, SIDE, SIDE)
    state = loom(generator, basis).init_state(4) | dict(step=torch.tensor([9.0, 14.0, 19.0, 99.0]))
    steps = {}
    for aside in (0.0, 1.0):  # without and with a step of its own
        network = loom(generator, basis, schedule=Schedule(anneal_start=10, step_decay_start=0))
        with torch.no_grad():
            network.last.bias[1] = aside
        steps[aside], _ = network(ws, gradient, Observation(torch.ones(4), target, target), state)
    own = (steps[1.0] - steps[0.0]).abs().amax((1, 2))
    assert own[1] == pytest.approx(float(own[0]) / 2, rel=1e-3) and own[0] > 1e-3
    torch.testing.assert_close(steps[1.0][2:], steps[0.0][2:])


class Fixed:
    """A descent of given gradients."""

    def __init__(self, generator: stylegan2.Generator, target: Tensor) -> None:
        self.objective = type("Objective", (), dict(generator=generator))()
        self.observation = Observation(torch.ones(2), target, target)


def test_plain_adam_takes_over_at_the_fallback_step(generator: stylegan2.Generator, basis: Eigenbasis) -> None:
    fallback = FALLBACK_WARMUP + 3
    descent: Any = Fixed(generator, torch.rand(2, 3, SIDE, SIDE))
    gradients = torch.randn(fallback + 4, 2, 6, 8)
    moved = {}
    for name, schedule in (("falls back", Schedule(fallback_step=fallback)), ("never", Schedule())):
        params = list(torch.zeros(2, 6, 8))
        optimizer = Learned(params, loom(generator, basis, schedule=schedule), descent)
        updates = []
        for gradient in gradients:
            before = torch.stack(params)
            for p, each in zip(params, gradient, strict=True):
                p.grad = each
            optimizer.step(lambda: None)
            updates.append(torch.stack(params) - before)
        moved[name] = torch.stack(updates)
        state = optimizer.state[params[0]]
        assert ("means" in state) == (name == "never") and ("adam_mean" in state) == (name == "falls back")
    assert torch.equal(moved["falls back"][:fallback], moved["never"][:fallback])
    latent = torch.zeros(2, 6, 8, requires_grad=True)
    adam = torch.optim.Adam([latent], betas=FALLBACK_BETAS)
    for index, gradient in enumerate(gradients[fallback - FALLBACK_WARMUP :], start=fallback - FALLBACK_WARMUP + 1):
        before, latent.grad = latent.detach().clone(), gradient
        adam.param_groups[0]["lr"] = FALLBACK_RATE * (1 + max(0, index - fallback) / FALLBACK_DECAY) ** -0.5
        adam.step()
        if index > fallback:
            torch.testing.assert_close(moved["falls back"][index - 1], latent.detach() - before, atol=1e-6, rtol=1e-4)


def test_a_descent_goes_on_with_its_own_network_alone(
    generator: stylegan2.Generator, basis: Eigenbasis, features: Features, tmp_path: Path
) -> None:
    targets, state = generator.generate([3]), tmp_path / "state"
    first, second = (factory(loom(generator, basis, lr=lr)) for lr in (0.3, 0.2))
    for step in steps(generator, targets, InversionConfig(), features=features, optimizer=first, state=state, state_every=2):
        if step.index == 5:
            break
    with pytest.raises(StyleLoomError, match="this state is another learned optimizer's"):
        next(steps(generator, targets, InversionConfig(), features=features, optimizer=second, state=state))
    again = next(steps(generator, targets, InversionConfig(), features=features, optimizer=first, state=state))
    assert again.index == 5 and torch.equal(again.history[:5], step.history) and len(again.history) == 5


@pytest.mark.parametrize("change", [dict(lr=-1.0), dict(channels=-4), dict(widest=0), dict(hidden=0), dict(inner_lr=-1.0)])
def test_recipes_that_cannot_be(change: dict[str, Any]) -> None:
    ((name, value),) = change.items()
    with pytest.raises(StyleLoomError, match=f"^{name} is {value}; it must be"):
        OptimizerRecipe(**change)


def test_mistakes(generator: stylegan2.Generator, basis: Eigenbasis, features: Features, tmp_path: Path) -> None:
    targets = generator.generate([3])
    other = stylegan2.Generator(8, 0, 8, SIDE, 3, synthesis_kwargs=dict(channel_base=128, channel_max=16))
    other.w_avg.fill_(1.0)
    with pytest.raises(StyleLoomError, match="made for another generator"):
        run(other, features, targets, loom(generator, basis))
    with pytest.raises(StyleLoomError, match="use space w_plus"):
        config = InversionConfig(space="w")
        list(steps(generator, targets, config, features=features, optimizer=factory(gate(generator))))
    descent: Any = Fixed(generator, targets)
    optimizer = factory(gate(generator))([torch.zeros(6, 8)], descent)
    with pytest.raises(StyleLoomError, match="give step"):
        optimizer.step()

    def begin(recipe: OptimizerRecipe, *, hardware: Hardware = CPU, resume: bool = False, **options: Any) -> None:
        list(learned_optimizer.train(generator, recipe, run=Run(tmp_path / "run", hardware=hardware, resume=resume), **options))

    with pytest.raises(StyleLoomError, match="no images; give some"):
        begin(OptimizerRecipe())
    with pytest.raises(StyleLoomError, match="wants an eigenbasis"):
        begin(OptimizerRecipe(synthetic=1.0))
    with pytest.raises(StyleLoomError, match="there is none; train one, or use starts mean,random"):
        begin(OptimizerRecipe(synthetic=1.0), basis=basis)
    with pytest.raises(StyleLoomError, match="base is no loom, which the recipe trains"):
        begin(OptimizerRecipe(synthetic=1.0, starts=("mean",)), basis=basis, base=gate(generator))
    with pytest.raises(StyleLoomError, match="use processes 1 and accumulate 1"):
        begin(replace(learned_optimizer.RECIPES["gate"], accumulate=2, starts=("mean",)))
    with pytest.raises(StyleLoomError, match="this eigenbasis was made for another generator"):
        begin(OptimizerRecipe(synthetic=1.0, starts=("mean",)), basis=replace(basis, generator="other"))
    small = OptimizerRecipe(
        num_steps=1, batch=1, pretrain_fraction=0.0, unroll_length=5, synthetic=1.0, starts=("mean",), channels=4, widest=8
    )
    begin(small, basis=basis)
    with pytest.raises(StyleLoomError, match="was begun with other settings: tools was"):
        begin(small, basis=replace(basis, vectors=-basis.vectors), resume=True)
    with pytest.raises(StyleLoomError, match="use synthetic 1"):
        OptimizerRecipe(network="gate")
    with pytest.raises(StyleLoomError, match="unknown start 'end'"):
        OptimizerRecipe(starts=("end",))
