"""Train, validation and test interactions out of all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform, Compose

from pyg_mmrec.blocks import blocks
from pyg_mmrec.errors import MMRecError, spelled, unknown
from pyg_mmrec.graph import INTERACTS, ITEM, USER, keep_interactions
from pyg_mmrec.transforms.checks import check_choice, check_unsplit, interactions
from pyg_mmrec.transforms.k_core import KCore

Method = Literal["random", "time", "global-time", "leave-one-out", "cold"]
METHODS: tuple[str, ...] = get_args(Method)
_SHARES = (0.8, 0.1, 0.1)
_PARTS = ("method", "ratios", "seed", "k_core")
_ONE_EACH = (1.0, 1e-12, 1e-12)  # however small a share is, one is held out
TRAIN, VAL, TEST = range(3)


class Split(BaseTransform):
    r"""Splits all interactions into train, validation and test.

    Of the :math:`n_u` interactions of a user, :math:`\max(1, \lfloor r_{test}\, n_u
    \rfloor)` are for test and :math:`\max(1, \lfloor r_{val}\, n_u \rfloor)` for
    validation, as long as one remains for train: a user with one interaction only
    trains, one with two trains and tests.

    * ``"random"``: each user's are drawn at random.
    * ``"time"``: each user's last ones (by ``time`` of the interactions, equal times
      in stored order) are for test, those before them for validation.
    * ``"leave-one-out"``: each user's last one is for test and the one before it for
      validation, whatever their number; drawn at random where there is no ``time``.
    * ``"global-time"``: the same two moments for all users. Test begins where the last
      share :math:`r_{test}` of all interactions does, validation where
      :math:`r_{val}` more do, each with all interactions of that moment; so nothing
      that is trained on is later than what is held out. A user who comes after the
      first moment has no train interaction, and evaluation leaves such users out.
    * ``"cold"``: whole items are held out: shares :math:`r_{val}` and
      :math:`r_{test}` of the items that have interactions. Items whose user would be
      left without train interactions return to train, so the shares are upper
      bounds on small data.

    Afterwards ``edge_index`` of both directions holds train interactions only, in
    their order before, with their attributes such as ``time`` and ``rating``;
    ``val_label_index`` and ``test_label_index`` hold the others. Every interaction
    ends in exactly one part, and every user that has any keeps one in train but for
    ``"global-time"``.

    **Shapes:** ``edge_index`` :math:`(2, E)` becomes :math:`(2, E_{train})`,
    ``val_label_index`` :math:`(2, E_{val})`, ``test_label_index`` :math:`(2,
    E_{test})`.

    Args:
        method: ``"random"``, ``"time"``, ``"global-time"``, ``"leave-one-out"`` or
            ``"cold"``.
        ratios: Shares of train, validation and test, (0.8, 0.1, 0.1) if ``None``; a
            share of 0 leaves the part empty; ``"leave-one-out"`` takes none.
        seed: Seed of the draw; a split by time needs none. The draw is made on the
            CPU: a seed means the same split on every device.

    Raises:
        MMRecError: For ratios that do not sum to 1 or are of no use, repeated
            interactions, a missing ``time``, interactions that were split before,
            relations that were derived before the split, and a part that stays empty.

    Example:
        >>> from pyg_mmrec import Split, Synthetic
        >>> cold = Split("cold", ratios=(0.7, 0.1, 0.2))
        >>> data = Synthetic(num_users=50, num_items=40, split=cold)[0]
        >>> edges = data["user", "interacts", "item"]
        >>> held_out = set(edges.test_label_index[1].tolist())
        >>> held_out & set(edges.edge_index[1].tolist())
        set()
    """

    def __init__(
        self,
        method: Method = "random",
        ratios: tuple[float, float, float] | None = None,
        seed: int = 0,
    ) -> None:
        check_choice("'method' of Split", method, METHODS)
        if method == "leave-one-out" and ratios is not None:
            raise MMRecError(
                f"the split 'leave-one-out' holds out one interaction for each part, "
                f"so shares are of no use (got {ratios}): leave {spelled('ratios')} "
                f"out, or split by 'time'"
            )
        self.method = method
        usual = _ONE_EACH if method == "leave-one-out" else _SHARES
        self.ratios = _checked(usual if ratios is None else ratios)
        self.seed = seed

    def forward(self, data: HeteroData) -> HeteroData:
        """Split the interactions."""
        edges = interactions("Split", data)
        check_unsplit("Split", data)
        _check_unique(edges, int(data[ITEM].num_nodes))
        part = self._part(data, edges.cpu()).to(edges.device)
        self._check_parts(part)
        val, test = edges[:, part == VAL], edges[:, part == TEST]
        keep_interactions(data, part == TRAIN, val, test)
        return data

    def _part(self, data: HeteroData, edges: Tensor) -> Tensor:
        """Part of each interaction, ``[E]``."""
        if self.method == "global-time":
            return by_moment(_time(data, self.method), self.ratios)
        timed = self.method == "leave-one-out" and "time" in data[INTERACTS]
        if timed or self.method == "time":
            return by_user(edges[0], _time(data, self.method), self.ratios)
        generator = torch.Generator().manual_seed(self.seed)
        if self.method in ("random", "leave-one-out"):
            # A permutation has no equal keys.
            keys = torch.randperm(edges.size(1), generator=generator)
            return by_user(edges[0], keys, self.ratios)
        keys = torch.randperm(int(data[ITEM].num_nodes), generator=generator)
        return by_item(edges, keys, int(data[USER].num_nodes), self.ratios)

    def _check_parts(self, part: Tensor) -> None:
        sizes = torch.bincount(part, minlength=3).tolist()
        for name, size, ratio in zip(
            ("train", "validation", "test"), sizes, self.ratios, strict=True
        ):
            if size == 0 and ratio > 0:
                raise MMRecError(
                    f"'Split' left the {name} part empty ({part.numel()} interactions, "
                    f"{self}): give users more interactions, e.g. by KCore, or change "
                    f"the ratios"
                )

    def __repr__(self) -> str:
        ratios = "" if self.ratios == _ONE_EACH else f"ratios={self.ratios}, "
        return (
            f"{type(self).__name__}(method={self.method!r}, {ratios}seed={self.seed})"
        )


def split_from(told: Mapping[str, Any], seed: int = 0) -> BaseTransform:
    """A split from plain values, which a file can hold.

    Args:
        told: ``"method"``, ``"ratios"`` and ``"seed"`` of :class:`Split`, and
            ``"k_core"`` for a :class:`KCore` before it; each may be left out.
        seed: Seed of the split, if it is left out.

    Raises:
        MMRecError: For a name that is none of these, and for the seed of a split by
            time, which draws nothing.

    Example:
        >>> from pyg_mmrec.transforms import split_from
        >>> split_from({"method": "time", "ratios": (0.7, 0.1, 0.2), "k_core": 5})
        Compose([
          KCore(k=5),
          Split(method='time', ratios=(0.7, 0.1, 0.2), seed=0)
        ])
    """
    for name in told:
        if name not in _PARTS:
            raise unknown("part of 'split'", name, _PARTS)
    values = {k: v for k, v in told.items() if k != "k_core"}
    if "seed" in told and told.get("method") in ("time", "global-time"):
        raise MMRecError(
            f"a split by {told['method']!r} draws nothing, so a seed is of no use "
            f"(got {told['seed']}): leave it (--split-seed) out"
        )
    split = Split(**{"seed": seed, **values})
    if "k_core" not in told:
        return split
    return Compose([KCore(told["k_core"]), split])


def by_user(user: Tensor, keys: Tensor, ratios: tuple[float, float, float]) -> Tensor:
    """Split each user's interactions in the order of their keys.

    Args:
        user: User of each interaction, ``[E]``.
        keys: Order within the user: train first, test last, ``[E]``.
        ratios: Shares of train, validation and test.

    Returns:
        Part of each interaction, ``[E]``.
    """
    part = torch.empty(user.numel(), dtype=torch.int8)
    for rows in blocks(user, int(user.max()) + 1 if user.numel() else 0):
        part[rows] = _by_user(user[rows], keys[rows], ratios)
    return part


def _by_user(user: Tensor, keys: Tensor, ratios: tuple[float, float, float]) -> Tensor:
    order = keys.argsort(stable=True)
    order = order[user[order].argsort(stable=True)]
    count = torch.bincount(user)
    first = count.cumsum(0) - count
    sorted_user = user[order]
    rank = torch.arange(user.numel()) - first[sorted_user]
    test = _held_out(count, ratios[TEST], count - 1)
    val = _held_out(count, ratios[VAL], count - 1 - test)
    left = count[sorted_user] - rank  # from here to the user's last
    sorted_part = torch.full_like(user, TRAIN, dtype=torch.int8)
    sorted_part[left <= (test + val)[sorted_user]] = VAL
    sorted_part[left <= test[sorted_user]] = TEST
    return torch.empty_like(sorted_part).index_copy_(0, order, sorted_part)


def by_moment(time: Tensor, ratios: tuple[float, float, float]) -> Tensor:
    """Split all interactions at two moments.

    Args:
        time: Time of each interaction, ``[E]``.
        ratios: Shares of train, validation and test; those of a moment stay together,
            so validation and test may be larger.

    Returns:
        Part of each interaction, ``[E]``.
    """
    count = torch.tensor([time.numel()])
    test = int(_held_out(count, ratios[TEST], count - 1))
    val = int(_held_out(count, ratios[VAL], count - 1 - test))
    part = torch.full((time.numel(),), TRAIN, dtype=torch.int8)
    moments = time.numpy()
    for held_out, name in ((test + val if val else 0, VAL), (test, TEST)):
        if held_out:
            first = np.partition(moments, -held_out)[-held_out]
            part[torch.from_numpy(moments >= first)] = name
    return part


def by_item(
    edges: Tensor, keys: Tensor, num_users: int, ratios: tuple[float, float, float]
) -> Tensor:
    """Hold out whole items in the order of their keys.

    Args:
        edges: Interactions (user, item), ``[2, E]``.
        keys: Order of the items: test first, then validation, ``[I]``.
        num_users: Number of users ``U``.
        ratios: Shares of train, validation and test.

    Returns:
        Part of each interaction, ``[E]``.
    """
    item = edges[1]
    used = torch.bincount(item, minlength=keys.numel()) > 0
    order = keys.argsort()
    order = order[used[order]]
    count = torch.tensor([order.numel()])
    test = int(_held_out(count, ratios[TEST], count - 1))
    val = int(_held_out(count, ratios[VAL], count - 1 - test))
    part = torch.full_like(keys, TRAIN, dtype=torch.int8)
    part[order[:test]] = TEST
    part[order[test : test + val]] = VAL
    part[_needed(edges, part, keys, num_users)] = TRAIN
    return part[item]


def _needed(edges: Tensor, part: Tensor, keys: Tensor, num_users: int) -> Tensor:
    """Held-out items, one for each user that has no other: its last by key."""
    user, item = edges
    trains = torch.zeros(num_users, dtype=torch.bool)
    trains[user[part[item] == TRAIN]] = True
    without = ~trains[user]
    best = keys.new_full((num_users,), -1).scatter_reduce_(
        0, user[without], keys[item[without]], "amax"
    )
    return keys.argsort()[best[best >= 0]]


def _held_out(count: Tensor, ratio: float, at_most: Tensor) -> Tensor:
    """How many of a count to hold out: at least one where possible."""
    if ratio == 0:
        return torch.zeros_like(count)
    # 0.29 * 100 is 28.999999999999996.
    share = (count.double() * ratio + 1e-9).floor().long().clamp(min=1)
    return torch.minimum(share, at_most.clamp(min=0))


def _checked(ratios: tuple[float, float, float]) -> tuple[float, float, float]:
    values = tuple(float(r) for r in ratios)
    if (
        len(values) != 3
        or min(values) < 0
        or values[0] == 0
        or abs(sum(values) - 1) > 1e-6
    ):
        raise MMRecError(
            f"'ratios' needs to be three shares (train, validation, test) of sum 1, "
            f"with a positive train share, in 'Split' (got {ratios}): write e.g. "
            f"(0.8, 0.1, 0.1)"
        )
    return values


def _check_unique(edges: Tensor, num_items: int) -> None:
    repeated = 0
    for rows in blocks(edges[0], int(edges[0].max()) + 1):
        user, item = edges[:, rows]
        pair = user * num_items + item
        repeated += pair.numel() - pair.unique().numel()
    if repeated:
        raise MMRecError(
            f"'Split' found {repeated} of {edges.size(1)} interactions repeated, and a "
            f"repeated one could be in train and in test: keep one per user and item"
        )


def _time(data: HeteroData, method: str) -> Tensor:
    store = data[INTERACTS]
    time = store.get("time")
    if not isinstance(time, Tensor) or time.shape != store.edge_index.shape[1:]:
        found = "none" if time is None else f"shape {list(getattr(time, 'shape', []))}"
        raise MMRecError(
            f"Split(method={method!r}) needs data['user', 'interacts', 'item'].time "
            f"with one number per interaction (found: {found}): add it, or choose "
            f"method='random'"
        )
    if time.is_floating_point() and not bool(time.isfinite().all()):
        raise MMRecError(
            f"Split(method={method!r}) found NaN or infinite values in the time of "
            f"interactions: correct them or drop those interactions"
        )
    return time.cpu()
