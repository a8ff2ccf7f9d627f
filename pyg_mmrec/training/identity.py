"""What an experiment is, so that no folder ever holds parts of two."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.config import default_values, to_dict
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS, ITEM, USER, modalities
from pyg_mmrec.methods import Recommender
from pyg_mmrec.objectives import Term
from pyg_mmrec.plugins import Origin, find, is_place, origin
from pyg_mmrec.training.config import TrainConfig, renamed
from pyg_mmrec.training.schema import Kinds, check_fields, check_type

# How long to train, where, and what to show may change between two sittings.
FREE = {"epochs", "patience", "device", "progress", "track", "ks", "metrics"}
# What runs did before there was an option whose default is to follow the data.
_BEFORE = {"candidates": "all"}
FIELDS: dict[str, Kinds] = {
    "method": str,
    "config": dict,
    "train_config": dict,
    "terms": dict,
    "data": dict,
}
_PLAIN = (bool, int, float, str, type(None))


def describe(
    model: Recommender,
    train_config: Any,
    terms: Iterable[Term],
    data: Mapping[str, str],
) -> dict[str, Any]:
    """An experiment as JSON values.

    Args:
        model: The method, with its hyper-parameters.
        train_config: How it is trained.
        terms: Its loss, with what plugs added.
        data: What :func:`data_parts` returned.
    """
    terms = list(terms)
    told = {
        "method": model.name,
        "config": to_dict(model.config),
        "train_config": to_dict(train_config),
        "terms": {term.name: _describe_term(term) for term in terms},
        "data": dict(data),
    }
    foreign = origins(model, terms)
    return {**told, "origins": foreign} if foreign else told


def origins(model: Recommender, terms: Iterable[Term]) -> dict[str, Origin]:
    """Where those parts come from that are none of this package.

    A layer counts by the text that names it; what these import does not count.
    """
    parts: dict[str, type] = {"method": type(model)}
    conv = getattr(model.config, "conv", None)
    if isinstance(conv, str) and is_place(conv):
        parts["layer"] = find(conv, nn.Module)
    parts |= {f"term {term.name}": type(term.objective) for term in terms}
    found = {name: origin(cls) for name, cls in parts.items()}
    return {name: told for name, told in found.items() if told is not None}


def _describe_term(term: Term) -> dict[str, Any]:
    """Class, weight and plain options of a term."""
    options = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in vars(term.objective).items()
        if name != "training" and not name.startswith("_") and _is_plain(value)
    }
    kind = type(term.objective).__name__
    return {"objective": kind, "weight": float(term.weight), "options": options}


def _is_plain(value: Any) -> bool:
    if type(value) in (tuple, list):
        return all(map(_is_plain, value))
    return type(value) in _PLAIN


def data_parts(data: HeteroData) -> dict[str, str]:
    """What a data set consists of, part by part: sizes, names, and digests.

    The order of train interactions counts, for batches are drawn from it; that of
    the others does not. Relations that a method adds are no part of it.

    Args:
        data: The graph.
    """
    store = data[INTERACTS]
    parts = {
        "number of users": str(data[USER].num_nodes),
        "number of items": str(data[ITEM].num_nodes),
        "train interactions": _digest(store.edge_index),
    }
    for split in ("val", "test"):
        edges = store.get(f"{split}_label_index")
        if edges is not None:
            keys = edges[0] * int(data[ITEM].num_nodes) + edges[1]
            parts[f"{split} interactions"] = _digest(keys.sort().values)
    for node in (ITEM, USER):
        names = modalities(data, node)
        parts[f"modalities of the {node}s"] = ", ".join(sorted(names))
        parts[f"order of the modalities of the {node}s"] = ", ".join(names)
        for name in names:
            parts[f"features of {name!r} of the {node}s"] = _digest(
                data[node][f"x_{name}"]
            )
            mask = data[node].get(f"mask_{name}")
            # A mask of nothing says what no mask does.
            if mask is not None and not bool(mask.all()):
                parts[f"mask of {name!r} of the {node}s"] = _digest(mask)
    return parts


def _digest(tensor: Tensor) -> str:
    digest = hashlib.sha256(f"{tensor.dtype}{tuple(tensor.shape)}|".encode())
    flat = tensor.detach().cpu().contiguous().flatten()
    digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]


def differing(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Names of the parts of data, see :func:`data_parts`, that are not as they were."""
    return [name for name in {**now, **then} if now.get(name) != then.get(name)]


def check_same_data(
    then: Mapping[str, str], now: Mapping[str, str], where: str, more: str = ""
) -> None:
    """Refuse other data.

    Args:
        then: Parts of the data that something was made from.
        now: Parts of the data at hand.
        where: What was made from them, at the beginning of a sentence.
        more: What else differs, which may be why.

    Raises:
        MMRecError: Naming the parts that differ.
    """
    differ = differing(then, now)
    if differ:
        raise MMRecError(
            f"{where} was made from other data (what differs: {', '.join(differ)}"
            f"{more}): "
            f"use the same data set, split and modalities, or another folder"
        )


