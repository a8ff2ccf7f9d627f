"""Recommendations by raw ids, without the training set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.datasets import Dataset
from pyg_mmrec.datasets.ids import ids_from_json, ids_to_json, plain, same_kind
from pyg_mmrec.embeddings import Branch
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.files import replacing
from pyg_mmrec.graph import INTERACTS, USER, train_edges
from pyg_mmrec.ranking.rows import Ragged, best_columns, top_k
from pyg_mmrec.serving.exports import bad_suffix, write_table
from pyg_mmrec.training import checkpoint
from pyg_mmrec.training.schema import check_index

_CHUNK = 256
Exclude = bool | Literal["known", "train"]


class Index:
    """Final embeddings, what each user is known to have taken, and raw ids.

    What is known are all interactions of the data set, those that were held out for
    validation and test as well: a user has those items too.

    Args:
        rows: Final embeddings, ``[U, d]`` and ``[I, d]``.
        seen: Train interactions (user, item), ``[2, E]``.
        user_ids: Raw ids of users; position = internal id.
        item_ids: Raw ids of items.
        item_titles: A title per item, or ``None``.
        held_out: Interactions of validation and test, ``[2, n]``; none if ``None``.

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
    ) -> None:
        self.rows = Branch(rows.user.cpu(), rows.item.cpu())
        self.seen = seen.cpu()
        self.held_out = self.seen[:, :0] if held_out is None else held_out.cpu()
        self.user_ids = user_ids
        self.item_ids = item_ids
        self.item_titles = item_titles
        _check_ids("user", user_ids, self.rows.user)
        _check_ids("item", item_ids, self.rows.item)
        if item_titles is not None:
            _check_count("item titles", len(item_titles), self.rows.item)
        known = torch.cat([self.seen, self.held_out], dim=1)
        self._known = Ragged(known, len(user_ids))
        self._trained = Ragged(self.seen, len(user_ids))

    @classmethod
    def build(cls, rows: Branch, data: HeteroData, dataset: Dataset) -> Index:
        """The index of a trained model, with the ids of its data set."""
        return cls(
            rows,
            train_edges(data),
            dataset.user_ids[: int(data[USER].num_nodes)],
            dataset.item_ids,
            dataset.item_titles,
            _held_out(data),
        )

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
        )

    def recommend(
        self, users: Sequence[Any] | Any, k: int = 10, exclude_seen: Exclude = True
    ) -> pd.DataFrame:
        """The best items of each user.

        Args:
            users: Raw ids, or one.
            k: Items a user.
            exclude_seen: Leave out all that the user is known to have (``True`` or
                ``"known"``: train, validation and test), only what the model was
                trained on (``"train"``, as in evaluation), or nothing (``False``).

        Returns:
            Columns ``user``, ``rank`` (from 1), ``item``, ``score`` and, where
            known, ``title``. A user who has all but few items gets those few.

        Raises:
            MMRecError: For an unknown user or ``k`` below 1.
        """
        codes = self._codes("user", users, self.user_ids)
        return pd.concat(self._ranked(codes, k, exclude_seen), ignore_index=True)

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
        code = self._code("item", item, self.item_ids)
        x = torch.nn.functional.normalize(self.rows.item, dim=-1)
        score = (x @ x[code]).unsqueeze(0)
        score[0, code] = float("-inf")
        values, items = best_columns(score, min(k, len(x) - 1))
        frame = pd.DataFrame(
            {"item": self.item_ids[items[0].numpy()], "score": values[0].numpy()}
        )
        return self._with_titles(frame, items[0])

    def history(self, user: Any) -> pd.DataFrame:
        """All that a user is known to have: ``item`` and, where known, ``title``.

        Train interactions come first, then those of validation and test.
        """
        code = self._code("user", user, self.user_ids)
        items = self._known.of(torch.tensor([code]))[1]
        return self._with_titles(
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
            codes = self._codes("user", users, self.user_ids)
        ranked = self._ranked(codes, k, exclude_seen)
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
        path = Path(path)
        if path.suffix == ".npz":
            self._write_arrays(path)
        elif path.suffix == ".parquet":
            write_table(self._embedding_tables(), path)
        elif path.suffix and not path.is_dir():
            raise bad_suffix(path, ".npz or .parquet, or be a folder")
        else:
            for name, ids, rows in self._sides():
                frame = pd.DataFrame({name: ids, "embedding": list(rows.numpy())})
                write_table([frame], path / f"{name}s.parquet")

    def _sides(self) -> tuple[tuple[str, pd.Index, Tensor], ...]:
        return (
            ("user", self.user_ids, self.rows.user),
            ("item", self.item_ids, self.rows.item),
        )

    def _write_arrays(self, path: Path) -> None:
        arrays = {}
        for name, ids, rows in self._sides():
            arrays[name] = rows.numpy()
            # Text of fixed width: arrays of objects are only read by unpickling.
            number = pd.api.types.is_numeric_dtype(ids.dtype)
            values = ids.to_numpy() if number else np.array(ids.tolist())
            arrays[f"{name}_ids"] = values
        with replacing(path) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    def _embedding_tables(self) -> Iterator[pd.DataFrame]:
        same = len({type(i) for i in chain(self.user_ids, self.item_ids)}) == 1
        for name, ids, rows in self._sides():
            shown = ids.tolist() if same else [str(i) for i in ids.tolist()]
            embedding = list(rows.numpy())
            yield pd.DataFrame({"kind": name, "id": shown, "embedding": embedding})

    def _ranked(
        self, users: Tensor, k: int, exclude_seen: Exclude
    ) -> Iterator[pd.DataFrame]:
        _check_k(k)
        exclude = self._excluded(exclude_seen)
        for chunk in users.split(_CHUNK):
            scores, items = top_k(self.rows, chunk, k, exclude)
            width = scores.size(1)
            flat = items.flatten()
            frame = pd.DataFrame(
                {
                    "user": self.user_ids[chunk.repeat_interleave(width).numpy()],
                    "rank": torch.arange(1, width + 1).repeat(len(chunk)).numpy(),
                    "item": self.item_ids[flat.numpy()],
                    "score": scores.flatten().numpy(),
                }
            )
            frame = self._with_titles(frame, flat)
            yield frame[frame["score"] > float("-inf")]

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

    def _with_titles(self, frame: pd.DataFrame, items: Tensor) -> pd.DataFrame:
        if self.item_titles is not None:
            frame["title"] = [self.item_titles[i] for i in items.tolist()]
        return frame

    def _code(self, kind: str, raw: Any, index: pd.Index) -> int:
        if isinstance(raw, Iterable) and not isinstance(raw, (str, tuple)):
            raise MMRecError(
                f"one {kind} id is needed here (got {raw!r}): ask for each by itself"
            )
        return int(self._codes(kind, [raw], index)[0])

    @staticmethod
    def _codes(kind: str, ids: Any, index: pd.Index) -> Tensor:
        """Internal ids of raw ids, ``[n]``."""
        if isinstance(ids, str) or not hasattr(ids, "__iter__"):
            ids = [ids]
        ids = list(ids)
        left, right = pd.Index(ids), index
        if {left.dtype.kind, right.dtype.kind} <= set("iu"):
            left, right = same_kind(left, right)
        codes = right.get_indexer(left)
        for raw, code in zip(ids, codes, strict=True):
            if code < 0:
                raise _unknown_id(kind, raw, index)
        return torch.as_tensor(codes, dtype=torch.long)


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


def _check_count(what: str, count: int, rows: Tensor) -> None:
    if count != rows.size(0):
        raise MMRecError(
            f"there are {count} {what} for {rows.size(0)} rows of embeddings: give "
            f"one each"
        )


def _check_ids(kind: str, ids: pd.Index, rows: Tensor) -> None:
    _check_count(f"{kind} ids", len(ids), rows)
    if not ids.is_unique:
        raise MMRecError(
            f"the {kind} id {plain(ids[ids.duplicated()][0])!r} occurs twice, so it "
            f"names no row: give each {kind} an id of its own"
        )


def _unknown_id(kind: str, raw: Any, index: pd.Index) -> MMRecError:
    return MMRecError(
        f"there is no {kind} {raw!r} among the {len(index)} of the training data: "
        f"{_id_hint(raw, index)}"
    )


def _id_hint(raw: Any, index: pd.Index) -> str:
    """What would have been an id: the nearest one, or one of the right type."""
    if len(index) == 0:
        return "there are none at all"
    sample = index[:1].tolist()[0]
    known = type(sample).__name__
    if type(raw).__name__ != known:
        given = f"ids are of type {known}, such as {sample!r}"
        twins = index[index.astype(str) == str(raw)].tolist()
        return f"{given}, and there is {twins[0]!r}" if twins else given
    if isinstance(raw, str):
        near = get_close_matches(raw, index.tolist(), n=1)
        if near:
            return f"the nearest known id is {near[0]!r}"
    return f"known ids are such as {sample!r}"
