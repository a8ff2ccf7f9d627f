"""Downloads that are whole and verified, or leave nothing behind.

Where a checksum is known it is in the code. Where none is, the first download is
trusted: its checksum is recorded beside the file, and a later one has to have the same.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from pyg_mmrec.datasets.sources import check_file, shown
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.files import digest_of, partial_folder, remove_leftovers, replacing

RECORD = "downloads.json"
_CHUNK = 1 << 20


class Unreachable(MMRecError):
    """A source that could not be reached; another may be tried."""


def fetch(url: str, path: Path, md5: str | None = None, timeout: float = 20.0) -> Path:
    """Download a file; it appears under its name only when whole.

    Args:
        url: Where it is.
        path: Where it goes.
        md5: Its checksum, if known.
        timeout: Seconds without an answer before giving up.

    Raises:
        Unreachable: If the address cannot be reached.
        MMRecError: If it is cut short or its checksum is another.
    """
    remove_leftovers(path.parent)
    with partial_folder(path.parent) as folder:
        partial = folder / path.name
        _stream(url, partial, timeout)
        if md5 is not None:
            verify(partial, md5, "md5", url)
        os.replace(partial, path)
    return path


def fetch_recorded(url: str, path: Path, check: Callable[[Path], object]) -> Path:
    """Download a file of which no checksum is known, but that must never change.

    Its checksum goes into :data:`RECORD` in the folder of the file. Once there, it is
    that of every later download from this address.

    Args:
        url: Where it is.
        path: Where it goes.
        check: Raises an error for a file that is damaged, which is then removed and
            not recorded.

    Raises:
        Unreachable: If the address cannot be reached.
        MMRecError: If it is cut short or damaged, or not what it was at the
            first download.
    """
    record = path.parent / RECORD
    known = _recorded(record)
    fetch(url, path)
    try:
        check(path)
        found = digest_of(path)
        expected = known.setdefault(url, found)
        if found != expected:
            raise MMRecError(
                f"{url} has sha256 {found}, and had {expected} when it was downloaded "
                f"first: it was changed, so put the file of then there, or remove its "
                f"line from {record} to accept the new one"
            )
    except MMRecError:
        path.unlink()
        raise
    with replacing(record) as file:
        file.write((json.dumps(known, indent=2, sort_keys=True) + "\n").encode())
    return path


def _recorded(path: Path) -> dict[str, str]:
    """SHA-256 by address, of what was downloaded to a folder before."""
    if not path.exists():
        return {}
    try:
        known = json.loads(check_file(path).read_text(encoding="utf-8"))
        if isinstance(known, dict) and all(type(v) is str for v in known.values()):
            return known
    except (ValueError, OSError):
        pass
    raise MMRecError(
        f"{shown(path)}, the checksums of earlier downloads, cannot be read: mend it, "
        f"or remove it to trust the next download"
    )


def _stream(url: str, path: Path, timeout: float) -> None:
    request = Request(url, headers={"User-Agent": "pyg_mmrec"})
    try:
        with urlopen(request, timeout=timeout) as response, open(path, "wb") as file:
            expected = response.headers.get("Content-Length")
            size = 0
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                size += len(chunk)
    except http.client.IncompleteRead as error:
        raise _short(url, len(error.partial), None) from error
    except HTTPError as error:
        raise Unreachable(
            f"{url} answers {error.code} {error.reason}: check the address, or "
            f"download the file by hand to {path.parent}"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise Unreachable(
            f"{url} cannot be reached ({reason}): check the connection, or download "
            f"the file by hand to {path.parent}"
        ) from error
    if expected is not None and size != int(expected):
        raise _short(url, size, int(expected))


def _short(url: str, size: int, expected: int | None) -> MMRecError:
    of = "" if expected is None else f" of {expected}"
    return MMRecError(
        f"the download of {url} broke off after {size}{of} bytes and was removed: try "
        f"again"
    )


def verify(path: Path, expected: str, kind: str = "sha256", name: str = "") -> None:
    """Compare a file's checksum.

    Args:
        path: The file.
        expected: Its checksum, hexadecimal.
        kind: ``"sha256"`` or ``"md5"``.
        name: What to call it in the message.

    Raises:
        MMRecError: If it is another.
    """
    found = digest_of(path, kind)
    if found != expected:
        raise MMRecError(
            f"{name or path} has {kind} {found}, expected {expected}: it was cut short "
            f"or changed, so download it again"
        )


def pip_wheel(package: str, folder: Path) -> Path:
    """Download a package's wheel with pip, without installing it.

    Args:
        package: Requirement, e.g. ``"recbole==1.2.1"``.
        folder: An empty folder for the wheel.

    Raises:
        Unreachable: If pip fails.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
    command += ["--disable-pip-version-check", "--only-binary", ":all:"]
    result = subprocess.run(
        [*command, "--dest", str(folder), package],
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if result.returncode or not wheels:
        lines = result.stderr.strip().splitlines() or ["no reason given"]
        raise Unreachable(
            f"pip cannot download {package} ({lines[-1]}): check the connection or "
            f"pip's index"
        )
    return wheels[0]
