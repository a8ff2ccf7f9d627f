"""Files of a folder that is shared on Google Drive, as gdown gets them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any

from pyg_mmrec.datasets.download import Unreachable, fetch_recorded, filling
from pyg_mmrec.datasets.sources import reason
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.extras import from_extra

FOLDER = "https://drive.google.com/drive/folders/{}"
_FILE = "https://drive.google.com/uc?id={}"
_TIMEOUT, _RETRIES = 20.0, 2


def get_shared(
    shared: str,
    folder: Path,
    checks: Mapping[str, Callable[[Path], object]],
    optional: Iterable[str] = (),
) -> None:
    """Download files of a shared folder, by their names.

    Those that are there are left alone. Each appears under its name when it is whole,
    and one that broke off goes on at the next call. No checksums are published on a
    drive: those of the first download are recorded in ``downloads.json``.

    Args:
        shared: The folder's id, as its address ends.
        folder: Where they go.
        checks: What raises an error for a file that is damaged, by names of files in
            the order in which they are got.
        optional: Names of files that the folder need not have.

    Raises:
        Unreachable: If the drive cannot be reached, or gives no file.
        MMRecError: If gdown is not installed, the folder lacks a file, or one is
            damaged, or not what it was at the first download.
    """
    lacking = [name for name in checks if not (folder / name).exists()]
    if not lacking:
        return
    place = FOLDER.format(shared)
    instead = f"open {place} in a browser, and put {', '.join(lacking)} into {folder}"
    gdown = from_extra("gdown", "drive", "Google Drive", instead=instead)
    ids = _listed(gdown, shared, folder)
    with filling(folder):
        for name in lacking:
            if name in ids:
                url = _FILE.format(ids[name])
                fetch_recorded(url, folder / name, checks[name], _fetcher(gdown))
            elif name not in optional:
                raise MMRecError(
                    f"{place} has no {name} any more: find it there by another name, "
                    f"and put it into {folder}"
                )


def _listed(gdown: Any, shared: str, folder: Path) -> dict[str, str]:
    """Ids of a folder's files by name, of two of one name the less deep."""
    try:
        found = gdown.download_folder(
            id=shared, quiet=True, use_cookies=False, skip_download=True,
            timeout=_TIMEOUT,
        )  # fmt: skip
    except (gdown.DownloadError, OSError) as error:
        raise _unreachable(FOLDER.format(shared), error, folder) from error
    deepest_first = sorted(found, key=lambda f: -len(PurePath(f.path).parts))
    return {PurePath(file.path).name: file.id for file in deepest_first}


def _fetcher(gdown: Any) -> Callable[[str, Path], object]:
    def fetch(url: str, path: Path) -> None:
        nobody_looks = not sys.stderr.isatty()
        try:
            gdown.download(
                url, str(path), quiet=nobody_looks, use_cookies=False, resume=True,
                timeout=_TIMEOUT, retries=_RETRIES,
            )  # fmt: skip
        except (gdown.DownloadError, OSError) as error:
            raise _unreachable(url, error, path.parent) from error

    return fetch


def _unreachable(url: str, error: Exception, folder: Path) -> Unreachable:
    """Gdown raises paragraphs, and requests OSErrors that are no sentences."""
    asked = isinstance(error, OSError) and not error.strerror
    why = type(error).__name__ if asked else reason(error)
    return Unreachable(
        f"{url} gives no file ({why}): try again later, or open it in a browser, and "
        f"put the file into {folder}"
    )
