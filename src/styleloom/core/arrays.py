"""Arrays of numpy from files, without running anything in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .errors import StyleLoomError


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
