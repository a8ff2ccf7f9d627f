"""MovieLens-1M with published features of plots, posters and trailers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pyg_mmrec.config import number
from pyg_mmrec.datasets import swap
from pyg_mmrec.datasets.dat import columns_of, rows_of
from pyg_mmrec.datasets.extended import Extended
from pyg_mmrec.datasets.ids import numbered
from pyg_mmrec.datasets.interactions import Interactions, at_least


class MovieLens1M(Extended):
    """MovieLens-1M with published features of plots, posters and trailers.

    By the published protocol 6,040 users, 2,981 films that have every modality, and
    942,799 ratings of whatever height, split 8:1:1; with ``protocol="all"`` ratings of
    ``min_rating`` and more of all films, split 8:1:1 per user at random. Raw ids are
    GroupLens'.

    Args:
        root: Parent folder of the data sets; files are in ``root/movielens-1m/``.
        modalities: Which modalities to load; all that there are if ``None``.
        protocol: ``"published"`` or ``"all"``, see :class:`Extended`.
        features: Encoder by modality: ``text`` is ``"all-MiniLM-L6-v2"`` or
            ``"all-mpnet-base-v2"``; ``image`` ``"vit_cls"``, ``"vit_avg"``, ``"vgg"``
            or ``"resnet152"``; ``audio`` ``"whisper"`` or ``"vggish"``; ``video``
            ``"r2p1d"`` or ``"i3d"``.
        min_rating: Ratings from here on are positives, of ``protocol="all"``.
        **options: As in :class:`~pyg_mmrec.datasets.Dataset`.

    Example:
        >>> from pyg_mmrec import MovieLens1M
        >>> MovieLens1M("data", features={"image": "resnet"})
        Traceback (most recent call last):
            ...
        pyg_mmrec.errors.MMRecError: unknown encoder of image 'resnet': did you mean ...
    """

    release = swap.MOVIELENS
    own_name = "movielens-1m"

    def __init__(
        self,
        root: Path | str,
        modalities: Sequence[str] | None = None,
        protocol: str = "published",
        features: Mapping[str, str] | None = None,
        min_rating: float = 4.0,
        **options: Any,
    ) -> None:
        self.min_rating = min_rating
        super().__init__(root, modalities, protocol, features, **options)

    @classmethod
    def add_options(cls, add: Callable[..., Any]) -> None:
        """Options of the command line."""
        super().add_options(add)
        add(
            "--min-rating", type=number(float), default=4.0, metavar="X",
            help="lowest rating that counts, of --protocol all (default: 4)",
        )  # fmt: skip

    def options(self) -> dict[str, Any]:
        """Options that change the graph."""
        whole = {"min_rating": self.min_rating} if self.protocol == "all" else {}
        return {**super().options(), **whole}

    def _whole(self) -> Interactions:
        path = self.folder / "ratings.dat"
        # Between the two colons of a separator there is an empty column.
        columns = columns_of(path, ":", (0, 2, 4, 6), skip=0)
        (user, user_ids), (item, item_ids) = map(numbered, columns[:2])
        rating, time = (column.to_numpy() for column in columns[2:])
        found = Interactions(
            user, item, user_ids, item_ids, time=time, rating=rating.astype(np.float32)
        )
        return at_least(found, self.min_rating, str(path))

    def _titles(self) -> Mapping[str, str]:
        if self.protocol == "published":
            path = self.folder / self.release.titles[0].rpartition("/")[2]
            rows = rows_of(path, "\t")[1:]
            return {row[0]: row[4] for row in rows if len(row) > 4}
        rows = rows_of(self.folder / "movies.dat", "::", "latin-1")
        return {row[0]: row[1] for row in rows if len(row) > 1}
