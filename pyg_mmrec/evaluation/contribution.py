"""Which users a method serves by one modality, and which by all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch_geometric.data import HeteroData

from pyg_mmrec.embeddings import Branch
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.evaluation.evaluator import Evaluator
from pyg_mmrec.parallel.processes import Ranks

if TYPE_CHECKING:
    from pyg_mmrec.methods.base import Recommender


def modality_contribution(
    model: Recommender,
    data: HeteroData,
    k: int = 20,
    split: str = "test",
    chunk_size: int | None = None,
    candidates: str = "all",
) -> pd.DataFrame:
    """Sorts users by what finds a held-out item of theirs within the first ``k``.

    Ranked are all items but those of the user's train interactions, as by
    :class:`~pyg_mmrec.Evaluator`: by the branch of each modality, and by
    the final embeddings (the fusion). Each evaluated user is in one category:

    - ``unique_<m>``: found by the branch of ``m`` alone, and
      ``unique_<m>_fused``: by the fusion as well;
    - ``synergy``: by the fusion, and by no branch;
    - ``redundant``: by all branches and the fusion;
    - ``degradation``: by all branches, but not by the fusion;
    - ``partial``, ``partial_fused``: by some branches out of three or more;
    - ``missed``: by none.

    With one modality, its branch counts as all branches. The analysis of BR-MRS
    names those found by one branch only, ``synergy``, ``redundant`` and
    ``degradation``.

    Args:
        model: A method with branches: ``"modal"`` or ``"feats"``.
        data: The graph that it was trained on.
        k: Cut-off.
        split: ``"val"`` or ``"test"``.
        chunk_size: Users ranked at a time, see :class:`Evaluator`.
        candidates: Which items are ranked, as there.

    Returns:
        A row per category; columns ``users`` and ``share``, which sums to 1.

    Raises:
        MMRecError: If the method has no branches.

    Example:
        >>> from pyg_mmrec import Synthetic, build, modality_contribution
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> trainer = build(data, "freedom", epochs=1, progress=False)
        >>> _ = trainer.fit()
        >>> table = modality_contribution(trainer.model, trainer.data, k=10)
        >>> table.index.tolist()
        ['unique_image', 'unique_text', 'unique_image_fused', 'unique_text_fused',
         'synergy', 'redundant', 'degradation', 'missed']
        >>> int(table["users"].sum())
        50
    """
    branches = model_branches(model, data)
    evaluator = Evaluator(
        data,
        split,
        ks=(k,),
        metrics=("hit_rate",),
        chunk_size=chunk_size,
        candidates=candidates,
    )
    hits = [
        evaluator.per_user(rows)[f"hit_rate@{k}"].to_numpy() > 0
        for rows in (*branches.values(), model.rows(data))
    ]
    table = categories(np.stack(hits[:-1]), hits[-1], list(branches))
    return table.assign(share=table["users"] / evaluator.num_users)


def branch_recalls(
    model: Recommender,
    data: HeteroData,
    split: str,
    ks: Sequence[int],
    candidates: str = "all",
    ranks: Ranks | None = None,
) -> dict[str, dict[str, float]]:
    """Recall of each modality's branch, by itself; none for a method without branches.

    Args:
        model: A method.
        data: The graph that it was trained on.
        split: ``"val"`` or ``"test"``.
        ks: Cut-offs.
        candidates: Which items are ranked.
        ranks: The processes that share out the ranking; this one alone if ``None``.

    Returns:
        ``recall@k`` for each cut-off, by modality.
    """
    if not model.provides & {"modal", "feats"}:
        return {}
    evaluator = Evaluator(
        data, split, ks, ("recall",), candidates=candidates, ranks=ranks
    )
    branches = model_branches(model, data)
    return {m: evaluator(branch) for m, branch in branches.items()}


@torch.no_grad()
def model_branches(model: Recommender, data: HeteroData) -> dict[str, Branch]:
    """A model's branches for all users and items, in evaluation mode.

    Raises:
        MMRecError: If it has none.
    """
    training = model.training
    branches = model.eval()(data).branches
    model.train(training)
    if not branches:
        raise MMRecError(
            f"the method {model.name!r} has no branches by modality, so what each "
            f"contributes is unknown: choose one that provides 'modal' or 'feats'"
        )
    return {m: branch.dense() for m, branch in branches.items()}


def categories(
    found: NDArray[np.bool_], fused: NDArray[np.bool_], names: Sequence[str]
) -> pd.DataFrame:
    """Users per category of :func:`modality_contribution`.

    Args:
        found: Whether each modality's branch served the user, ``[M, U]``.
        fused: Whether the fusion did, ``[U]``.
        names: Modalities, ``M``.

    Returns:
        A row per category that ``M`` modalities can give; column ``users``.
    """
    unique = [(f"unique_{m}", f"unique_{m}_fused") for m in names]
    # By the branches that served a user: one, none, some or all; by the fusion.
    labels = [*unique, ("missed", "synergy"), ("partial", "partial_fused")]
    labels.append(("degradation", "redundant"))
    none, some, every = range(len(names), len(labels))
    count = found.sum(axis=0)
    row = np.select(
        [count == len(names), count == 0, count == 1],
        [every, none, found.argmax(axis=0)],
        some,
    )
    users = np.bincount(2 * row + fused, minlength=2 * len(labels))
    flat = [label for pair in labels for label in pair]
    table = pd.Series(users, pd.Index(flat, name="category"), name="users")
    return table[_order(names)].to_frame()


def _order(names: Sequence[str]) -> list[str]:
    """Categories that this number of modalities can give, in the order shown."""
    alone = names if len(names) > 1 else ()
    some = ["partial", "partial_fused"] if len(names) > 2 else []
    unique = [f"unique_{m}{end}" for end in ("", "_fused") for m in alone]
    return [*unique, "synergy", "redundant", "degradation", *some, "missed"]
