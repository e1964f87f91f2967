"""Arrays of numpy from files, without running anything in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from . import pth
from .errors import StyleLoomError


def read_tensor(path: Path) -> Tensor:
    """The one array of a ``.npy``, or the one tensor of a ``.pt``, as floats.

    Raises:
        StyleLoomError: no such file, a damaged one, or something else in it.
    """
    held = pth.read_checkpoint(path) if path.suffix.lower() in pth.SUFFIXES else read_arrays(path).get("array")
    tensor = torch.from_numpy(held) if isinstance(held, np.ndarray) else held
    if not isinstance(tensor, Tensor) or not (tensor.is_floating_point() or tensor.dtype == torch.int64):
        raise StyleLoomError(f"{path} holds a {type(held).__name__}; wanted one tensor of numbers")
    return tensor.detach().float()


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a ``.npz``, or that of a ``.npy`` as ``"array"``; nothing in it is run.

    Raises:
        StyleLoomError: no such file, or a damaged one.
    """
    try:
        held = np.load(path, allow_pickle=False)
        arrays = {name: held[name] for name in held.files} if isinstance(held, np.lib.npyio.NpzFile) else {"array": held}
    except FileNotFoundError as error:
        raise StyleLoomError(f"no such file: {path}") from error
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise StyleLoomError(f"{path} is damaged, or holds objects instead of numbers") from error
    if not all(np.issubdtype(array.dtype, np.number) for array in arrays.values()):
        raise StyleLoomError(f"{path} holds no numbers")
    return arrays
