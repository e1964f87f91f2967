"""The one exception of StyleLoom, a mistake in what was asked for, and its one warning: each told in one line."""

from collections.abc import Iterable
from numbers import Integral


class StyleLoomError(Exception):
    """An error in one line: the input that came, the input that was wanted, and a way to mend it.

    The command line prints it and exits with status 2; nothing has been written when it is raised.
    """


class StyleLoomWarning(UserWarning):
    """A warning in one line: what was done is less than may have been meant. The command line prints it as a note."""


def check_seeds(seeds: Iterable[object]) -> None:
    """Raise StyleLoomError unless every seed is one of numpy's: a whole number from 0 to 2^32 - 1."""
    for seed in seeds:
        if not isinstance(seed, Integral) or not 0 <= int(seed) < 2**32:
            raise StyleLoomError(f"seed {seed} is none; seeds are 0 to {2**32 - 1}")


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Raise StyleLoomError unless ``value`` is one of the choices that ``name`` has."""
    if value not in (known := list(choices)):
        raise StyleLoomError(f"unknown {name} {value!r}; choose one of {', '.join(known)}")
