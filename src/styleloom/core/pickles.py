"""Pickles of other projects, read without running anything in them.

A pickle is a program: it may call whatever it names. Here it may name what a reader allows and nothing else; what is allowed
builds tensors, arrays, dictionaries and inert stand-ins for objects, of bounded size. Source code inside is never looked at.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from styleloom.core.errors import StyleLoomError

LARGEST = 8 * 2**30  # bytes of a file


class Refused(pickle.UnpicklingError):
    """A pickle asked for something that is not allowed."""


class Object:
    """An inert stand-in for an object of another project: its class's name and its state."""

    arguments: tuple[Any, ...] = ()

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.state = state if isinstance(state, dict) else {"state": state}


def check_file(path: Path) -> None:
    """Raise StyleLoomError unless there is a file."""
    if path.is_dir():
        raise StyleLoomError(f"{path} is a folder; wanted a file of a network")
    if not path.is_file():
        raise StyleLoomError(f"no such file: {path}")


def check_amount(numbers: Iterable[Any], path: Path) -> None:
    """Refuse tensors or arrays that share their data, and would together take far more room than their file does.

    Raises:
        StyleLoomError: they would.
    """
    if sum(each.nbytes for each in numbers) > 2 * path.stat().st_size:
        raise StyleLoomError(f"{path} is not opened: its tensors share their data and would unpack to more than the file holds")


def read_pickle(path: Path, allowed: Mapping[tuple[str, str], Callable[..., Any]]) -> Any:
    """The content of a pickle that names nothing but tensors, arrays and what is ``allowed``.

    Args:
        path: the file.
        allowed: by module and name, what is called in their place.

    Raises:
        StyleLoomError: no such file, one that is too large, truncated or no pickle, or one that names anything else.
    """
    check_file(path)
    if path.stat().st_size > LARGEST:
        raise StyleLoomError(f"{path} is larger than {LARGEST >> 30} GiB; such a file is not opened")
    with path.open("rb") as file:
        if file.read(1) != b"\x80":
            raise StyleLoomError(f"{path} is no pickle; wanted the .pkl of a network")
        file.seek(0)
        try:
            _check_memo(file)
            file.seek(0)
            return _Reader(file, {**_TENSORS, **allowed}).load()
        except Refused as error:
            raise StyleLoomError(f"{path} is not opened: it asks for {error}, which no network needs") from error
        except StyleLoomError:
            raise
        except Exception as error:  # hostile or truncated bytes may raise anything
            raise StyleLoomError(f"cannot read {path}: damaged or truncated ({type(error).__name__})") from error


def _check_memo(file: Any) -> None:
    """Refuse a pickle whose numbered places lie further apart than it has instructions: room is made for all of them."""
    count = highest = 0
    for operation, argument, _ in pickletools.genops(file):
        count += 1
        if operation.name in ("PUT", "BINPUT", "LONG_BINPUT"):
            highest = max(highest, int(argument or 0))
    if highest > 1000 + count:
        raise Refused(f"room for {highest:,} objects in {count} instructions")


def check_archive(file: Any) -> None:
    """Refuse a compressed archive, which PyTorch never writes: a small one may hold any amount of data.

    Raises:
        Refused: it is one.
    """
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            if not any(name.endswith("data.pkl") for name in archive.namelist()):
                raise pickle.UnpicklingError("a zip archive, but not one of PyTorch")
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise Refused("a compressed archive to be unpacked")


class _Reader(pickle.Unpickler):
    def __init__(self, file: Any, allowed: Mapping[tuple[str, str], Callable[..., Any]]) -> None:
        super().__init__(file)
        self.allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of an allowed global."""
        if (module, name) not in self.allowed:
            raise Refused(f"{module}.{name}")
        return self.allowed[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """No network needs objects from outside of its file."""
        raise Refused("an object outside of the file")


class _Wrapped:
    """joblib's stand-in for an array whose numbers follow in the file."""

    def __init__(self, *_: Any) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = state

    def read(self, file: io.BytesIO) -> np.ndarray:
        """The array."""
        plain, shape = self.state["dtype"].plain(), self.state["shape"]
        if self.state.get("numpy_array_alignment_bytes"):
            file.seek(file.read(1)[0], io.SEEK_CUR)
        size = int(np.prod(shape, dtype=np.float64)) * plain.itemsize
        data = file.read(size) if size <= len(file.getbuffer()) else b""
        if len(data) != size:
            raise Refused("an array larger than its data")
        return np.frombuffer(data, plain).reshape(shape, order="F" if self.state["order"] == "F" else "C")


