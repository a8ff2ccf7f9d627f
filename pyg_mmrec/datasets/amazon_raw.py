"""Amazon's reviews and metadata as published in 2014, 2018 and 2023.

A folder with ``reviews_Baby.json.gz`` or ``reviews_Baby_5.json.gz`` and
``meta_Baby.json.gz`` (2014, whose metadata are Python literals), ``Baby.json.gz`` or
``Baby_5.json.gz`` and ``meta_Baby.json.gz`` (2018), or ``Baby_Products.jsonl.gz`` and
``meta_Baby_Products.jsonl.gz`` (2023); unpacked ones too. Files whose name begins with
``meta`` are metadata, all others reviews.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pyg_mmrec.datasets.ids import as_ids, numbered
from pyg_mmrec.datasets.interactions import Interactions
from pyg_mmrec.datasets.items import Items
from pyg_mmrec.datasets.records import RECORDS, missing, records
from pyg_mmrec.datasets.sources import shown
from pyg_mmrec.datasets.values import ratings, times
from pyg_mmrec.errors import MMRecError

# By what a field was called in 2023, and before; variants of a thing share its parent.
_USER = ("user_id", "reviewerID")
_ITEM = ("parent_asin", "asin")
_RATING = ("rating", "overall")
_TIME = ("timestamp", "unixReviewTime")
_TEXTS = {
    "title": ("title",),
    "brand": ("store", "brand"),
    "categories": ("categories", "category"),
    "features": ("features", "feature"),
    "description": ("description",),
}
_PICTURES = ("images", "imageURLHighRes", "imageURL", "imUrl")
_SIZES = ("large", "hi_res", "thumb")  # large will do for any encoder
_KEY = re.compile(r"""["'](?:parent_)?asin["']\s*:\s*["']([^"']+)["']""")
_TAG = re.compile(r"<[^<>]{1,2000}>")


def review_files(folder: Path) -> list[Path]:
    """Files of reviews, then those of metadata; empty if there are no reviews."""
    found = [p for p in sorted(folder.iterdir()) if p.name.endswith(RECORDS)]
    about = [path for path in found if path.name.startswith("meta")]
    reviews = [path for path in found if path not in about and _is_of_reviews(path)]
    return [*reviews, *about] if reviews else []


def _is_of_reviews(path: Path) -> bool:
    """Whether the first record is one; a damaged file named as one is, too."""
    try:
        first = next(records(path), (0, {}))[1]
    except MMRecError:
        return path.name.startswith("reviews") or not path.name.endswith(".json")
    return any(n in first for n in _USER) and any(n in first for n in _ITEM)


def read_reviews(paths: Iterable[Path]) -> Interactions:
    """Who reviewed what, with rating and time.

    Args:
        paths: Files of reviews and, which are passed over, of metadata.

    Raises:
        MMRecError: For a line that is damaged or lacks a field.
    """
    roles = {"user": _USER, "item": _ITEM, "rating": _RATING, "time": _TIME}
    columns: dict[str, list[Any]] = {role: [] for role in roles}
    reviews = [path for path in paths if not path.name.startswith("meta")]
    for path in reviews:
        for number, record in records(path):
            for role, names in roles.items():
                value = _first(record, names)
                if value is None:
                    raise missing(path, number, names)
                columns[role].append(value)
    where = reviews[0]
    if not columns["user"]:
        raise MMRecError(f"{shown(where)} has no reviews: download it again")
    ids = [
        numbered(as_ids(pd.Series(columns[role]), role, shown(where)))
        for role in ("user", "item")
    ]
    (user, user_ids), (item, item_ids) = ids
    return Interactions(
        user,
        item,
        user_ids,
        item_ids,
        time=times(pd.Series(columns["time"]), where),
        rating=ratings(pd.Series(columns["rating"]), where),
    )


def read_metadata(paths: Iterable[Path], wanted: pd.Index | None) -> Items | None:
    """Titles, other texts and the address of a picture of each item.

    Args:
        paths: Files of metadata and, which are passed over, of reviews.
        wanted: Raw ids of the items; all if ``None``.

    Returns:
        ``None`` if there are no metadata.

    Raises:
        MMRecError: For a line that is damaged.
    """
    about = [path for path in paths if path.name.startswith("meta")]
    if not about:
        return None
    known = None if wanted is None else set(map(str, wanted))
    rows: dict[str, dict[str, Any]] = {}
    for path in about:
        key = None if known is None else _KEY
        for number, record in records(path, key, known or ()):
            item = _first(record, _ITEM)
            if item is None:
                raise missing(path, number, _ITEM)
            if known is None or str(item) in known:
                texts = {n: clean(_first(record, f)) for n, f in _TEXTS.items()}
                picture = _picture(_first(record, _PICTURES))
                rows[str(item)] = {**texts, "image_url": picture}
    table = pd.DataFrame([*rows.values()], columns=[*_TEXTS, "image_url"])
    return Items(table, pd.Index([*rows], dtype="str"), about[0])


def clean(value: Any) -> str:
    """A text, or those of a list, without marks of HTML and each once."""
    parts = dict.fromkeys(_flat(value))
    text = " ".join(html.unescape(_TAG.sub(" ", part)) for part in parts)
    return " ".join(text.split())


def _flat(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _flat(part)


def _first(record: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The first of some fields that is there and not empty."""
    values = (record.get(name) for name in names)
    return next((v for v in values if v is not None and v != "" and v != []), None)


def _picture(value: Any) -> str | None:
    """The address of the first picture, of a size that is there."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        value = value[0]
    if isinstance(value, dict):  # of one picture, or of lists for all
        value = _first(value, _SIZES)
    return next(iter(_flat(value)), None)
