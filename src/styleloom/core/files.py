"""Writing a file whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import StyleLoomError

LOCK = ".lock"
PathLike = str | Path


def check_parent(path: Path) -> None:
    """Raise StyleLoomError unless there is the folder that a file is to be written in; call it before the work."""
    _check_no_address(path)
    if not path.parent.is_dir():
        reason = f"{path.parent} is a file" if path.parent.exists() else f"there is no folder {path.parent}; create it first"
        raise StyleLoomError(f"cannot write {path}: {reason}")


def check_folder(path: Path) -> Path:
    """Make a folder for results, or raise StyleLoomError saying why that cannot be."""
    _check_no_address(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise StyleLoomError(f"cannot make the folder {path}: a file is in the way") from error
    except OSError as error:
        raise StyleLoomError(f"cannot make the folder {path}: {error.strerror}") from error
    return path


def _check_no_address(path: Path) -> None:
    """Raise StyleLoomError for an address of a store, which a path takes for a folder called like its protocol."""
    first = path.parts[0] if path.parts else ""
    if first.endswith(":") and len(first) > 2:  # a drive of Windows has one letter
        raise StyleLoomError(f"{path} is an address of a store, and this is written on this machine alone; give a folder")


@contextmanager
def lock_folder(path: Path) -> Iterator[None]:
    """Keep other processes from working in a folder; a process that dies leaves no lock behind.

    Raises:
        StyleLoomError: another process is at work there.
    """
    try:
        import fcntl
    except ImportError:  # Windows has none of these locks
        yield
        return
    with (path / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StyleLoomError(f"another process is at work in {path}; wait until it ends, or choose another folder") from error
        try:
            yield
        finally:
            (path / LOCK).unlink(missing_ok=True)


def cache_folder() -> Path:
    """Folder for what can be made again: ``STYLELOOM_CACHE``, or ``styleloom`` in the user's cache folder."""
    own, users = os.environ.get("STYLELOOM_CACHE"), os.environ.get("XDG_CACHE_HOME")
    return Path(own) if own else (Path(users) if users else Path.home() / ".cache") / "styleloom"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to: it replaces ``path`` when the block ends well and vanishes when it does not.

    Raises:
        StyleLoomError: the disk is full or refuses the file.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
    except OSError as error:
        raise StyleLoomError(f"cannot write {path}: {error.strerror}") from error
    beside = Path(name)
    try:
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        beside.chmod(0o666 & ~umask)
        beside.replace(path)
    except OSError as error:
        hint = "; free some space and run again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise StyleLoomError(f"cannot write {path}: {error.strerror or error}{hint}") from error
    finally:
        beside.unlink(missing_ok=True)
