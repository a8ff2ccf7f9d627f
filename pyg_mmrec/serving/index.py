"""Recommendations by raw ids, without the training set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from pyg_mmrec.serving.extension import Content, Extension, Vectors, content_of
from pyg_mmrec.serving.filters import columns_of
from pyg_mmrec.serving.lists import Exclude, Lists
from pyg_mmrec.training import checkpoint
from pyg_mmrec.training.schema import check_index


class Index(Lists):
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

    added: Content | None = None  # features of the items that joined, the last ones
    extension: Extension | None = None  # the model, for what it has not seen

    @classmethod
    def build(
        cls,
        rows: Branch,
        data: HeteroData,
        dataset: Dataset,
        model: Recommender | None = None,
        cold_ids: str = "alike",
    ) -> Index:
        """The index of a trained model, with the ids of its data set.

        Args:
            rows: Its final embeddings.
            data: The graph that it was trained on.
            dataset: The data set.
            model: The model, for what it has not seen; without, nothing can join.
            cold_ids: As of :class:`~pyg_mmrec.TrainConfig`.
        """
        index = cls(
            rows,
            train_edges(data),
            dataset.user_ids[: int(data[USER].num_nodes)],
            dataset.item_ids,
            dataset.item_titles,
            _held_out(data),
        )
        return index if model is None else index.with_model(model, data, cold_ids)

    def with_model(
        self, model: Recommender, data: HeteroData, cold_ids: str = "alike"
    ) -> Index:
        """The same index with the model that made it, so that others can join.

        Args:
            model: The model.
            data: The graph that it was trained on, with its relations.
            cold_ids: As of :class:`~pyg_mmrec.TrainConfig`.

        Raises:
            MMRecError: If the graph has other items than the index.
        """
        other = self._replaced()
        extension = Extension.of(model, data, cold_ids)
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
        index = cls(
            Branch(state["user"], state["item"]),
            state["seen"],
            ids_from_json(state["user_ids"]),
            ids_from_json(state["item_ids"]),
            state["item_titles"],
            state["held_out"],
            state.get("item_columns"),
        )
        if state.get("added"):
            index.added = Content(**state["added"])
        return index

    def _replaced(self, **parts: Any) -> Index:
        """Another index, with some parts in the place of its own."""
        kept = {
            name: getattr(self, name)
            for name in (
                *("rows", "seen", "user_ids", "item_ids", "item_titles", "held_out"),
                "item_columns",
            )
        }
        other = type(self)(**{**kept, **parts})
        other.added, other.extension = self.added, self.extension
        return other

    def with_columns(self, table: pd.DataFrame) -> Index:
        """The same index with more columns of its items, for ``where``.

        Args:
            table: A column ``item`` of raw ids, and one of each kind of value; of items
                that it lacks stays what was known.

        Raises:
            MMRecError: See :func:`~pyg_mmrec.serving.filters.columns_of`.
        """
        columns, none = dict(self.item_columns), [None] * len(self.item_ids)
        for name, values in columns_of(table, self.item_ids).items():
            both = zip(columns.get(name, none), values, strict=True)
            columns[name] = [old if new is None else new for old, new in both]
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
        :func:`~pyg_mmrec.training.likeness.item_fill`; then the method runs. Nothing
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
        if isinstance(ids, str):
            raise MMRecError(f"a list of ids is expected, one an item (got {ids!r})")
        ids = list(ids)
        items = self.items.joined(ids, titles, columns)
        content = content_of(extension.data, features, ids)
        if not ids:
            return self
        extension, rows = extension.with_items(content)
        other = self._replaced(
            rows=Branch(self.rows.user, torch.cat([self.rows.item, rows])),
            item_ids=items.ids,
            item_titles=items.titles,
            item_columns=items.columns,
        )
        other.added, other.extension = extension.added, extension
        return other

    def placed_users(self, histories: list[Tensor]) -> Tensor:
        """Final embeddings of users who were not there in training, ``[n, d]``."""
        what = "new user can be placed but by fold_in='mean'"
        return self._with_extension(what).user_rows(histories)

    def _with_extension(self, what: str) -> Extension:
        if self.extension is None:
            raise MMRecError(
                f"this index has no model, without which no {what}: open the run's "
                f"folder by pyg_mmrec.load_run(folder).index"
            )
        return self.extension


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
