"""Texts, pictures and sounds of items in a folder, and the features made of them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pyg_mmrec.datasets.coverage import check_overlap
from pyg_mmrec.datasets.ids import placed
from pyg_mmrec.datasets.items import Items, read_items
from pyg_mmrec.datasets.sources import check_file, shown
from pyg_mmrec.encoding import Encoded
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.files import digest_of, replacing

FOLDERS = {
    "image": ("images", (".jpg", ".jpeg", ".png", ".webp")),
    "audio": ("audio", (".wav", ".mp3", ".flac", ".ogg")),
}
"""Folders of files that are named by item ids, and their endings."""
_ELSEWHERE = {"image": "covers", "audio": "audios"}
_MARK = b"pyg_mmrec"


@dataclass
class Source:
    """What one modality is made of.

    Args:
        kind: ``"text"``, ``"image"`` or ``"audio"``.
        ids: Raw id of each value.
        values: Texts, or paths of files; ``None`` where there is none.
        told: What they are, for messages, such as ``title of items.csv``.
        columns: Columns of a text.
    """

    kind: str
    ids: pd.Index
    values: Sequence[str | Path | None]
    told: str
    columns: tuple[str, ...] = ()

    def __len__(self) -> int:
        """How many items have a value."""
        return sum(value is not None for value in self.values)

    def of(self, wanted: pd.Index) -> Source:
        """The same for some items, in their order."""
        found: list[str | Path | None] = [None] * len(wanted)
        places = placed(self.ids, wanted)
        for place, value in zip(places, self.values, strict=True):
            if place >= 0:
                found[place] = value
        return Source(self.kind, wanted, found, self.told, self.columns)

    def check(self, item_ids: pd.Index, folder: Path) -> None:
        """Refuse files that are named by the ids of other items.

        Args:
            item_ids: Raw ids of the items.
            folder: Where the files' folder lies, for the message.

        Raises:
            MMRecError: See :func:`~pyg_mmrec.datasets.coverage.check_overlap`.
        """
        if self.kind in FOLDERS:
            check_overlap(self.ids, item_ids, folder / FOLDERS[self.kind][0])

    def digest(self, content: bool = False) -> str:
        """What tells these values from others, whatever their order.

        Args:
            content: Whether files are known by what they hold; by name and size else.
        """
        pairs = zip(self.ids.astype(str), self.values, strict=True)
        lines = sorted(
            f"{raw}\t{_told(value, content)}" for raw, value in pairs if value
        )
        return hashlib.sha256("\n".join(lines).encode("utf-8", "replace")).hexdigest()


def _told(value: str | Path, content: bool) -> str:
    if isinstance(value, str):
        return value
    try:
        return digest_of(value) if content else f"{value.name} {value.stat().st_size}"
    except OSError:
        return f"{value.name} -"


def find_sources(
    folder: Path, items: Items | None, columns: Sequence[str] | None = None
) -> dict[str, Source]:
    """What there is to encode in a folder, by modality.

    Args:
        folder: The folder.
        items: Its table of items, if it has one.
        columns: Columns of the texts; all of usual names if ``None``.

    Raises:
        MMRecError: If a column is not there, or two files are of one item.
    """
    found = {}
    names = [] if items is None else items.text_columns(columns)
    if items is not None and names:
        told = f"{', '.join(names)} of {items.path.name}"
        source = Source("text", items.ids, items.texts(names), told, tuple(names))
        if len(source):
            found["text"] = source
    elif columns:
        raise MMRecError(
            f"{shown(folder)} has no table of items, so the columns "
            f"{', '.join(columns)} cannot be read: put items.csv there"
        )
    for kind in FOLDERS:
        paths = _files(folder, kind)
        name = FOLDERS[kind][0]
        listed = {} if items is None else items.paths(kind)
        for raw, text in listed.items():
            paths.setdefault(str(raw), folder / text)
        if paths:
            ids = pd.Index([*paths], dtype="str")
            where = f"{name}/" if not listed else f"{name}/ and of the table of items"
            told = f"{len(paths)} files of {where}"
            found[kind] = Source(kind, ids, list(paths.values()), told)
    return found


def _files(folder: Path, kind: str) -> dict[str, Path]:
    """Files that are named by an item's id, by that id."""
    name, ends = FOLDERS[kind]
    found: dict[str, Path] = {}
    # MicroLens calls them <name>_covers and <name>_audios.
    places = [folder / name, *sorted(folder.glob(f"*_{_ELSEWHERE[kind]}"))]
    for place in (place for place in places if place.is_dir()):
        for path in sorted(place.iterdir()):
            if path.suffix.lower() in ends and not path.name.startswith("."):
                if path.stem in found:
                    raise MMRecError(
                        f"{shown(place)} has {found[path.stem].name} and {path.name} "
                        f"for the item {path.stem!r}: keep one of them"
                    )
                found[path.stem] = path
    return found


