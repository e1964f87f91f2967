"""What tests share: the material that only some machines have, and a network small enough to descend through."""

import os
import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

try:
    from jaxtyping import install_import_hook
except ImportError:
    pass  # shapes are not checked
else:
    SHAPED = ["data.color", "data.flow", "loops.one_pass", "metrics", "nn.losses"]  # modules with shapes in their signatures
    install_import_hook([f"styleloom.{each}" for each in SHAPED], "type_checks.checked")

from styleloom.nn.vgg import Features

os.environ.setdefault("STYLELOOM_CACHE", str(Path(tempfile.gettempdir()) / "styleloom-test-cache"))  # not the user's own
SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Begin each test with the same random numbers, whichever tests ran before it in its process."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture
def shared() -> Path:
    """The folder of teachers, photographs and oracles beside the project."""
    if not SHARED.is_dir():
        pytest.skip("needs the project's shared material (teachers and photographs), which is not on this machine")
    return SHARED


class Oracles:
    """Networks and outputs of the official code, by the name of their folder: those of the project, else the shared ones."""

    def __truediv__(self, name: str) -> Path:
        own = Path(__file__).parent / "oracles" / name
        if own.exists():
            return own
        if not SHARED.is_dir():
            pytest.skip(f"needs {name} of the project's shared material, which is not on this machine")
        return SHARED / "oracles" / name


@pytest.fixture
def oracles() -> Oracles:
    """What the official code gave."""
    return Oracles()


@pytest.fixture
def tiny() -> Features:
    """A frozen random network with layers 1_1 ... 2_1, of 4 and 6 channels."""
    torch.manual_seed(0)
    return Features(convs=(2, 1), widths=(4, 6)).requires_grad_(False)


@pytest.fixture
def image() -> torch.Tensor:
    """A smooth colorful image, [1, 3, 24, 32]."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 24), torch.linspace(0, 1, 32), indexing="ij")
    return torch.stack([x, y, 0.5 + 0.5 * torch.sin(9 * x * y)])[None]
