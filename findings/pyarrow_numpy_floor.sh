#!/usr/bin/env bash
# pyarrow 26.0.1 beside numpy 1.26.4: pip installs both, `pip check` finds nothing, and `import pyarrow` raises ImportError ("requires
# NumPy 2.0 or newer"). numpy is not among its requirements, since it works without any, so no resolver keeps an old one away. What
# stands on pyarrow, such as ray.data, then looks as if it were not installed. A package that offers Ray Data beside numpy has to say
# numpy>=2 itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --disable-pip-version-check -q pyarrow==26.0.1
"$folder/venv/bin/python" -c 'import pyarrow; print("without numpy:", pyarrow.__version__, pyarrow.array([1, 2]).to_pylist())'
"$folder/venv/bin/pip" install --disable-pip-version-check -q numpy==1.26.4
"$folder/venv/bin/pip" check --disable-pip-version-check
cat > "$folder/run.py" <<'PY'
from importlib.metadata import requires

assert not requires("pyarrow"), requires("pyarrow")
try:
    import pyarrow
except ModuleNotFoundError:
    raise
except ImportError as error:
    print("with numpy 1.26.4:", error)
    assert "NumPy 2.0" in str(error)
else:
    raise AssertionError(f"pyarrow {pyarrow.__version__} takes numpy 1.26.4")
PY
"$folder/venv/bin/python" "$folder/run.py"
