"""Random numbers that belong to one sample each, so that they do not depend on the batch, the process or the device.

SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014) is a counter and a mixing
function, so the numbers of all samples of a batch are made at once.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
T = TypeVar("T")
_GAMMA = 0x9E3779B97F4A7C15  # the golden ratio in 64 bits: what the counter goes on by
_MIXERS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))


class SampleRandom:
    """A random generator for each sample of a batch, from a seed of its own.

    Args:
        seeds: [N] whole numbers.
        purpose: another number gives other random numbers.
        device: where they are made.
    """

    def __init__(self, seeds: Tensor, purpose: int, device: torch.device | str = "cpu") -> None:
        seeds = seeds.to(device, torch.int64)
        self._state = _mixed(_mixed(seeds + _signed(_GAMMA)) + _signed(_GAMMA * (purpose + 1)))  # [N]
        self._drawn = 0

    def __len__(self) -> int:
        return len(self._state)

    def uniform(self, *shape: int) -> Tensor:
        """[N, *shape] in [0, 1)."""
        return _fraction(self._bits(shape) >> 40)

    def normal(self, *shape: int) -> Tensor:
        """[N, *shape] of mean 0 and variance 1 (Box and Muller 1958)."""
        bits = self._bits(shape)
        radius = (-2 * (_fraction(bits >> 40) + 2**-24).log()).sqrt()
        return radius * (2 * math.pi * _fraction(bits)).cos()

    def noise(self, sides: Sequence[int]) -> list[Tensor]:
        """Normal numbers, a map [N, 1, side, side] for each of the ``sides``."""
        drawn = self.normal(sum(side * side for side in sides)).split([side * side for side in sides], 1)
        return [part.view(-1, 1, side, side) for part, side in zip(drawn, sides, strict=True)]

    def _bits(self, shape: Sequence[int]) -> Tensor:
        """[N, *shape] whole numbers of 64 random bits."""
        count = math.prod(shape)
        steps = torch.arange(self._drawn + 1, self._drawn + count + 1, device=self._state.device)
        self._drawn += count
        return _mixed(self._state[:, None] + steps * _signed(_GAMMA)).view(len(self), *shape)


def _fraction(bits: Tensor) -> Tensor:
    """The lowest 24 bits as a number in [0, 1)."""
    return (bits & 0xFFFFFF).float() * 2**-24


def _mixed(bits: Tensor) -> Tensor:
    """The mixing function of SplitMix64."""
    for shift, factor in _MIXERS:
        kept = (1 << (64 - shift)) - 1  # torch shifts the sign in
        bits = (bits ^ ((bits >> shift) & kept)) * _signed(factor)
    return bits


def _signed(number: int) -> int:
    """64 bits as a signed number."""
    number %= 2**64
    return number - 2**64 if number >= 2**63 else number


def own_random_state(function: Callable[P, Iterator[T]]) -> Callable[P, Iterator[T]]:
    """A decorator of generator functions that seed torch's global random numbers: at each yield the caller has its own back."""

    @functools.wraps(function)
    def wrapper(*arguments: P.args, **options: P.kwargs) -> Iterator[T]:
        loop = function(*arguments, **options)
        own: list[Tensor] | None = None
        try:
            while True:
                callers = _random_states()
                if own is not None:
                    _set_random_states(own)
                try:
                    item = next(loop)
                except StopIteration:
                    return
                finally:
                    own = _random_states()
                    _set_random_states(callers)
                yield item
        finally:
            loop.close()  # type: ignore[attr-defined]

    return wrapper


def _random_states() -> list[Tensor]:
    """Random states of the processor, and of the GPUs that are in use."""
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else ())]


def _set_random_states(states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    if len(states) > 1:
        torch.cuda.set_rng_state_all(states[1:])