class _JoblibReader(pickle._Unpickler):  # that of C cannot read between its instructions
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.file = file

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of an allowed global."""
        allowed = _TENSORS | {("joblib.numpy_pickle", "NumpyArrayWrapper"): _Wrapped}
        if (module, name) not in allowed:
            raise Refused(f"{module}.{name}")
        return allowed[module, name]

    def load_build(self) -> None:
        """After joblib's stand-in come the numbers of its array."""
        pickle._Unpickler.load_build(self)  # type: ignore[attr-defined]
        if isinstance(self.stack[-1], _Wrapped):  # type: ignore[attr-defined]
            self.stack[-1] = self.stack[-1].read(self.file)  # type: ignore[attr-defined]

    dispatch[pickle.BUILD[0]] = load_build


def read_joblib(data: bytes, name: str) -> Any:
    """Arrays that joblib has written, unpacked, without running anything in them.

    Args:
        data: the file, decompressed.
        name: what errors call it.

    Raises:
        StyleLoomError: damaged, or asking for anything but arrays.
    """
    try:
        return _JoblibReader(io.BytesIO(data)).load()
    except Refused as error:
        raise StyleLoomError(f"{name} is not opened: it asks for {error}, which no network needs") from error
    except Exception as error:  # hostile or truncated bytes may raise anything
        raise StyleLoomError(f"cannot read {name}: damaged or truncated ({type(error).__name__})") from error


def _storage(data: bytes) -> Tensor:
    """All numbers of a storage of ``torch.save``, itself read without code."""
    check_archive(io.BytesIO(data))
    storage = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    if not isinstance(storage, torch.storage.TypedStorage):
        raise Refused("a tensor whose data are none")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch's, that typed storages are of old
        return torch.tensor([], dtype=storage.dtype).set_(storage)


def _tensor(numbers: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    """A view of numbers, which it must not leave."""
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if min((offset, *size, *stride)) < 0 or (0 not in size and max(last + 1, math.prod(size)) > numbers.numel()):
        raise Refused("a tensor larger than its data")
    return numbers.as_strided(size, stride, offset)


def _parameter(data: Tensor, *_: Any) -> Tensor:
    return data


class _Dtype:
    """A dtype of plain numbers or letters by its name; numpy's own would take fields and objects from its state."""

    def __init__(self, name: Any, *_: Any) -> None:
        if not isinstance(name, str) or not re.fullmatch(r"[biuf](1|2|4|8)|[SU][0-9]{1,4}", name):
            raise Refused("an array of objects")
        self.name, self.order = name, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1] if state[1] in ("<", ">", "|", "=") else "<"

    def plain(self) -> np.dtype[Any]:
        """The dtype itself."""
        return np.dtype(self.order + self.name)


class _Array:
    """An array being built: it takes its shape and bytes together, which must agree."""

    def __init__(self, *_: Any) -> None:
        self.array = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        plain = dtype.plain()
        if not isinstance(data, bytes) or int(np.prod(shape, dtype=np.float64)) * plain.itemsize != len(data):
            raise Refused("an array larger than its data, or one of objects")
        self.array = np.frombuffer(data, plain).reshape(shape, order="F" if fortran else "C")


def _scalar(dtype: _Dtype, data: bytes) -> Any:
    return np.frombuffer(data, dtype.plain(), count=1)[0].item()


def _reconstruct(*_: Any) -> _Array:
    return _Array()


_TENSORS: dict[tuple[str, str], Callable[..., Any]] = {
    ("builtins", "set"): set,  # modules hold an empty one, which old protocols name
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch.storage", "_load_from_bytes"): _storage,
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
}
