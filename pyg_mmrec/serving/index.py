"""Recommendations by raw ids, without the training set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.datasets import Dataset
from pyg_mmrec.datasets.ids import ids_from_json, ids_to_json
from pyg_mmrec.embeddings import Branch
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS, USER, train_edges
from pyg_mmrec.methods import Recommender
from pyg_mmrec.ranking.rows import Ragged, best_columns
from pyg_mmrec.serving.catalogue import Asked, Catalogue
from pyg_mmrec.serving.diversity import check_diversity
from pyg_mmrec.serving.exports import write_embeddings, write_table
from pyg_mmrec.serving.extension import Content, Extension, Vectors, content_of
from pyg_mmrec.serving.filters import Columns, Where, columns_of
from pyg_mmrec.serving.ids import check_ids, code_of, codes_of
from pyg_mmrec.training import checkpoint
from pyg_mmrec.training.schema import check_index

_CHUNK = 256
Exclude = bool | Literal["known", "train"]
FoldIn = Literal["model", "mean"]


class Index:
    """Final embeddings, what each user is known to have taken, and raw ids.

    What is known are all interactions of the data set, those that were held out for
    validation and test as well: a user has those items too.

    With its model, as :func:`~pyg_mmrec.load_run` and :func:`~pyg_mmrec.run` return it,
    it takes in items (:meth:`add_items`) and users (``recommend(history=...)``) that
    the training did not see. An index never changes: what is added makes another, so
    that one in use answers on while the next is made.

    Args:
        rows: Final embeddings, ``[U, d]`` and ``[I, d]``.
        seen: Train interactions (user, item), ``[2, E]``.
        user_ids: Raw ids of users; position = internal id.
        item_ids: Raw ids of items.
        item_titles: A title per item, or ``None``.
        held_out: Interactions of validation and test, ``[2, n]``; none if ``None``.
        item_columns: What else is known of items, a value each, by name.
        added: Features of the items that joined, the last ones; ``None`` for none.

    Raises:
        MMRecError: If an id occurs twice, or their number is not that of the rows.

    Example:
        >>> from pyg_mmrec import Index, Synthetic, build
        >>> dataset = Synthetic(num_users=50, num_items=40)
        >>> trainer = build(dataset, "lightgcn", epochs=1, progress=False)
        >>> _ = trainer.fit()
        >>> index = Index.build(trainer.model.rows(trainer.data), trainer.data, dataset)
        >>> index.recommend([7, 8], k=3).columns.tolist()
        ['user', 'rank', 'item', 'score', 'title']
        >>> len(index.recommend([7, 8], k=3))
        6
    """

    def __init__(
        self,
        rows: Branch,
        seen: Tensor,
        user_ids: pd.Index,
        item_ids: pd.Index,
        item_titles: list[str] | None = None,
        held_out: Tensor | None = None,
        item_columns: Columns | None = None,
        added: Content | None = None,
    ) -> None:
        self.rows = Branch(rows.user.cpu(), rows.item.cpu())
        self.seen = seen.cpu()
        self.held_out = self.seen[:, :0] if held_out is None else held_out.cpu()
        self.user_ids = user_ids
        self.added = added
        self.extension: Extension | None = None
        check_ids("user", user_ids, self.rows.user)
        columns = item_columns or {}
        self.items = Catalogue(self.rows.item, item_ids, item_titles, columns)
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

    @classmethod
    def build(
        cls,
        rows: Branch,
        data: HeteroData,
        dataset: Dataset,
        model: Recommender | None = None,
    ) -> Index:
        """The index of a trained model, with the ids of its data set.

        Args:
            rows: Its final embeddings.
            data: The graph that it was trained on.
            dataset: The data set.
            model: The model, for what it has not seen; without, nothing can join.
        """
        index = cls(
            rows,
            train_edges(data),
            dataset.user_ids[: int(data[USER].num_nodes)],
            dataset.item_ids,
            dataset.item_titles,
            _held_out(data),
        )
        return index if model is None else index.with_model(model, data)

    def with_model(self, model: Recommender, data: HeteroData) -> Index:
        """The same index with the model that made it, so that others can join.

        Args:
            model: The model.
            data: The graph that it was trained on, with its relations.

        Raises:
            MMRecError: If the graph has other items than the index.
        """
        other = self._replaced()
        extension = Extension.of(model, data)
        if self.added is not None:
            extension = replace(extension, added=self.added)
        count = extension.num_items
        if count != len(self.item_ids):
            raise MMRecError(
                f"the graph has {count} items and the index {len(self.item_ids)}: give "
                f"the graph that its model was trained on"
            )
        other.extension = extension
        return other

    @classmethod
    def load(cls, path: Path | str) -> Index:
        """The index in a checkpoint.

        Raises:
            MMRecError: If there is no such checkpoint, or its run did not finish.
        """
        state = checkpoint.load(path)
        if "index" not in state:
            raise MMRecError(
                f"{path} is of a run that has not finished, so it cannot recommend "
                f"yet: continue the run with --resume"
            )
        return cls.from_tensors(state["index"])

    def to_tensors(self) -> dict[str, Any]:
        """Tensors and JSON values for a checkpoint."""
        return {
            "user": self.rows.user,
            "item": self.rows.item,
            "seen": self.seen,
            "held_out": self.held_out,
            "user_ids": ids_to_json(self.user_ids),
            "item_ids": ids_to_json(self.item_ids),
            "item_titles": self.item_titles,
            "item_columns": self.item_columns,
            "added": {}
            if self.added is None
            else {"x": self.added.x, "present": self.added.present},
        }

    @classmethod
    def from_tensors(cls, state: Mapping[str, Any]) -> Index:
        """The index that :meth:`to_tensors` took apart.

        Raises:
            MMRecError: If a part is missing, or not what it has to be.
        """
        check_index(state)
        return cls(
            Branch(state["user"], state["item"]),
            state["seen"],
            ids_from_json(state["user_ids"]),
            ids_from_json(state["item_ids"]),
            state["item_titles"],
            state["held_out"],
            state.get("item_columns"),
            Content(**state["added"]) if state.get("added") else None,
        )

    def _replaced(self, **parts: Any) -> Index:
        """Another index, with some parts in the place of its own."""
        kept = {
            name: getattr(self, name)
            for name in (
                *("rows", "seen", "user_ids", "item_ids", "item_titles", "held_out"),
                *("item_columns", "added"),
            )
        }
        other = type(self)(**{**kept, **parts})
        other.extension = self.extension
        return other

    def with_columns(self, table: pd.DataFrame) -> Index:
        """The same index with more columns of its items, for ``where``.

        Args:
            table: A column ``item`` of raw ids, and one of each kind of value; items
                that it lacks have none.

        Raises:
            MMRecError: See :func:`~pyg_mmrec.serving.filters.columns_of`.
        """
        columns = {**self.item_columns, **columns_of(table, self.item_ids)}
        return self._replaced(item_columns=columns)

    def add_items(
        self,
        features: Vectors,
        ids: Sequence[Any],
        titles: Sequence[str] | None = None,
        columns: Mapping[str, Sequence[Any]] | None = None,
    ) -> Index:
        """Another index with items that were not there in training.

        They join the graph, with edges from the trained items that they resemble;
        what a method learned of an item's id they take from those, see
        :func:`~pyg_mmrec.serving.likeness.like_items`; then the method runs. Nothing
        leads from them to others: embeddings and scores of users and of all other
        items stay, and it is the same whether items come one by one or at once.

        Args:
            features: By modality, ``[n, d_m]`` or ``n`` vectors. A modality that is
                left out, ``None`` or zeros is missing; each item needs one.
            ids: Raw ids, ``n`` new ones.
            titles: Their titles; their ids if ``None``, where others have titles.
            columns: Values of columns that the index has; none if left out.

        Raises:
            MMRecError: If an id is known, features do not fit, the method reads none,
                or the index is without its model.

        Example:
            >>> from pyg_mmrec import Synthetic, run
            >>> dataset = Synthetic(num_users=50, num_items=40)
            >>> index = run(dataset, "freedom", epochs=1, progress=False).index
            >>> tonight = {"image": dataset[0]["item"].x_image[:1]}
            >>> index = index.add_items(tonight, [1000], ["Tonight's film"])
            >>> index.similar_items(1000, k=3).columns.tolist()
            ['item', 'score', 'title']
        """
        extension = self._with_extension("items can join")
        extension.model.check_new_items()
        ids = list(ids)
        items = self.items.joined(ids, titles, columns)
        if not ids:
            return self
        extension, rows = extension.with_items(
            content_of(extension.data, features, ids)
        )
        other = self._replaced(
            rows=Branch(self.rows.user, torch.cat([self.rows.item, rows])),
            item_ids=items.ids,
            item_titles=items.titles,
            item_columns=items.columns,
            added=extension.added,
        )
        other.extension = extension
        return other

    def _with_extension(self, what: str) -> Extension:
        if self.extension is None:
            raise MMRecError(
                f"this index has no model, without which no {what}: open the run's "
                f"folder by pyg_mmrec.load_run(folder).index"
            )
        return self.extension

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
                those who share items (:func:`~pyg_mmrec.serving.likeness.like_users`);
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
        history = list(history)
        several = bool(history) and all(
            isinstance(items, (list, tuple, set, frozenset, pd.Index))
            for items in history
        )
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
        what = "new user can be placed but by fold_in='mean'"
        return self._with_extension(what).user_rows(histories)

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


def recommend(
    source: Index | Path | str,
    users: Sequence[Any] | Any,
    k: int = 10,
    exclude_seen: Exclude = True,
) -> pd.DataFrame:
    """:meth:`Index.recommend` of an index or of the checkpoint at a path."""
    return _index(source).recommend(users, k, exclude_seen)


def export_topk(
    source: Index | Path | str,
    path: Path | str,
    k: int = 10,
    users: Sequence[Any] | None = None,
    exclude_seen: Exclude = True,
    escape_formulas: bool = True,
) -> None:
    """:meth:`Index.export_topk` of an index or of the checkpoint at a path."""
    _index(source).export_topk(path, k, users, exclude_seen, escape_formulas)


def export_embeddings(source: Index | Path | str, path: Path | str) -> None:
    """:meth:`Index.export_embeddings` of an index or of the checkpoint at a path."""
    _index(source).export_embeddings(path)


def _index(source: Index | Path | str) -> Index:
    return source if isinstance(source, Index) else Index.load(source)


def _held_out(data: HeteroData) -> Tensor:
    """Interactions of validation and test (user, item), ``[2, n]``."""
    keys = ("val_label_index", "test_label_index")
    parts = [data[INTERACTS][key] for key in keys if key in data[INTERACTS]]
    return torch.cat([train_edges(data)[:, :0], *parts], dim=1)


def _check_k(k: int) -> None:
    if k < 1:
        raise MMRecError(f"'k' needs to be a positive integer (got {k})")
