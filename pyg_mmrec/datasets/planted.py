"""Planted data of any size, written chunk by chunk into a folder of its own."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pyg_mmrec.config import Weight, Width, checked, option, to_dict
from pyg_mmrec.datasets.features import check_name
from pyg_mmrec.datasets.sources import as_folder, reason, shown
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.files import partial_folder, remove_leftovers

INTERACTIONS = "interactions.parquet"
ABOUT = "planted.json"
_CHUNK = 1 << 18  # interactions drawn at a time
_ROWS = 1 << 14  # rows of features written at a time
_CHOICE = 3  # candidates of each interaction
_LEAST, _TAIL = 5, 2.2  # of a user's degree: the least, and the power of its tail
_FEWEST = 500  # items, unless fewer are asked for
_MOMENTS = 1 << 30  # times are seconds below
_LATENTS, _DEGREES, _CHOICES, _FEATURES = range(4)  # what is drawn, for the seeds

Floats = NDArray[np.float32]


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        check_name(name, "planted data")


@checked
@dataclass
class Planted:
    r"""Interactions whose origin in the features is known, too many for memory.

    As in :class:`~pyg_mmrec.datasets.Synthetic`, items have latents :math:`s` (shared)
    and :math:`z_m` (of modality :math:`m` alone), features mix :math:`[s, z_m]` and
    noise, and users take what has the highest

    .. math::
        \frac{1}{\sqrt k} \Big( \langle p_s, s \rangle + \sum_m \langle p_m, z_m
        \rangle \Big) + \tau \, \mathrm{Gumbel}

    of three candidates for each item that they take. Here both sides follow power laws:
    an item is a candidate with a probability that falls with the root of its rank, and
    degrees of users have a Pareto tail. Whatever is drawn is drawn in chunks that are
    seeded by their number, so that memory does not grow with the interactions: it holds
    some numbers a user and the latents of the items.

    Raises:
        MMRecError: For numbers of which no such data can be.

    Example:
        >>> from pyg_mmrec import Folder
        >>> from pyg_mmrec.datasets.planted import Planted
        >>> Planted(20_000, items=400, dim=8).write("big")
        >>> Folder("big").modalities
        ['image', 'text']
    """

    interactions: int = option(
        1_000_000, "how many, each a user and an item once", min=100, max=2**40
    )
    users: int | None = option(
        None, "number of users, or none: one for 50 interactions", min=1, max=2**31 - 1
    )
    items: int | None = option(
        None, "number of items, or none: one for 200, and 500 at least",
        min=25, max=2**31 - 1,
    )  # fmt: skip
    modalities: tuple[str, ...] = option(
        ("image", "text"), "names of the features", filled=True, check=_check_names
    )
    dim: Width = option(64, "width of the features, which have half precision")
    latent_dim: Width = option(8, "dimensions k of each latent")
    noise: Weight = option(0.1, "standard deviation of the noise in features")
    temperature: Weight = option(0.3, "of the choice: 0 takes what is liked best")
    seed: int = option(0, "seed of everything", min=0, max=2**62)

    def __post_init__(self) -> None:
        most = self.num_users * self._most
        if not self.num_users * _LEAST <= self.interactions <= most:
            raise MMRecError(
                f"{self.interactions} interactions are none of {self.num_users} users "
                f"and {self.num_items} items, of whom each takes {_LEAST} to "
                f"{self._most}: choose other numbers"
            )

    @property
    def num_users(self) -> int:
        """Number of users."""
        return self.interactions // 50 if self.users is None else self.users

    @property
    def num_items(self) -> int:
        """Number of items."""
        usual = max(self.interactions // 200, _FEWEST)
        return usual if self.items is None else self.items

    @property
    def _most(self) -> int:
        """Items that a user takes at most: so many candidates are surely distinct."""
        return self.num_items // 5

    def write(self, folder: Path | str) -> None:
        """Write ``interactions.parquet`` and features, or nothing at all.

        Args:
            folder: A folder that does not exist; :class:`~pyg_mmrec.Folder` reads it.

        Raises:
            MMRecError: If it is there, or cannot be written.
        """
        folder = as_folder(folder).absolute()
        if folder.exists():
            raise MMRecError(f"{shown(folder)} is there already: name a new folder")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(folder.parent)
            with partial_folder(folder.parent) as partial:
                latents = self._latents()
                self._write_interactions(partial / INTERACTIONS, latents)
                for number, name in enumerate(self.modalities):
                    self._write_features(partial, name, number, latents)
                about = json.dumps(to_dict(self), indent=2)
                (partial / ABOUT).write_text(about + "\n", encoding="utf-8")
                os.replace(partial, folder)
        except OSError as error:
            raise MMRecError(
                f"{shown(folder)} cannot be written ({reason(error)}): choose another "
                f"place, or make room and permission there"
            ) from error

    def chunks(self, latents: Floats) -> Iterator[tuple[NDArray, NDArray, NDArray]]:
        """Users, items and times, by users; of a user in random order.

        Args:
            latents: Of the items, ``[I, k P]``.
        """
        degree = self._degrees()
        last = np.cumsum(degree)
        # The rank of an item's popularity is not to be read off its id.
        by_rank = self._random(_LATENTS, 1).permutation(self.num_items).astype(np.int32)
        start, number = 0, 0
        while start < self.num_users:
            done = int(last[start - 1]) if start else 0
            stop = int(np.searchsorted(last, done + _CHUNK, side="right"))
            stop = max(stop, start + 1)
            random = self._random(_CHOICES, number)
            user, item = self._chosen(degree[start:stop], latents, by_rank, random)
            moment = random.integers(_MOMENTS, size=len(user), dtype=np.int32)
            yield user + np.int32(start), item, moment
            start, number = stop, number + 1

    def _random(self, *place: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, *place))

    def _latents(self) -> Floats:
        """Of the items: what modalities share, then what each tells alone."""
        width = self.latent_dim * (1 + len(self.modalities))
        random = self._random(_LATENTS, 0)
        return random.standard_normal((self.num_items, width), dtype=np.float32)

    def _degrees(self) -> NDArray[np.int64]:
        """Of the users, with the sum that was asked for."""
        random = self._random(_DEGREES)
        share = (np.arange(self.num_users) + 0.5) / self.num_users
        tail = share ** (-1 / _TAIL) - 1
        more = self.interactions - _LEAST * self.num_users
        top = self._most - _LEAST
        extra = np.minimum((tail * (more / tail.sum())).astype(np.int64), top)
        # What rounding and the cap left goes to those with the most room, evenly.
        while left := more - int(extra.sum()):
            open_to = np.flatnonzero(extra < top)
            each = max(left // len(open_to), 1)
            taken = open_to[-left:] if each == 1 else open_to
            extra[taken] += np.minimum(each, top - extra[taken])
        return random.permutation(extra + _LEAST)

    def _chosen(
        self,
        degree: NDArray[np.int64],
        latents: Floats,
        by_rank: NDArray[np.int32],
        random: np.random.Generator,
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """What some users take of their candidates, by users."""
        size = _CHOICE * degree
        user = np.repeat(np.arange(len(degree), dtype=np.int32), size)
        place = np.arange(len(user)) - np.repeat(np.cumsum(size) - size, size)
        # A candidate from each stratum of the distribution: none of them far apart.
        share = (place + random.random(len(user))) / size[user]
        rank = (share * share * self.num_items).astype(np.int32)
        rank = np.minimum(rank, self.num_items - 1)
        fresh = np.ones(len(user), bool)  # ranks of a user come in order
        fresh[1:] = (rank[1:] != rank[:-1]) | (user[1:] != user[:-1])
        user, item = user[fresh], by_rank[rank[fresh]]
        like = random.standard_normal((len(degree), latents.shape[1]), np.float32)
        score = np.einsum("nk,nk->n", like[user], latents[item], dtype=np.float32)
        score /= math.sqrt(self.latent_dim)
        score += self.temperature * random.gumbel(size=len(score)).astype(np.float32)
        # One sort by user and score: the score as a number within one user's unit.
        order = np.argsort(user - 0.49 * score / (1 + np.abs(score)))
        count = np.bincount(user, minlength=len(degree))
        place = np.arange(len(user)) - np.repeat(np.cumsum(count) - count, count)
        order = order[place < degree[user]]
        # In random order, or a user's first rows would be those liked best.
        order = order[np.argsort(user[order] + random.random(len(order)))]
        return user[order], item[order]

    def _write_interactions(self, path: Path, latents: Floats) -> None:
        names = ("user", "item", "time")
        with pq.ParquetWriter(path, pa.schema([(n, pa.int32()) for n in names])) as to:
            for chunk in self.chunks(latents):
                to.write_table(pa.table(dict(zip(names, chunk, strict=True))))

    def _write_features(
        self, folder: Path, name: str, number: int, latents: Floats
    ) -> None:
        np.save(folder / f"{name}_ids.npy", np.arange(self.num_items))
        shape = (self.num_items, self.dim)
        x = np.lib.format.open_memmap(
            folder / f"{name}_feat.npy", mode="w+", dtype=np.float16, shape=shape
        )
        k, first = self.latent_dim, self.latent_dim * (1 + number)
        random = self._random(_FEATURES, number, 0)
        mixing = random.standard_normal((2 * k, self.dim), dtype=np.float32)
        mixing *= 1 / math.sqrt(2 * k)
        for start in range(0, self.num_items, _ROWS):
            rows = latents[start : start + _ROWS]
            seen = np.concatenate([rows[:, :k], rows[:, first : first + k]], axis=1)
            random = self._random(_FEATURES, number, 1 + start // _ROWS)
            noise = random.standard_normal((len(rows), self.dim), dtype=np.float32)
            x[start : start + _ROWS] = seen @ mixing + self.noise * noise
        x.flush()
