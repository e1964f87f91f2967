"""Random numbers of one sample each, against the published generator and what they are to be like."""

import torch
from scipy import stats

from styleloom.core.random import SampleRandom, _mixed, _signed

GAMMA = 0x9E3779B97F4A7C15


def test_mixing_is_splitmix64() -> None:
    # The first outputs of the reference implementation (Vigna, splitmix64.c) from the state 1234567.
    wanted = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    states = torch.tensor([_signed(1234567 + GAMMA * count) for count in range(1, 6)])
    assert _mixed(states).tolist() == [_signed(number) for number in wanted]


def test_numbers_are_of_the_sample_alone() -> None:
    seeds = torch.tensor([3, 9, 2**31 - 1, 5])
    whole, part = SampleRandom(seeds, 1), SampleRandom(seeds[2:], 1)
    for name, shape in (("normal", (2, 8)), ("uniform", (3,))):
        assert torch.equal(getattr(whole, name)(*shape)[2:], getattr(part, name)(*shape))
    for all_, some in zip(whole.noise([4, 8]), part.noise([4, 8]), strict=True):
        assert torch.equal(all_[2:], some) and all_.shape[1] == 1
    # What is drawn at once is what is drawn in turn, and another purpose draws other numbers.
    at_once, in_turn = SampleRandom(seeds, 1).uniform(6), SampleRandom(seeds, 1)
    assert torch.equal(at_once, torch.cat([in_turn.uniform(2), in_turn.uniform(4)], 1))
    assert not torch.equal(SampleRandom(seeds, 2).uniform(6), at_once)


def test_distributions() -> None:
    seeds = torch.arange(400)
    uniform, normal = SampleRandom(seeds, 0).uniform(100), SampleRandom(seeds, 1).normal(100)
    assert uniform.min() >= 0 and uniform.max() < 1
    assert stats.kstest(uniform.flatten().numpy(), "uniform").pvalue > 1e-3
    assert stats.kstest(normal.flatten().numpy(), "norm").pvalue > 1e-3
    for numbers in (uniform, normal):  # neither neighbors in a row nor rows of neighboring seeds go together
        assert (torch.corrcoef(numbers.T) - torch.eye(100)).abs().max() < 0.25
        assert (torch.corrcoef(numbers[:60]) - torch.eye(60)).abs().max() < 0.5
