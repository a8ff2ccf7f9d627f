"""What the parts of a checkpoint have to look like before anything is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pyg_mmrec.errors import MMRecError

Kinds = type | tuple[type, ...]


def check_fields(state: Any, fields: Mapping[str, Kinds], where: str) -> None:
    """Refuse a mapping that lacks a field, or has one of another type.

    Args:
        state: The mapping.
        fields: Types by name; others are not looked at.
        where: What it is, at the beginning of a sentence.

    Raises:
        MMRecError: Naming the field.
    """
    check_type(state, dict, where)
    for name, kinds in fields.items():
        if name not in state:
            raise MMRecError(
                f"{where} has no {name!r}, so it is damaged or of another version: "
                f"train again, or name another file"
            )
        check_type(state[name], kinds, f"{name!r} of {where}")


def check_type(value: Any, kinds: Kinds, where: str) -> None:
    """Refuse a value of another type; a truth value is no number.

    Raises:
        MMRecError: Naming what was expected and found.
    """
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    if not isinstance(value, kinds) or (type(value) is bool and bool not in kinds):
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise _wrong(where, f"{expected} is expected, not {type(value).__name__}")


def check_tensors(found: Any, expected: Mapping[str, Tensor], where: str) -> None:
    """Refuse tensors that are not of the expected names, shapes and types.

    Args:
        found: Tensors by name.
        expected: Those in whose place they are to come.
        where: What they are.

    Raises:
        MMRecError: Naming the first that differs.
    """
    check_type(found, dict, where)
    for name in (*expected, *found):
        if name not in found or name not in expected:
            raise _wrong(where, f"{name!r} is in one of it and the model alone")
    for name, tensor in expected.items():
        check_like(found[name], tensor, f"{name!r} of {where}")


def check_like(found: Any, expected: Tensor, where: str) -> None:
    """Refuse what is not a tensor of the same shape and type.

    Raises:
        MMRecError: Naming both.
    """
    check_type(found, Tensor, where)
    if found.layout != torch.strided or found.dtype != expected.dtype:
        raise _wrong(where, f"{expected.dtype} is expected, not {found.dtype}")
    if found.shape != expected.shape:
        shapes = tuple(expected.shape), tuple(found.shape)
        raise _wrong(where, f"shape {shapes[0]} is expected, not {shapes[1]}")


def check_index(state: Any) -> None:
    """Refuse what is no index as :meth:`Index.to_tensors` takes it apart.

    Raises:
        MMRecError: Naming the part.
    """
    where = "the index of the checkpoint"
    fields: dict[str, Kinds] = {
        "user": Tensor,
        "item": Tensor,
        "seen": Tensor,
        "held_out": Tensor,
        "user_ids": (int, list),
        "item_ids": (int, list),
        "item_titles": (list, type(None)),
    }
    check_fields(state, fields, where)
    user, item = state["user"], state["item"]
    for name, rows in (("user", user), ("item", item)):
        numbers = rows.layout == torch.strided and rows.is_floating_point()
        if not numbers or rows.dim() != 2:
            raise _wrong(f"{name!r} of {where}", "rows of numbers are expected")
    if user.size(1) != item.size(1):
        raise _wrong(
            where, f"users have {user.size(1)} columns and items {item.size(1)}"
        )
    for name in ("seen", "held_out"):
        _check_pairs(state[name], (user.size(0), item.size(0)), f"{name!r} of {where}")
    for name in ("user_ids", "item_ids"):
        if isinstance(state[name], list):
            for each in state[name]:
                check_type(each, (str, int), f"{name!r} of {where}")
    for title in state["item_titles"] or ():
        check_type(title, str, f"'item_titles' of {where}")
    _check_more(state, item.size(0), where)


def _check_more(state: Mapping[str, Any], num_items: int, where: str) -> None:
    """Refuse odd columns of items and odd features of those that were added."""
    columns, added = state.get("item_columns") or {}, state.get("added") or {}
    check_type(columns, dict, f"'item_columns' of {where}")
    for name, values in columns.items():
        check_type(values, list, f"{name!r} of {where}")
        if len(values) != num_items:
            raise _wrong(f"{name!r} of {where}", f"{num_items} values are expected")
    check_type(added, dict, f"'added' of {where}")
    if added:
        check_fields(added, {"x": dict, "present": dict}, f"'added' of {where}")
        for part in added["x"], added["present"]:
            for name, rows in part.items():
                check_type(rows, Tensor, f"{name!r} added in {where}")
        if set(added) != {"x", "present"} or set(added["x"]) != set(added["present"]):
            raise _wrong(f"'added' of {where}", "features and masks are expected")


def _check_pairs(pairs: Any, sizes: tuple[int, int], where: str) -> None:
    check_type(pairs, Tensor, where)
    if pairs.layout != torch.strided or pairs.dtype != torch.long:
        raise _wrong(where, "pairs of users and items are expected")
    if pairs.dim() != 2 or pairs.size(0) != 2:
        raise _wrong(where, "pairs of users and items are expected")
    for ids, size in zip(pairs, sizes, strict=True):
        if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < size:
            raise _wrong(where, "it names rows that there are not")


def _wrong(where: str, reason: str) -> MMRecError:
    return MMRecError(
        f"{where} is not as it was written ({reason}): train again, or name another "
        f"file"
    )
