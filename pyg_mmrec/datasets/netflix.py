"""Netflix' films with features of posters and titles, as LLMRec's authors share."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pyg_mmrec.datasets.base import Dataset, Raw
from pyg_mmrec.datasets.drive import get_shared
from pyg_mmrec.datasets.features import chosen, discover_arrays, read_rows
from pyg_mmrec.datasets.interactions import SPLIT_NAMES, TEST, VALID, Interactions
from pyg_mmrec.datasets.places import check_writable
from pyg_mmrec.datasets.sources import check_file, read_npy, reason, shown
from pyg_mmrec.datasets.tables import read_lines
from pyg_mmrec.errors import MMRecError, spelled

SHARED = "1BGKm3nO4xzhyi_mpKJWcfxgi3sQ2j_Ec"
FILES = ("train.json", "val.json", "test.json")
_FEATURES = ("image_feat.npy", "text_feat.npy")
_ITEMS = "item_attribute_filter.csv"


class Netflix(Dataset):
    """Netflix' films: 13,187 users, 17,366 films, features of posters and titles.

    Reads ``root/netflix/``: ``train.json``, ``val.json`` and ``test.json`` (items by
    user, in numbers from 0), ``<modality>_feat.npy`` whose row is the item, and
    ``item_attribute_filter.csv`` (id, year, title, a line an item). If they are not
    there they are downloaded from the authors' folder on Google Drive by gdown
    (``pip install 'pyg_mmrec[drive]'``); what is recorded is as in
    :class:`~pyg_mmrec.datasets.Amazon`.

    Wei et al., "LLMRec: large language models with graph augmentation for
    recommendation", WSDM 2024 (https://arxiv.org/abs/2311.00423), from the Netflix
    Prize.

    Args:
        root: Parent folder of the data sets.
        modalities: Which modalities to load; all that there are if ``None``.
        **options: As in :class:`~pyg_mmrec.datasets.Dataset`.

    Example:
        >>> import json
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from pyg_mmrec import Netflix
        >>> Path("data/netflix").mkdir(parents=True)
        >>> for n, part in enumerate(("train", "val", "test")):
        ...     text = json.dumps({str(user): [n] for user in range(5)})
        ...     size = Path(f"data/netflix/{part}.json").write_text(text)
        ...
        >>> np.save("data/netflix/image_feat.npy", np.ones((3, 8)))
        >>> Netflix("data").modalities
        ['image']
    """

    def __init__(
        self,
        root: Path | str,
        modalities: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(root, "netflix", modalities, **options)

    @property
    def raw_file_names(self) -> list[str]:
        """Files that are read; empty while one of the three parts lacks."""
        if not all((self.folder / name).exists() for name in FILES):
            return []
        items = [_ITEMS] if (self.folder / _ITEMS).exists() else []
        return [
            *FILES,
            *items,
            *(p.name for p in discover_arrays(self.folder).values()),
        ]

    def download(self) -> None:
        """Download what the authors share.

        Raises:
            MMRecError: If it cannot be had whole.
        """
        files = (_ITEMS, *_FEATURES, *FILES)
        check_writable(self.folder, "Netflix", files)
        # Interactions last: without them the folder counts as not downloaded.
        checks: dict[str, Callable[[Path], object]] = {
            _ITEMS: check_file,
            **dict.fromkeys(_FEATURES, read_npy),
            **dict.fromkeys(FILES, _pairs),
        }
        get_shared(SHARED, self.folder, checks, optional=[_ITEMS])

    def read(self) -> Raw:
        """Interactions, features and titles."""
        parts = [_pairs(self.folder / name) for name in FILES]
        if self.split is None:
            self._refuse_same(parts)
        paths = discover_arrays(self.folder)
        rows = [len(read_npy(path)) for path in paths.values()]
        pairs = np.concatenate(parts)
        users, items = pairs.max(axis=0) + 1
        items = max(int(items), *rows) if rows else int(items)
        split = np.repeat(np.arange(3, dtype=np.int8), [len(part) for part in parts])
        ids = pd.RangeIndex(int(users)), pd.RangeIndex(items)
        found = Interactions(pairs[:, 0], pairs[:, 1], *ids, split)
        names = chosen(paths, self.wanted, self.name)
        features = {m: read_rows(paths[m], items) for m in names}
        return Raw(found, features, _titles(self.folder / _ITEMS, items))

    def _refuse_same(self, parts: list[np.ndarray]) -> None:
        """Refuse a test that is the validation, as it was in what the authors shared.

        Reported in https://github.com/HKUDS/LLMRec/issues/31.
        """
        known, held = ({*map(tuple, parts[p].tolist())} for p in (VALID, TEST))
        if known == held:
            raise MMRecError(
                f"{shown(self.folder)}: {FILES[VALID]} and {FILES[TEST]} hold the same "
                f"interactions, so that the {SPLIT_NAMES[TEST]} would choose what it "
                f"judges: split anew with {spelled('split')} random, or get another "
                f"{FILES[VALID]}"
            )


def _pairs(path: Path) -> np.ndarray:
    """Pairs of a user and an item, ``[n, 2]``, from JSON of items by user."""
    try:
        told = json.loads(check_file(path).read_text(encoding="utf-8"))
        rows = [(int(user), item) for user, items in told.items() for item in items]
        pairs = np.array(rows, np.int64).reshape(-1, 2)
        if any(type(item) is not int for _, item in rows) or (pairs < 0).any():
            raise ValueError("an item is no number from 0")
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise MMRecError(
            f"{shown(path)} cannot be read as lists of items by user "
            f"({reason(error)}): download it again"
        ) from error
    if not len(pairs):
        raise MMRecError(f"{shown(path)} has no interactions: download it again")
    return pairs


def _titles(path: Path, size: int) -> list[str] | None:
    """Titles from lines ``id,year,title``, in the order of the items."""
    if not path.exists():
        return None
    titles = [line.split(",", 2)[-1].strip('"') for line in read_lines(path) if line]
    if len(titles) != size:
        warnings.warn(
            f"{shown(path)} has {len(titles):,} lines and there are {size:,} items: a "
            f"line an item is expected, so items go without titles",
            stacklevel=2,
        )
        return None
    return titles
