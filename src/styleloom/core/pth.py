"""PyTorch's own ``.pth`` files, read by restricted unpicklers that can build tensors and inert objects, and nothing else."""

from __future__ import annotations

import argparse
import pickle
import re
import tarfile
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from .errors import StyleLoomError
from .pickles import Object, Refused, check_archive, check_file

MAGIC = {b"PNG": "a PNG image", b"\xff\xd8\xff": "a JPEG image", b"\x89HDF": "an HDF5 file", b'{"': "a safetensors file"}


def read_checkpoint(path: Path) -> Any:
    """Read the content of a ``.pth`` file: tensors, plain values and the arguments of a program, in dictionaries and lists.

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
        noted = torch.serialization.safe_globals([argparse.Namespace])  # how programs note their arguments
        with warnings.catch_warnings(), noted:
            warnings.simplefilter("ignore", UserWarning)  # that a pickle's protocol is newer than torch's own
            return torch.load(path, map_location="cpu", weights_only=True)
    except Refused as error:
        raise StyleLoomError(f"{path} is not opened: it is {error}, which no network needs") from error
    except pickle.UnpicklingError as error:
        if "not one of PyTorch" in str(error):
            raise StyleLoomError(f"{path} is {error}; wanted a .pth of PyTorch") from error
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if named and named[1].startswith(MODULES):
            return _read_module(path)
        asked = f" (it asks for {named[1]})" if named else ""
        raise StyleLoomError(f"{path} holds more than tensors{asked}, so it is not opened; save its state_dict alone") from error
    except Exception as error:  # hostile or damaged bytes may raise anything
        raise StyleLoomError(f"cannot read {path}: damaged, or not a PyTorch file") from error


MODULES = ("model.", "torch.nn.modules.")
"""Homes of the classes of modules that old programs saved whole; they become inert objects."""


class _Inert(Object):
    """A module, or part of one, of which only the state is kept."""

    dump_patches = False  # torch looks at it


class _ModuleReader(pickle.Unpickler):
    """For ``torch.load``: tensors are built, modules become objects, and nothing else is named."""

    ALLOWED: ClassVar[dict[str, Any]] = {
        "collections.OrderedDict": OrderedDict,
        "builtins.set": set,
        "__builtin__.set": set,
        "torch._utils._rebuild_tensor": torch._utils._rebuild_tensor,
        "torch._utils._rebuild_tensor_v2": torch._utils._rebuild_tensor_v2,
        "torch._utils._rebuild_parameter": torch._utils._rebuild_parameter,
        "torch.nn.backends.thnn._get_thnn_function_backend": _Inert,
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of an allowed global."""
        if f"{module}.{name}" in self.ALLOWED:
            return self.ALLOWED[f"{module}.{name}"]
        if f"{module}.".startswith(MODULES):
            return _Inert
        raise Refused(f"{module}.{name}")


class _Pickle:
    """A stand-in for the module ``pickle`` that ``torch.load`` asks for."""

    Unpickler = _ModuleReader

    @staticmethod
    def load(file: Any, **options: Any) -> Any:
        """Numbers and versions at the head of a file."""
        return _ModuleReader(file).load()


def _read_module(path: Path) -> dict[str, Tensor]:
    """The named tensors of a module that was saved whole."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("constants.pkl") for name in archive.namelist()):
                raise StyleLoomError(f"{path} is a program of TorchScript, so it is not opened; save its state_dict alone")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the sources of modules have changed
            content = torch.load(path, map_location="cpu", weights_only=False, pickle_module=_Pickle)
    except Refused as error:
        raise StyleLoomError(f"{path} is not opened: it asks for {error}, which no network needs") from error
    except Exception as error:  # hostile or damaged bytes may raise anything
        raise StyleLoomError(f"cannot read {path}: damaged, or not a PyTorch file") from error
    return _named(content) if isinstance(content, _Inert) else {}


def _named(module: _Inert, prefix: str = "") -> dict[str, Tensor]:
    """A module's parameters and buffers, and those of the modules in it, six deep, by their dotted names."""
    tensors = {
        f"{prefix}{name}": value.detach()
        for part in ("_parameters", "_buffers")
        for name, value in module.state.get(part, {}).items()
        if isinstance(value, Tensor)
    }
    for name, child in module.state.get("_modules", {}).items() if prefix.count(".") < 6 else ():
        tensors |= _named(child, f"{prefix}{name}.") if isinstance(child, _Inert) else {}
    return tensors


SUFFIXES = (".pt", ".pth", ".ckpt")
PREFIXES = ("module.", "_orig_mod.")  # of DataParallel, and of torch.compile
WRAPPERS = ("state_dict", "model_state_dict", "model", "netG", "G", "generator", "net", "params_ema", "params")


def plain_names(content: Mapping[Any, Any]) -> dict[str, Any]:
    """A dictionary whose names have lost the prefixes that wrappers of a network give them."""
    plain = {}
    for key, value in content.items():
        name = str(key)
        while prefix := next((each for each in PREFIXES if name.startswith(each)), ""):
            name = name.removeprefix(prefix)
        plain[name] = value
    return plain


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the named tensors of a ``.pth`` file, under the network's own names; a checkpoint around them is taken off.

    Raises:
        StyleLoomError: as :func:`read_checkpoint`, or no named tensors.
    """
    content = read_checkpoint(path)
    while isinstance(content, dict):
        inner = next((content[name] for name in WRAPPERS if isinstance(content.get(name), dict)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise StyleLoomError(f"{path} holds no state_dict; wanted named tensors")
    return plain_names(content)
