"""How the program ends, and which of several processes speaks."""

from __future__ import annotations

import os

SOME_FAILED = 3  # exit status where some or all of several items could not be done


class SomeFailed(Exception):
    """Some of several items could not be done, which was said already."""


def first_process() -> bool:
    """Whether this is the one of several processes on a machine that speaks for all."""
    return os.environ.get("LOCAL_RANK", "0") == "0"
