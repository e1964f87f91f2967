"""Object stores and other places of fsspec: ``s3://``, ``gs://``, ``az://``, ``hf://``, ``memory://``, ``file://``.

Images are listed and read there, and results written there, each whole or not at all. Credentials are found by the libraries'
own ways (s3fs, gcsfs, adlfs, huggingface_hub), which are installed beside this one. Needs the extra ``stores``.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from styleloom.core.errors import StyleLoomError

ADDRESS = re.compile(r"^([a-z][a-z0-9+.-]+):/+(.+)$")  # a Path has lost one of two slashes


def address_of(path: object) -> str:
    """The address that a path stands for, such as "s3://bucket/folder"; "" where it is on this machine's disk."""
    found = ADDRESS.match(str(path)) if isinstance(path, str | Path) else None
    if found is None:
        return ""
    protocol, rest = found.groups()
    return f"file:///{rest}" if protocol == "file" else f"{protocol}://{rest}"


@contextmanager
def _told(address: str) -> Iterator[None]:
    """Turn what a store's library raises into one line."""
    try:
        yield
    except StyleLoomError:
        raise
    except FileNotFoundError as error:
        raise StyleLoomError(f"there is nothing at {address}") from error
    except ImportError as error:
        raise StyleLoomError(f"{address} needs a library that is not installed: {str(error).splitlines()[0]}") from error
    except ValueError as error:
        raise StyleLoomError(f"{address} is no address of a store: {str(error).splitlines()[0]}") from error
    except Exception as error:  # each library has errors of its own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise StyleLoomError(f"the store of {address} refused: {reason}") from error


def filesystem(address: str) -> tuple[Any, str]:
    """The file system of an address and the path in it.

    Raises:
        StyleLoomError: no such store, or its library is not installed.
    """
    with _told(address):
        try:
            import fsspec
        except ImportError as error:
            message = f"{address} needs fsspec; install it with: pip install 'styleloom[stores]'"
            raise StyleLoomError(message) from error
        system, path = fsspec.core.url_to_fs(address)
        return system, path


def listed(address: str, *, recursive: bool = False) -> list[str]:
    """Addresses of the files at an address: itself, those of a folder, or those that a glob matches; sorted.

    Raises:
        StyleLoomError: nothing there, or the store refuses.
    """
    system, path = filesystem(address)
    with _told(address):
        if any(sign in path for sign in "*?["):
            names = system.glob(path)
        elif system.isfile(path):
            return [address]
        else:
            names = system.find(path, maxdepth=None if recursive else 1)
        return [system.unstrip_protocol(name) for name in sorted(names)]


def read_bytes(address: str) -> io.BytesIO:
    """A file of a store, in memory.

    Raises:
        StyleLoomError: there is none, or the store refuses.
    """
    system, path = filesystem(address)
    with _told(address):
        try:
            return io.BytesIO(system.cat_file(path))
        except FileNotFoundError:  # perhaps it came after a listing that the library remembers
            system.invalidate_cache()
            return io.BytesIO(system.cat_file(path))


def opened(address: str) -> BinaryIO:
    """A file of a store, to read at any place of it; what is read comes in blocks.

    Raises:
        StyleLoomError: there is none, or the store refuses.
    """
    system, path = filesystem(address)
    with _told(address):
        file: BinaryIO = system.open(path, "rb")
        return file


def version_of(address: str) -> str:
    """Text that changes when a file of a store does: its tag, or its size and date.

    Raises:
        StyleLoomError: there is none, or the store refuses.
    """
    system, path = filesystem(address)
    with _told(address):
        system.invalidate_cache(path)
        info = system.info(path)
        tag = info.get("ETag") or info.get("etag") or info.get("md5Hash") or info.get("LastModified") or info.get("mtime")
        return f"{info.get('size')} {tag}"


@dataclass(frozen=True)
class Store:
    """A folder of a store that results go to, by way of a folder on this machine.

    Attributes:
        address: its address.
        mirror: the folder on this machine; files go there first, and are gone when they are stored.
    """

    address: str
    mirror: Path

    def of(self, path: Path) -> str:
        """The address of a file of the mirror."""
        return f"{self.address}/{path.relative_to(self.mirror).as_posix()}"

    def names(self) -> set[str]:
        """Names of the files that are there, below the folder."""
        system, root = filesystem(self.address)
        with _told(self.address):
            system.invalidate_cache()
            return {name.removeprefix(root).lstrip("/") for name in system.find(root)}

    def put(self, path: Path) -> None:
        """Store a file of the mirror, under its name there, whole or not at all."""
        system, target = filesystem(self.of(path))
        with _told(self.of(path)):
            if not getattr(system, "async_impl", False):  # a store keeps nothing of a broken upload, a disk would
                partial = f"{target}.part"
                system.makedirs(target.rpartition("/")[0], exist_ok=True)
                system.put_file(str(path), partial)
                system.mv(partial, target)
            else:
                system.put_file(str(path), target)

    def get(self, path: Path) -> bool:
        """Fetch a file into the mirror; False where there is none."""
        system, source = filesystem(self.of(path))
        with _told(self.of(path)):
            system.invalidate_cache()
            if not system.exists(source):
                return False
            path.parent.mkdir(parents=True, exist_ok=True)
            system.get_file(source, str(path))
            return True
