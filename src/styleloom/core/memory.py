"""Memory: how much is free, and how the C library treats what was freed, which decides how fast networks run on a CPU."""

from __future__ import annotations

import ctypes
import gc
from functools import cache
from pathlib import Path

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # of mallopt(3)


def available() -> int | None:
    """Bytes of memory that are free for programs; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


@cache
def keep_memory() -> bool:
    """Keep freed memory for the next feature map, in this process and until it ends; False where the C library can't.

    glibc gives large blocks back to the operating system, which clears each page anew when it hands them out again: for
    maps of 64 MiB that takes longer than most of the arithmetic done on them. The process stays as large as it once was.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    return bool(mallopt(_MMAP_THRESHOLD, 2**30) and mallopt(_TRIM_THRESHOLD, 2**31 - 1) and mallopt(_TOP_PAD, 2**26))


def return_memory() -> bool:
    """Return what was freed to the operating system, as a process that waits should; False where the C library can't."""
    gc.collect()
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (AttributeError, OSError, TypeError):
        return False
