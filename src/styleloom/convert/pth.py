"""PyTorch's own ``.pth`` files, read by the restricted unpickler that can build tensors and nothing else."""

from __future__ import annotations

import argparse
import pickle
import re
import tarfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styleloom.blocks.errors import StyleLoomError

from .pickles import Refused, check_archive, check_file

MAGIC = {b"PNG": "a PNG picture", b"\xff\xd8\xff": "a JPEG picture", b"\x89HDF": "an HDF5 file", b'{"': "a safetensors file"}


def read_checkpoint(path: Path) -> Any:
    """What a ``.pth`` file holds: tensors, plain values and the arguments of a program, in dictionaries and lists.

    Raises:
        StyleLoomError: no such file, a damaged or foreign one, or one that asks for code to be run.
    """
    check_file(path)
    if tarfile.is_tarfile(path):
        raise StyleLoomError(
            f"{path} is in PyTorch's tar format of 2017; open it with an old PyTorch and torch.save its tensors again"
        )
    with path.open("rb") as file:
        head = file.read(16)
    if not head.startswith((b"PK", b"\x80")):  # a zip archive, or a bare pickle
        kind = next((name for magic, name in MAGIC.items() if magic in head), "no PyTorch file")
        raise StyleLoomError(f"{path} is {kind}; wanted a .pth of PyTorch")
    try:
        check_archive(path)
        with torch.serialization.safe_globals([argparse.Namespace]):  # how programs note their arguments
            return torch.load(path, map_location="cpu", weights_only=True)
    except Refused as error:
        raise StyleLoomError(f"{path} is not opened: it is {error}, which no network needs") from error
    except pickle.UnpicklingError as error:
        if "not one of PyTorch" in str(error):
            raise StyleLoomError(f"{path} is {error}; wanted a .pth of PyTorch") from error
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        asked = f" (it asks for {named[1]})" if named else ""
        raise StyleLoomError(f"{path} holds more than tensors{asked}, so it is not opened; save its state_dict alone") from error
    except Exception as error:  # hostile or damaged bytes may raise anything
        raise StyleLoomError(f"cannot read {path}: damaged, or not a PyTorch file") from error


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The named tensors of a ``.pth`` file; a ``state_dict`` wrapped in a checkpoint is found.

    Raises:
        StyleLoomError: as :func:`read_checkpoint`, or no named tensors.
    """
    content = read_checkpoint(path)
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise StyleLoomError(f"{path} holds no state_dict; wanted named tensors")
    return {str(name): value for name, value in content.items()}