def options_then(told: Mapping[str, Any], method: type[Recommender]) -> dict[str, Any]:
    """All options of a run by the names of today.

    One that is younger than the run was at its default then, unless its method tells
    what it did before.

    Args:
        told: What :func:`describe` told of the run, by the names of its time.
        method: Its method.
    """
    young = {**default_values(method.Config), **default_values(TrainConfig), **_BEFORE}
    mine, train = method.current_options(told["config"]), renamed(told["train_config"])
    return {**young, **mine, **train}


def check_same(
    then: Mapping[str, Any],
    now: Mapping[str, Any],
    where: Path,
    method: type[Recommender],
) -> None:
    """Refuse to go on with the run of another experiment.

    Args:
        then: What :func:`describe` told of the run, by the names of its time.
        now: What it tells of this one, by those of today.
        where: File of the run.
        method: The method of this one.

    Raises:
        MMRecError: Naming what differs.
    """
    check_fields(then, FIELDS, str(where))
    old = {**options_then(then, method), "method": then["method"]}
    new = {**now["config"], **now["train_config"], "method": now["method"]}
    differ = [n for n in ("method", *new) if n not in FREE and old.get(n) != new[n]]
    for name in differ:
        if name not in _BEFORE:
            raise _other(where, f"{name}={old.get(name)!r}", repr(new[name]))
    check_same_origins(then.get("origins"), now.get("origins"), where)
    check_same_data(then["data"], now["data"], str(where), _other_split(then, now))
    for name in differ:  # which follow the data
        raise _other(where, f"{name}={old.get(name)!r}", repr(new[name]))
    _check_same_terms(then["terms"], now["terms"], where)


def _other_split(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The splits of two experiments that tell of them and differ, else nothing."""
    old, new = _told_split(then), _told_split(now)
    return f"; the split: {old} then, {new} now" if old and new and old != new else ""


def _told_split(told: Mapping[str, Any]) -> str:
    source = told.get("source")
    if not isinstance(source, dict) or not isinstance(source.get("arguments"), dict):
        return ""  # a checkpoint tells of the data alone
    split = source["arguments"].get("split")
    if isinstance(split, dict):
        return ", ".join(f"{name} {value}" for name, value in split.items())
    return str(split or "that of the files")


def check_same_origins(then: Any, now: Any, where: Path) -> None:
    """Refuse own parts of another content; a file may lie elsewhere by now.

    Args:
        then: What :func:`origins` told of a run, ``None`` for nothing.
        now: What it tells of this one.
        where: File of the run.

    Raises:
        MMRecError: Naming the part that differs.
    """
    old, new = then or {}, now or {}
    check_type(old, dict, f"'origins' of {where}")
    for part in {**old, **new}:
        was, is_now = old.get(part) or {}, new.get(part) or {}
        check_type(was, dict, f"'origins' of {where}")
        keys = ("class", "digest")
        if [was.get(key) for key in keys] != [is_now.get(key) for key in keys]:
            raise MMRecError(
                f"{where} was trained with another {part}: {_place(was)}, now "
                f"{_place(is_now)}: put the file back as it was, start anew there with "
                f"--overwrite, or choose another --output"
            )


def _place(told: Mapping[str, Any]) -> str:
    if not told:
        return "one of this package"
    place = told.get("file") or told.get("module")
    return f"{told.get('class')} of {place} (content {told.get('digest', '?')[:8]})"


def _check_same_terms(
    then: Mapping[str, Any], now: Mapping[str, Any], where: Path
) -> None:
    if list(then) != list(now):
        names = (", ".join(terms) or "none" for terms in (then, now))
        raise _other(where, f"the terms (with those of plugs) {next(names)}", *names)
    for name, new in now.items():
        old = then[name]
        check_fields(
            old, {"objective": str, "weight": float, "options": dict}, str(where)
        )
        for part in ("objective", "weight"):
            if old[part] != new[part]:
                raise _other(
                    where, f"{part} {old[part]!r} of the term {name!r}", repr(new[part])
                )
        for option in old["options"].keys() & new["options"].keys():
            was, is_now = old["options"][option], new["options"][option]
            if was != is_now:
                raise _other(
                    where, f"{option}={was!r} of the term {name!r}", repr(is_now)
                )


def _other(where: Path, then: str, now: str) -> MMRecError:
    return MMRecError(
        f"{where} was trained with {then}, not {now}: resume with the same options "
        f"and plugs, start anew there with --overwrite, or choose another --output"
    )
