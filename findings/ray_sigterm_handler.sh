#!/usr/bin/env bash
# ray 2.60.0: ray.init() replaces the process's handler of SIGTERM, and ray.shutdown() leaves its own in place. A program that stops
# cleanly on SIGTERM by a handler that it set before no longer does once it has used Ray for a while: the handler is Ray's, and ends the
# process by sys.exit. After shutdown everything looks as before ray.init, but for that.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --disable-pip-version-check -q ray==2.60.0
cat > "$folder/run.py" <<'PY'
import logging
import signal

import ray


def own(number, frame):
    pass


print("ray", ray.__version__)
signal.signal(signal.SIGTERM, own)
before = signal.getsignal(signal.SIGINT)
ray.init(num_cpus=1, include_dashboard=False, logging_level=logging.ERROR)
ray.shutdown()
after = signal.getsignal(signal.SIGTERM)
print("SIGTERM after shutdown:", after)
assert after is not own, "the handler is given back now"
assert signal.getsignal(signal.SIGINT) is before  # that of Ctrl-C stays
PY
"$folder/venv/bin/python" "$folder/run.py"
