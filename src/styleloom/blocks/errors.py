"""The one exception of StyleLoom: a mistake in what was asked for, told in one line."""

import math
from collections.abc import Iterable


class StyleLoomError(Exception):
    """What came, what was wanted and what to do, in one line.

    The command line prints it and exits with status 2; nothing has been written when it is raised.
    """


def check_limits(name: str, value: float, least: float, most: float) -> None:
    """Raise StyleLoomError unless a number is from ``least`` to ``most``."""
    if not least <= value <= most:
        wanted = f"at least {least:.10g}" if most == math.inf else f"from {least:.10g} to {most:.10g}"
        raise StyleLoomError(f"{name} is {value}; it must be {wanted}")


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Raise StyleLoomError unless ``value`` is one of the choices that ``name`` has."""
    if value not in (known := list(choices)):
        raise StyleLoomError(f"unknown {name} {value!r}; choose one of {', '.join(known)}")
