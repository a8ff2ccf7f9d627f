"""Files and folders that appear whole or not at all, and who may write where."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from pyg_mmrec.errors import MMRecError

if sys.platform == "win32":
    fcntl = None
else:
    import fcntl

_CHUNK = 1 << 20
_PART = re.compile(r"\.mmrec-[0-9a-f]{16}\.part")


def digest_of(path: Path, kind: str = "sha256") -> str:
    """Checksum of a file, hexadecimal."""
    digest = hashlib.new(kind)
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def replacing(path: Path | str) -> Iterator[BinaryIO]:
    """Open a file to write that takes the place of ``path`` when all went well.

    Whatever stops the writing, Ctrl-C as well, leaves the old file as it was, and
    no other; after ``kill -9`` it is :func:`remove_leftovers` that removes the rest.

    Args:
        path: The file; its folder is made where there is none.

    Raises:
        MMRecError: If it cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _partial(path.parent, _create) as partial:
            with open(partial, "r+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
    except OSError as error:
        raise MMRecError(
            f"{path} cannot be written ({error.strerror or error}): choose another "
            f"place, or make room and permission there"
        ) from error


@contextmanager
def partial_folder(parent: Path) -> Iterator[Path]:
    """A new folder in ``parent`` for what is renamed when it is complete.

    What is left of it goes at the end, or by :func:`remove_leftovers`.

    Args:
        parent: A folder that exists.
    """
    with _partial(parent, Path.mkdir) as partial:
        yield partial


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes had begun to write in a folder.

    Each of them held a lock on what it wrote, which went with it: whatever is still
    locked is being written, and stays.

    Args:
        folder: The folder; it need not exist.
    """
    with suppress(OSError):  # where files cannot be locked or removed, they stay
        for path in folder.iterdir():
            if _PART.fullmatch(path.name) and not path.is_symlink():
                handle = _lock(path)
                if handle is not None:
                    _remove(path)
                    os.close(handle)


@contextmanager
def _partial(folder: Path, create: Callable[[Path], None]) -> Iterator[Path]:
    """Something new under a random name, locked; it goes at the end."""
    while True:
        path = folder / f".mmrec-{secrets.token_hex(8)}.part"  # as _PART reads it
        create(path)
        try:
            handle = _lock(path)
            taken = handle is None
        except OSError:  # a file system without locks
            handle, taken = None, False
        # Before it was locked it may have passed for a leftover.
        if not taken and path.exists():
            break
    try:
        yield path
    finally:
        with suppress(OSError):  # renamed, as a rule
            _remove(path)
        if handle is not None:
            os.close(handle)


def _create(path: Path) -> None:
    # Never through a link that somebody else has put there.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    os.close(os.open(path, flags, 0o666))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _lock(path: Path) -> int | None:
    """A handle that holds the lock on a file or folder, ``None`` if another does.

    Raises:
        OSError: If it cannot be opened, or the file system keeps no locks.
    """
    if fcntl is None:
        raise OSError(errno.ENOTSUP, "this system has no locks")
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return handle


@contextmanager
def alone_with(path: Path) -> Iterator[bool]:
    """Whether this process alone has a file, for the length of the block.

    Args:
        path: The file, which is made if it is not there; its folder is.
    """
    handle = None
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        os.close(handle)
        handle = _lock(path)
        alone = handle is not None
    except OSError:  # a link of somebody else's, or a file system without locks
        handle, alone = None, False
        with suppress(OSError):
            if path.stat().st_size == 0:
                path.unlink()
    try:
        yield alone
    finally:
        if handle is not None:
            os.close(handle)


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keep an output folder to this process for the length of the block.

    The folder is made if it is not there, and goes again if the block fails before
    it wrote anything. What killed processes left behind in it is removed.

    Args:
        folder: The folder.

    Raises:
        MMRecError: If another process works there, or it cannot be made.
    """
    made = [p for p in (folder, *folder.parents) if not p.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MMRecError(
            f"the folder {folder} cannot be made ({error.strerror}): choose another"
        ) from error
    handle = _claim(folder)
    try:
        remove_leftovers(folder)
        yield
    except BaseException:
        for path in made:
            with suppress(OSError):  # those that hold anything stay
                path.rmdir()
        raise
    finally:
        if handle is not None:
            os.close(handle)


def _claim(folder: Path) -> int | None:
    """The lock on an output folder, ``None`` where there are none to be had."""
    try:
        # The folder may be a link of the user's own.
        handle = _lock(folder.resolve())
    except OSError as error:
        warnings.warn(
            f"{folder} cannot be locked ({error.strerror or error}): take care that no "
            f"two runs write there",
            stacklevel=4,
        )
        return None
    if handle is None:
        raise MMRecError(
            f"another process is working in {folder}: wait for it, or choose another "
            f"folder"
        )
    return handle


Acting = Callable[[], AbstractContextManager[None]]


@contextmanager
def interrupts_held() -> Iterator[Acting]:
    """Hold a Ctrl-C that falls in the block back until its end.

    For a library's own work that an exception in its midst leaves half done.
    Outside the main thread, which alone receives signals, it does nothing.

    Yields:
        A context manager: in its block within this one, Ctrl-C acts at once, one
        that was held back as well. One that is lost there acts in the next such
        block, or at the end of this one: what a finalizer raises, Python drops.
    """
    if threading.current_thread() is not threading.main_thread():
        yield nullcontext
        return
    caught: list[int] = []

    def record(number: int, _: object) -> None:
        caught.append(number)

    def act(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        if callable(before):
            before(number, frame)

    @contextmanager
    def acting() -> Iterator[None]:
        signal.signal(signal.SIGINT, act if callable(before) else before)
        try:
            if caught:
                signal.raise_signal(signal.SIGINT)
            yield
        finally:
            signal.signal(signal.SIGINT, record)

    before = signal.signal(signal.SIGINT, record)
    try:
        yield acting
    finally:
        signal.signal(signal.SIGINT, before)
    if caught:
        signal.raise_signal(signal.SIGINT)
