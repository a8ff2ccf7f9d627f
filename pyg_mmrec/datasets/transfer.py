"""Bytes from an address to a file, going on where a transfer broke off."""

from __future__ import annotations

import http.client
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tqdm import tqdm

from pyg_mmrec.datasets.sources import reason, shown
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.files import alone_with, partial_folder

_CHUNK = 1 << 20
_TRIES = 5
_PAGES = (b"<!doctype html", b"<html", b"<?xml")
_RANGE_PAST_THE_END = 416


class Unreachable(MMRecError):
    """A source that could not be reached; another may be tried."""


class _BrokenOff(MMRecError):
    """A download that ended before its end."""


@dataclass(frozen=True)
class Partial:
    """What has come of a file, and where from.

    Args:
        file: The part of the file.
        note: JSON: its address, its size, and what tells this version of it from
            others.
    """

    file: Path
    note: Path

    def told(self, url: str) -> dict[str, Any]:
        """The note, if it is of this address."""
        try:
            told = json.loads(self.note.read_text(encoding="utf-8"))
            if told["url"] == url and self.file.stat().st_size:
                return {"version": str(told["version"]), "size": told["size"]}
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return {}

    def size(self) -> int:
        """How many bytes have come."""
        return self.file.stat().st_size if self.file.exists() else 0

    def begin(self, url: str, headers: Mapping[str, str]) -> None:
        """Note where a file comes from, if its server can go on in its midst."""
        tag = headers.get("ETag") or ""
        version = "" if tag.startswith("W/") else tag  # a weak one means the like
        version = version or headers.get("Last-Modified") or ""
        if headers.get("Accept-Ranges") != "bytes" or not version:
            self.note.unlink(missing_ok=True)
            return
        told = {"url": url, "version": version, "size": headers.get("Content-Length")}
        self.note.write_text(json.dumps(told), encoding="utf-8")

    def remove(self) -> None:
        """Remove both, as far as they are there."""
        for path in (self.file, self.note):
            path.unlink(missing_ok=True)


@contextmanager
def partial_of(path: Path) -> Iterator[Partial]:
    """The part of a file that is there, or one of our own if another process has it.

    Args:
        path: The file once it is whole.
    """
    kept = path.with_name(f".{path.name}.download")
    with alone_with(kept) as alone:
        if alone:
            partial = Partial(kept, path.with_name(f".{path.name}.from"))
            try:
                yield partial
            finally:
                if not partial.note.exists():
                    partial.remove()
            return
    with partial_folder(path.parent) as folder:
        yield Partial(folder / path.name, folder / "from")


def stream(url: str, partial: Partial, path: Path, timeout: float) -> None:
    """Download all of a file, going on where it broke off as long as more comes.

    Args:
        url: Where it is.
        partial: Where it goes until it is whole.
        path: Where it goes then, for messages.
        timeout: Seconds without an answer before giving up.

    Raises:
        Unreachable: If the address cannot be reached.
        MMRecError: If it broke off for good, cannot be written, or is a page.
    """
    for left in reversed(range(_TRIES)):
        before = partial.size()
        try:
            _receive(url, partial, path, timeout)
            return
        except _BrokenOff:
            more = partial.note.exists() and partial.size() > before
            if not left or not more:
                raise


def _receive(url: str, partial: Partial, path: Path, timeout: float) -> None:
    told = partial.told(url)
    start = partial.size() if told else 0
    if told and str(start) == told["size"]:
        return  # all came, and then the process was killed
    headers = {"User-Agent": "pyg_mmrec"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": told["version"]}
    with _answer(url, headers, path, timeout) as response:
        went_on = f"bytes {start}-"
        if not (response.headers.get("Content-Range") or "").startswith(went_on):
            start = 0  # it is another version by now, or the server starts anew
        length = response.headers.get("Content-Length")
        if length is not None:
            _check_room(path, int(length))
        if not start:
            partial.begin(url, response.headers)
        expected = None if length is None else start + int(length)
        _copy(response, url, partial, path, start, expected)


def _answer(url: str, headers: dict[str, str], path: Path, timeout: float) -> Any:
    """What a server answers."""
    try:
        return urlopen(Request(url, headers=headers), timeout=timeout)
    except HTTPError as error:
        if error.code == _RANGE_PAST_THE_END and "Range" in headers:
            # Less is there by now than is here already.
            return _answer(url, {"User-Agent": headers["User-Agent"]}, path, timeout)
        raise Unreachable(
            f"{url} answers {error.code} {error.reason}: check the address, or "
            f"download the file by hand to {path.parent}"
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = getattr(error, "reason", None) or error
        raise Unreachable(
            f"{url} cannot be reached ({why}): check the connection, or download "
            f"the file by hand to {path.parent}"
        ) from error


def _copy(
    response: Any,
    url: str,
    partial: Partial,
    path: Path,
    start: int,
    expected: int | None,
) -> None:
    size, cut = start, False
    bar = tqdm(
        total=expected, initial=start, desc=path.name, unit="B", unit_scale=True,
        disable=None,  # where nobody looks
    )  # fmt: skip
    with bar, _writing(partial, path, start) as file:
        for chunk in _chunks(response):
            cut = chunk is None
            if chunk is None:
                break
            if not size and _is_page(chunk, path):
                partial.note.unlink(missing_ok=True)  # nothing to go on with
                raise MMRecError(
                    f"{url} answers with a page in the place of {path.name}: open the "
                    f"address in a browser, and put the file into {path.parent}"
                )
            file.write(chunk)
            size += len(chunk)
            bar.update(len(chunk))
    if cut or (expected is not None and size != expected):
        raise _broken(url, partial, expected)


def _chunks(response: Any) -> Iterator[bytes | None]:
    """The parts of an answer, with ``None`` at the end where the connection breaks."""
    try:
        while chunk := response.read(_CHUNK):
            yield chunk
    except http.client.IncompleteRead as error:
        yield error.partial
        yield None
    except (OSError, http.client.HTTPException):
        yield None


@contextmanager
def _writing(partial: Partial, path: Path, start: int) -> Iterator[BinaryIO]:
    """Opens a part to write on, and tells what the system refuses."""
    try:
        with open(partial.file, "ab" if start else "wb") as file:
            yield file
    except OSError as error:
        partial.remove()
        raise MMRecError(
            f"{shown(path)} cannot be written ({reason(error)}): make room or "
            f"permission there, or name another folder"
        ) from error


def _check_room(path: Path, size: int) -> None:
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError:  # it does not tell
        return
    if size > free:
        raise MMRecError(
            f"{shown(path)} takes {size:,} bytes more, and {free:,} are free there: "
            f"make room, or name another folder"
        )


def _is_page(start: bytes, path: Path) -> bool:
    """Whether this is a page that tells something, in the place of a file."""
    return path.suffix not in (".html", ".xml") and (
        start[:64].lstrip().lower().startswith(_PAGES)
    )


def _broken(url: str, partial: Partial, expected: int | None) -> _BrokenOff:
    of = "" if expected is None else f" of {expected}"
    kept = partial.note.exists()
    rest = "are kept: the next try goes on there" if kept else "was removed: try again"
    return _BrokenOff(
        f"the download of {url} broke off after {partial.size()}{of} bytes"
        f"{', which' if kept else ' and'} {rest}"
    )
