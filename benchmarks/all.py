"""Every table of the documentation, measured again: ``make bench`` the quick ones, ``make bench-full`` all that need no other
data.

    python -m benchmarks.all [--full] [--photos photos/] [--paintings paintings/]

Each is a module of its own, with its options in its first lines; what needs photographs or paintings that are not given is
passed over and named. Results go to ``results/``, where ``git diff`` shows what changed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

QUICK = ("toonfaces", "one_pass", "peak_memory")
FULL = ("generators", "inversion_speed", "translation_speed", "service_load")
WITH_PICTURES = {
    "flicker": ("--contents", "{photos}", "--paintings", "{paintings}"),
    "styles": ("--contents", "{photos}", "--paintings", "{paintings}"),
    "calm": ("--contents", "{photos}", "--paintings", "{paintings}"),
    "super_resolution": ("{photos}",),
    "cluster": ("{photos}",),
}


def main() -> int:
    """Run them one after the other; the number of those that failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--photos")
    parser.add_argument("--paintings")
    options = parser.parse_args()
    given = dict(photos=options.photos, paintings=options.paintings)
    calls = [(name, ()) for name in QUICK + (FULL if options.full else ())]
    for name, words in WITH_PICTURES.items():
        needed = [each for each in given if any(f"{{{each}}}" in word for word in words)]
        if missing := [each for each in needed if not given[each]]:
            print(f"{name}: passed over, give --{missing[0]}", flush=True)
        elif options.full:
            calls.append((name, tuple(word.format(**given) for word in words)))  # type: ignore[arg-type]
    failed = 0
    for name, arguments in calls:
        began = time.perf_counter()
        code = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *arguments]).returncode
        failed += code != 0
        print(f"{name}: {'done' if code == 0 else f'failed with {code}'}, {time.perf_counter() - began:.0f} s", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