def write_features(
    path: Path, source: Source, found: Encoded, about: dict[str, Any]
) -> None:
    """Write ``<modality>.parquet``: an item id and a vector a row.

    Args:
        path: The file.
        source: What was encoded.
        found: What came of it.
        about: What made it, kept in the file.
    """
    ids, x = source.ids[found.present], found.x[found.present]
    told = {**about, "source": source.digest(), "columns": list(source.columns)}
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1])
    table = pa.table({"item": pa.array(ids), "vector": vectors})
    table = table.replace_schema_metadata({_MARK: json.dumps(told).encode()})
    with replacing(path) as file:
        pq.write_table(table, file)


def made_of(path: Path) -> dict[str, Any] | None:
    """What :func:`write_features` told of a file; ``None`` of one of the user's."""
    try:
        told = pq.read_schema(check_file(path)).metadata or {}
        return json.loads(told[_MARK])
    except (MMRecError, OSError, KeyError, ValueError, pa.ArrowException):
        return None


def values_then(path: Path, source: Source | None) -> Sequence[str | Path | None]:
    """The values that features were made of, among those that there are now.

    Args:
        path: File of the features, which :func:`write_features` wrote.
        source: What there is now; ``None`` for nothing.

    Raises:
        MMRecError: If they are not all there any more.
    """
    told = made_of(path) or {}
    if source is not None:
        # What has come since counts for nothing; what was skipped has no row there.
        ids = pq.read_table(path, columns=["item"])["item"].to_pandas()
        for then in (source.of(pd.Index(ids)), source):
            if then.digest() == told.get("source"):
                return then.values
    raise MMRecError(
        f"{shown(path)} was made of other texts than there are now, so a new one has "
        f"no place among them: put the old table back, with new items in a folder of "
        f"their own, or run 'pyg-mmrec encode {shown(path.parent)}' and train again"
    )


def warn_if_stale(path: Path, items: Path | None) -> None:
    """Warn of features that were made of other values than there are now.

    Args:
        path: File of the features.
        items: The table of items of its folder, if there is one.
    """
    told = made_of(path)
    if told is None:
        return
    kind = path.name.partition(".")[0]
    try:
        table = None if items is None else read_items(items)
        sources = find_sources(path.parent, table, told.get("columns") or None)
        fresh = kind in sources and sources[kind].digest() == told.get("source")
    except MMRecError:  # a column has gone
        fresh = False
    if not fresh:
        warnings.warn(
            f"{shown(path)} was made of other values than there are now: run "
            f"'pyg-mmrec encode {shown(path.parent)}' again",
            stacklevel=3,
        )


def write_skipped(path: Path, source: Source, found: Encoded) -> None:
    """Write which items have a value and no features, and why; remove an old list."""
    if not found.skipped:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["item", "value", "reason"])
    for row, why in found.skipped.items():
        value = source.values[row]
        if isinstance(value, Path) and value.is_relative_to(path.parent):
            value = value.relative_to(path.parent)
        rows.writerow([source.ids[row], str(value)[:200], why])
    with replacing(path) as file:
        file.write(text.getvalue().encode())
