import os
import subprocess
import sys

import pytest

from styleloom.core.openmp import SPINS

CODE = """
import os, sys
import styleloom.cli
assert "torch" not in sys.modules  # whose library reads the variable
try:
    styleloom.cli.main(["zoo"])
except SystemExit:
    pass
print(os.environ.get("GOMP_SPINCOUNT"))
"""


@pytest.mark.parametrize(
    ("given", "wanted"), [({}, SPINS), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "PASSIVE"}, "None")]
)
def test_threads_wait_briefly_unless_the_user_says_otherwise(given: dict[str, str], wanted: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GOMP_", "OMP_"))}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment | given, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == wanted
