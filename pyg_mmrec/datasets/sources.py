"""Files as they lie on disk: what may be opened, what they hold, arrays in them."""

from __future__ import annotations

import ast
import math
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.files import digest_of

_MAGIC = b"\x93NUMPY"
_HEADER_FORMAT = {1: 2, 2: 4, 3: 4}  # bytes of the header's length, by version
_LONGEST_HEADER = 10_000
_SHOWN = 200  # characters of a path in a message


def shown(path: Path | str) -> str:
    """A path as messages show it: on one line, and not at any length."""
    text = str(path)
    if not text.isprintable():
        text = repr(text)[1:-1]
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def as_folder(path: Path | str) -> Path:
    """A path that the system can take, with ``~`` expanded.

    Raises:
        MMRecError: If it cannot be the path of anything.
    """
    try:
        folder = Path(path).expanduser()
        folder.exists()
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise MMRecError(
            f"{shown(str(path))} is no path of a folder ({reason(error)}): name the "
            f"folder of the data"
        ) from error
    if "\0" in str(folder):  # which Python calls a path that does not exist
        raise MMRecError(
            f"{shown(folder)} is no path of a folder (it holds a null character): name "
            f"the folder of the data"
        )
    return folder


def reason(error: BaseException) -> str:
    """Why something failed, on one line and without the path."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).strip().splitlines()
    return lines[0][:_SHOWN] if lines else type(error).__name__


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """What the system refuses while the files of a folder are read is one sentence.

    Raises:
        MMRecError: For any ``OSError``.
    """
    try:
        yield
    except OSError as error:
        place = error.filename if isinstance(error.filename, str) else folder
        raise MMRecError(
            f"{shown(place)} cannot be read ({reason(error)}): give permission, or "
            f"name another folder"
        ) from error


def check_file(path: Path) -> Path:
    """The path of a regular file that holds something.

    A pipe or a device would be waited for without end.

    Raises:
        MMRecError: If it is anything else.
    """
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise MMRecError(
            f"no file {shown(path)}: put it there or name another"
        ) from error
    except (OSError, ValueError) as error:
        raise MMRecError(
            f"{shown(path)} cannot be read ({reason(error)}): give permission, or name "
            f"another file"
        ) from error
    if stat.S_ISDIR(found.st_mode):
        raise MMRecError(
            f"{shown(path)} is a folder, where a file is expected: move it away, or "
            f"name a file"
        )
    if not stat.S_ISREG(found.st_mode):
        raise MMRecError(
            f"{shown(path)} is a pipe or a device, where a file is expected: write "
            f"what it gives into a file"
        )
    if found.st_size == 0:
        raise MMRecError(
            f"{shown(path)} cannot be read as a file of data, for it is empty: write "
            f"it anew"
        )
    return path


# By path, size, inode and both times: the time of the last change of the inode is
# set by the system alone, so that copying with all times kept still shows.
_Seen = tuple[str, int, int, int, int]
_digests: dict[_Seen, str] = {}


def content_digest(path: Path) -> str:
    """SHA-256 of a file's content; a file that has not changed is read once.

    Raises:
        MMRecError: If it is no readable file.
    """
    found = check_file(path).stat()
    key = (
        *(str(path.absolute()), found.st_size, found.st_ino),
        *(found.st_mtime_ns, found.st_ctime_ns),
    )
    if key not in _digests:
        with reading(path):
            _digests[key] = digest_of(path)
    return _digests[key]


def read_npy(path: Path, mapped: float = math.inf) -> np.ndarray:
    """An array from a ``.npy`` file, without running code that it may contain.

    What the header claims is held against the size of the file first, so that a
    damaged or hostile one asks for no memory.

    Args:
        path: The file.
        mapped: Bytes from which on it is mapped into memory, page by page as it is
            read; what is written to the array stays out of the file.

    Raises:
        MMRecError: If it is missing, cut short, or holds objects.
    """
    size = check_file(path).stat().st_size
    try:
        with open(path, "rb") as file:
            _check_header(file, size)
        array = np.load(path, "c" if size >= mapped else None, allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise MMRecError(
            f"{shown(path)} cannot be read as an array ({reason(error)}): it may be "
            f"cut short or hold objects, so download it again or save a plain numeric "
            f"array with numpy.save"
        ) from error
    return array


def _check_header(file: BinaryIO, size: int) -> None:
    """Refuse a header that is not that of a plain array of this many bytes.

    Raises:
        ValueError: Which says what is wrong.
    """
    start = file.read(8)
    if start[:2] == b"PK":
        raise ValueError("it is an archive such as .npz")
    if start[:6] != _MAGIC or len(start) < 8:
        raise ValueError("it does not begin as a .npy file does")
    width = _HEADER_FORMAT.get(start[6])
    if width is None:
        raise ValueError(f"its format version is {start[6]}")
    length = int.from_bytes(file.read(width), "little")
    if length > min(size - file.tell(), _LONGEST_HEADER):
        raise ValueError(f"its header claims {length} bytes")
    dtype, shape = _parsed(file.read(length))
    if dtype.hasobject:
        raise ValueError("it holds objects")
    if dtype.names or dtype.itemsize == 0:
        raise ValueError(f"its values are of type {dtype}")
    claimed, there = math.prod(shape) * dtype.itemsize, size - file.tell()
    if claimed != there:
        much = f"{claimed} bytes" if claimed < 2**63 else "more bytes than exist"
        raise ValueError(
            f"its header claims {much}, and there are {there}, for shape {shape} of "
            f"{dtype}"
        )


def _parsed(header: bytes) -> tuple[np.dtype, tuple[int, ...]]:
    try:
        claims = ast.literal_eval(header.decode("utf-8").strip())
        kind, shape = claims["descr"], claims["shape"]
        if type(kind) is str and type(shape) is tuple:
            if all(type(n) is int and n >= 0 for n in shape):
                return np.dtype(kind), shape
        elif type(kind) is list:
            return np.dtype([tuple(part) for part in kind]), ()
    # What a hostile header makes of the parser: too deep, too long, no type at all.
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError):
        pass
    raise ValueError("its header cannot be understood")
