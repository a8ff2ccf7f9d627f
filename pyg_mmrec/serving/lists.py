"""Lists of the best items for users, by raw ids."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pyg_mmrec.embeddings import Branch
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.ranking.rows import Ragged, best_columns
from pyg_mmrec.serving.catalogue import Asked, Catalogue
from pyg_mmrec.serving.diversity import check_diversity
from pyg_mmrec.serving.exports import write_embeddings, write_table
from pyg_mmrec.serving.filters import Columns, Where
from pyg_mmrec.serving.ids import check_ids, code_of, codes_of

_CHUNK = 256
Exclude = bool | Literal["known", "train"]
FoldIn = Literal["model", "mean"]


class Lists(ABC):
    """What an :class:`~pyg_mmrec.Index` holds, and lists; arguments are its own."""

    def __init__(
        self,
        rows: Branch,
        seen: Tensor,
        user_ids: pd.Index,
        item_ids: pd.Index,
        item_titles: list[str] | None = None,
        held_out: Tensor | None = None,
        item_columns: Columns | None = None,
    ) -> None:
        self.rows = Branch(rows.user.cpu(), rows.item.cpu())
        self.seen = seen.cpu()
        self.held_out = self.seen[:, :0] if held_out is None else held_out.cpu()
        self.user_ids = user_ids
        check_ids("user", user_ids, self.rows.user)
        self.items = Catalogue(
            self.rows.item, item_ids, item_titles, item_columns or {}
        )
        known = torch.cat([self.seen, self.held_out], dim=1)
        self._known = Ragged(known, len(user_ids))
        self._trained = Ragged(self.seen, len(user_ids))

    @property
    def item_ids(self) -> pd.Index:
        """Raw ids of items; position = internal id."""
        return self.items.ids

    @property
    def item_titles(self) -> list[str] | None:
        """A title per item, if they have any."""
        return self.items.titles

    @property
    def item_columns(self) -> Columns:
        """What else is known of items, by name."""
        return self.items.columns

    def recommend(
        self,
        users: Sequence[Any] | Any = None,
        k: int = 10,
        exclude_seen: Exclude = True,
        *,
        history: Sequence[Any] | None = None,
        fold_in: FoldIn = "model",
        allow: Sequence[Any] | None = None,
        deny: Sequence[Any] | None = None,
        where: Where | None = None,
        diversity: float = 0.0,
    ) -> pd.DataFrame:
        """The best items of each user, known or new.

        Args:
            users: Raw ids, or one.
            k: Items a user.
            exclude_seen: Leave out all that the user is known to have (``True`` or
                ``"known"``: train, validation and test), only what the model was
                trained on (``"train"``, as in evaluation), or nothing (``False``). Of
                a new user all three know the history.
            history: In the place of users: raw ids of the items that a user has who
                was not there in training, or such a list for each of several. They do
                not see each other.
            fold_in: How a new user is placed: by the ``"model"``, as a node that the
                user's items lead to, which takes what a method learned of users from
                those who share items (:func:`~pyg_mmrec.training.likeness.like_users`);
                or by the ``"mean"`` of the items' embeddings, which needs no model.
            allow: Raw ids of the only items to choose from; all if ``None``.
            deny: Raw ids of items to leave out.
            where: Values by a column of the items (``{"genre": "Drama"}``, or several
                in a list), a function of a table ``item``, ``title`` and columns that
                returns which rows may be chosen, or a truth value per item.
            diversity: From 0 to 1; above 0 lists are re-ranked by
                :func:`~pyg_mmrec.serving.diversity.marginal_relevance`, out of ten
                times as many candidates.

        Returns:
            Columns ``user`` (of new ones their place, from 0), ``rank`` (from 1),
            ``item``, ``score`` and, where known, ``title``. A user who has all but few
            items gets those few.

        Raises:
            MMRecError: For an unknown user, item, column or value, ``k`` below 1, an
                empty history, and a new user where there is no model.
        """
        _check_k(k)
        check_diversity(diversity)
        if (users is None) == (history is None):
            raise MMRecError("name users, or give the history of new ones: one of both")
        asked = Asked(k, self.items.mask(allow, deny, where), diversity)
        if history is None:
            codes = codes_of("user", users, self.user_ids)
            frames = self._ranked(codes, asked, exclude_seen)
        else:
            frames = self._ranked_new(history, asked, exclude_seen, fold_in)
        return pd.concat(frames, ignore_index=True)

    def similar_items(self, item: Any, k: int = 10) -> pd.DataFrame:
        """The items closest to one, by the cosine of their embeddings.

        Args:
            item: Raw id.
            k: Number of items.

        Returns:
            Columns ``item``, ``score`` and, where known, ``title``.

        Raises:
            MMRecError: For an unknown item or ``k`` below 1.
        """
        _check_k(k)
        code = code_of("item", item, self.item_ids)
        x = torch.nn.functional.normalize(self.rows.item, dim=-1)
        score = (x @ x[code]).unsqueeze(0)
        score[0, code] = float("-inf")
        values, items = best_columns(score, min(k, len(x) - 1))
        frame = pd.DataFrame(
            {"item": self.item_ids[items[0].numpy()], "score": values[0].numpy()}
        )
        return self.items.titled(frame, items[0])

    def history(self, user: Any) -> pd.DataFrame:
        """All that a user is known to have: ``item`` and, where known, ``title``.

        Train interactions come first, then those of validation and test.
        """
        code = code_of("user", user, self.user_ids)
        items = self._known.of(torch.tensor([code]))[1]
        return self.items.titled(
            pd.DataFrame({"item": self.item_ids[items.numpy()]}), items
        )

    def export_topk(
        self,
        path: Path | str,
        k: int = 10,
        users: Sequence[Any] | None = None,
        exclude_seen: Exclude = True,
        escape_formulas: bool = True,
    ) -> None:
        """Write the best items of users to CSV or Parquet, whole or not at all.

        Args:
            path: The file, ending in ``.csv`` or ``.parquet``.
            k: Items a user.
            users: Raw ids; all users if ``None``.
            exclude_seen: As in :meth:`recommend`.
            escape_formulas: In CSV, put an apostrophe before text, ids as well, that
                begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return,
                which a spreadsheet would run as a formula. Numbers stay numbers.
                Without it ids are exactly those of the data.

        Raises:
            MMRecError: For another ending, an unknown user, or a place that cannot
                be written.
        """
        codes = torch.arange(len(self.user_ids))
        if users is not None:
            codes = codes_of("user", users, self.user_ids)
        _check_k(k)
        ranked = self._ranked(codes, Asked(k), exclude_seen)
        write_table(ranked, Path(path), escape_formulas)

    def export_embeddings(self, path: Path | str) -> None:
        """Write raw ids and embeddings, whole or not at all.

        Args:
            path: A file ending in ``.npz``, for the arrays ``user``, ``item``,
                ``user_ids`` and ``item_ids``; one ending in ``.parquet``, for a table
                of ``kind``, ``id`` and ``embedding``, with ids as text if users' and
                items' differ in type; or a folder, for the tables ``users.parquet``
                and ``items.parquet``.

        Raises:
            MMRecError: For another ending, or a place that cannot be written.
        """
        sides = [
            ("user", self.user_ids, self.rows.user),
            ("item", self.item_ids, self.rows.item),
        ]
        write_embeddings(sides, Path(path))

    def _ranked(
        self, users: Tensor, asked: Asked, exclude_seen: Exclude
    ) -> Iterator[pd.DataFrame]:
        exclude = self._excluded(exclude_seen)
        for chunk in users.split(_CHUNK):
            taken = None if exclude is None else exclude.of(chunk)
            names = self.user_ids[chunk.numpy()]
            yield self.items.best(self.rows.user[chunk], names, asked, taken)

    def _ranked_new(
        self,
        history: Sequence[Any],
        asked: Asked,
        exclude_seen: Exclude,
        fold_in: FoldIn,
    ) -> Iterator[pd.DataFrame]:
        """Lists of users who were not there in training."""
        codes = self._histories(history)
        self._excluded(exclude_seen)
        rows = self._folded_in(codes, fold_in)
        for start in range(0, len(codes), _CHUNK):
            part = codes[start : start + _CHUNK]
            taken = None
            if exclude_seen not in (False, None):
                count = torch.tensor([items.numel() for items in part])
                user = torch.arange(len(part)).repeat_interleave(count)
                taken = user, torch.cat(part)
            names = pd.RangeIndex(start, start + len(part))
            yield self.items.best(rows[start : start + _CHUNK], names, asked, taken)

    def _histories(self, history: Sequence[Any]) -> list[Tensor]:
        """Items of each new user."""
        history = [history] if isinstance(history, str) else list(history)
        kinds = {
            isinstance(items, (list, tuple, set, frozenset, pd.Index))
            for items in history
        }
        if len(kinds) > 1:
            raise MMRecError(
                "a history is a list of ids, or a list of ids for each of several "
                "users (got both): put each user's into a list"
            )
        several = kinds == {True}
        lists = history if several else [history]
        for place, items in enumerate(lists):
            if not len(items):
                which = f" {place}" if several else ""
                raise MMRecError(
                    f"the new user{which} has an empty history, which tells nothing: "
                    f"name an item or more, or recommend what is popular"
                )
        return [codes_of("item", items, self.item_ids).unique() for items in lists]

    def _folded_in(self, histories: list[Tensor], fold_in: FoldIn) -> Tensor:
        """Final embeddings of new users, ``[n, d]``."""
        if fold_in == "mean":
            means = [self.rows.item[items].mean(dim=0) for items in histories]
            return torch.stack(means)
        if fold_in != "model":
            raise MMRecError(
                f"fold_in={fold_in!r} is not among 'model' and 'mean': choose one"
            )
        return self.placed_users(histories)

    @abstractmethod
    def placed_users(self, histories: list[Tensor]) -> Tensor:
        """Final embeddings of users who were not there in training, ``[n, d]``.

        Args:
            histories: Items of each.
        """

    def _excluded(self, exclude_seen: Exclude | None) -> Ragged | None:
        lists = {"known": self._known, "train": self._trained}
        if exclude_seen in lists:
            return lists[str(exclude_seen)]
        if exclude_seen is None or isinstance(exclude_seen, bool):
            return self._known if exclude_seen else None
        raise MMRecError(
            f"exclude_seen={exclude_seen!r} is not among True, 'known', 'train' and "
            f"False: choose one of them"
        )


def _check_k(k: int) -> None:
    if not isinstance(k, (int, np.integer)) or k < 1:
        raise MMRecError(f"'k' needs to be a positive integer (got {k!r})")
