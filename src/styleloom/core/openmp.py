"""Waiting of torch's threads for one another."""

from __future__ import annotations

import os

SPINS = "1000"


def wait_briefly() -> None:
    """Let threads that wait give their core to others after a short while; before torch is imported.

    The OpenMP library of torch's Linux builds lets them spin for milliseconds. Beside another busy process, the thread that they
    wait for then gets no time, and work has taken thirty times longer. What the user has set stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
