"""Figures of finished runs, kept as lines of JSON: what tables of results are of.

A record tells a run's figures and all that they depend on: the command that gives
them again, all options, the search that found some of them, the commit, the seed,
threads, device and versions.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pyg_mmrec.config import to_dict
from pyg_mmrec.datasets import DATASETS, own_options, word_of
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.assembly import configure
from pyg_mmrec.experiments.outputs import CONFIG, RESULT, read_json
from pyg_mmrec.files import replacing
from pyg_mmrec.methods import Recommender
from pyg_mmrec.training.identity import FIELDS, options_then
from pyg_mmrec.training.schema import Kinds, check_fields

Record = dict[str, Any]
MONITOR = "recall@20"
"""By which tables are in order: every record has it of the test."""
# Options that say how a run goes, not what comes out.
_ASIDE = frozenset({"seed", "device", "progress", "track", "candidates"})
# Options that say when a run ends: in its command, not in its name.
_LENGTHS = frozenset({"epochs", "patience", "eval_every", "ks"})
_RESULT: dict[str, Kinds] = {
    "dataset": str,
    "method": str,
    "plugs": list,
    "ablate": list,
    "seed": int,
    "modalities": list,
    "best_epoch": int,
    "epochs": int,
    "valid": dict,
    "test": dict,
    "seconds_per_epoch": (int, float),
    "peak_memory_bytes": int,
    "parameters": int,
    "hints": list,
    "threads": int,
    "device": str,
    "versions": dict,
}
_KEPT = (*_RESULT, "branches", "commit")
_LINE: dict[str, Kinds] = {**_RESULT, "case": str, "command": str, "options": dict}


def finished_runs(folder: Path) -> list[Path]:
    """Folders of finished runs in a folder: itself, or any below.

    Raises:
        MMRecError: If there is none.
    """
    found = sorted(path.parent for path in folder.rglob(RESULT))
    if not found:
        raise MMRecError(
            f"{folder} holds no finished run (no {RESULT} in it or below): name the "
            f"output folder of one, or of compare"
        )
    return found


def record_of(folder: Path, method: type[Recommender]) -> Record:
    """The record of a finished run.

    Args:
        folder: Its output folder.
        method: Its method.

    Raises:
        MMRecError: If a file is damaged, or tells no test :data:`MONITOR`.
    """
    told, result = read_json(folder / CONFIG), read_json(folder / RESULT)
    check_fields(told, {**FIELDS, "source": dict}, str(folder / CONFIG))
    check_fields(result, _RESULT, str(folder / RESULT))
    if MONITOR not in result["test"]:
        why = (
            "it is a refit, of which nothing is scored"
            if "refit" in told
            else "it was trained with other cut-offs: --ks names them"
        )
        raise MMRecError(
            f"{folder} has no test {MONITOR}, by which tables are in order: {why}"
        )
    changed = changed_options(told, method)
    arguments = told["source"].get("arguments", {})
    options = options_then(told, method).items()
    ended = datetime.fromtimestamp((folder / RESULT).stat().st_mtime, timezone.utc)
    return {
        **{name: _rounded(result[name]) for name in _KEPT if name in result},
        "case": case_of(told, changed),
        "split": arguments.get("split"),
        "candidates": told["train_config"].get("candidates") or "all",
        "command": command_of(told, changed),
        "options": {name: of for name, of in options if name not in _ASIDE},
        "search": told.get("search"),
        "date": result.get("date") or ended.date().isoformat(),
    }


def _rounded(value: Any) -> Any:
    """Six decimals: a hundredth of what a seed changes."""
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return round(value, 6) if isinstance(value, float) else value


def usual_options(told: Mapping[str, Any], method: type[Recommender]) -> dict[str, Any]:
    """Options that defaults, presets and ablations give to a run.

    Args:
        told: What it tells of itself.
        method: Its method.
    """
    config, train = configure(method.name, told["dataset"], {}, told["ablate"])
    return {**to_dict(config), **to_dict(train)}


def changed_options(
    told: Mapping[str, Any], method: type[Recommender]
) -> dict[str, Any]:
    """Options of a run that neither a default nor a preset nor an ablation gives.

    Args:
        told: What it tells of itself.
        method: Its method.
    """
    usual = usual_options(told, method)
    return {
        name: value
        for name, value in options_then(told, method).items()
        if name not in _ASIDE and name in usual and value != usual[name]
    }


def case_of(told: Mapping[str, Any], changed: Mapping[str, Any]) -> str:
    """As ``compare`` names it: ``vbpr+sand``, ``rearm-meta``, ``sand:lr=0.01``.

    Args:
        told: What a run tells of itself.
        changed: What :func:`changed_options` returned.
    """
    named = {k: v for k, v in changed.items() if k not in _LENGTHS}
    words = [f"{name}={_word(value)}" for name, value in named.items()]
    parts = "".join(f"-{part}" for part in told["ablate"])
    plugs = "".join(f"+{plug}" for plug in told["plugs"])
    return ":".join([told["method"] + parts + plugs, *words])


def command_of(told: Mapping[str, Any], changed: Mapping[str, Any]) -> str:
    """The command line that makes the run again.

    Args:
        told: What it tells of itself.
        changed: What :func:`changed_options` returned.
    """
    arguments = told["source"].get("arguments", {})
    data = word_of(told["dataset"], told["source"])
    words = ["pyg-mmrec", "train", data, told["method"]]
    for name in own_options(data) if data in DATASETS else ():
        if arguments.get(name) is not None:
            words += [f"--{name.replace('_', '-')}", *_as_given(arguments[name])]
    split = arguments.get("split") or {}
    options: dict[str, Any] = {
        # What a folder holds is the user's, so that "all" says nothing.
        "modalities": arguments.get("modalities") or told["modalities"] or None,
        "split": split.get("method"),
        "ratios": split.get("ratios"),
        "k_core": split.get("k_core"),
        "split_seed": split.get("seed"),
        "candidates": _candidates(told, split),
        "plug": told["plugs"],
        "ablate": told["ablate"],
        "seed": told["seed"],
        **changed,
    }
    for name, value in options.items():
        if value is not None or name in changed:
            words += option_words(name, value)
    return shlex.join(words)


def option_words(name: str, value: Any) -> list[str]:
    """An option as words of a command line, none for an empty list."""
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [] if value == [] else [f"--{flag}", *_words(value)]


def _as_given(value: Any) -> list[str]:
    """An option of a data set as words, with capital letters as they are."""
    if isinstance(value, Mapping):
        return [f"{name}={of}" for name, of in value.items()]
    return [str(v) for v in (value if isinstance(value, (list, tuple)) else [value])]


def _candidates(told: Mapping[str, Any], split: Mapping[str, Any]) -> str | None:
    """Candidates that the split does not bring with it."""
    usual = "cold" if split.get("method") == "cold" else "all"
    found = told["train_config"].get("candidates") or "all"
    return None if found == usual else found


def _words(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{k}={_word(v)}" for k, v in value.items()]
    if isinstance(value, (list, tuple)):
        return [_word(v) for v in value]
    return [_word(value)]


def _word(value: Any) -> str:
    if isinstance(value, (Mapping, list, tuple)):
        return ",".join(_words(value))
    if not isinstance(value, float):
        return str(value).lower()
    short = f"{value:g}"  # which a search's draws are not
    return short if float(short) == value else repr(value)


def rule_of(split: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """How a split is made, whatever it draws; ``None`` if it is that of the files."""
    if split is None:
        return None
    return {name: value for name, value in split.items() if name != "seed"}


def draw_of(split: Mapping[str, Any] | None) -> int:
    """Which draw of its rule a split is."""
    return int((split or {}).get("seed", 0))


def key(record: Mapping[str, Any]) -> tuple[str, ...]:
    """What two records of the same run agree in: the later one stays."""
    return (
        ",".join(record["modalities"]),
        json.dumps(rule_of(record["split"]), sort_keys=True),
        f"{draw_of(record['split']):010d}",
        record.get("candidates", "all"),
        record["case"],
        f"{record['seed']:010d}",
    )


def read_records(path: Path) -> list[Record]:
    """Records of a file, none if it is not there.

    Raises:
        MMRecError: If a line is no record.
    """
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        where = f"{path}, line {number}"
        try:
            record = json.loads(line)
        except ValueError as error:
            raise MMRecError(f"{where} is no record of a run ({error})") from error
        check_fields(record, _LINE, where)
        found.append(record)
    return found


def add_records(folder: Path, records: Iterable[Record]) -> list[Path]:
    """Keep records, a file per data set: ``DATASET.jsonl``, sorted.

    A record takes the place of one of the same case, seed, modalities, split and draw.

    Args:
        folder: Where the files lie.
        records: What :func:`record_of` gave.

    Returns:
        The files that were written.

    Raises:
        MMRecError: If a training that ended too early would take the place of a longer
            one.
    """
    by_data: dict[str, list[Record]] = {}
    for record in records:
        by_data.setdefault(record["dataset"], []).append(record)
    written = []
    for name, new in by_data.items():
        path = folder / f"{name}.jsonl"
        merged = {key(record): record for record in read_records(path)}
        for record in new:
            _check_longer(record, merged.get(key(record)), path)
            merged[key(record)] = record
        with replacing(path) as file:
            for _, record in sorted(merged.items()):
                file.write((json.dumps(record, sort_keys=True) + "\n").encode())
        written.append(path)
    return written


def _check_longer(new: Record, old: Record | None, path: Path) -> None:
    """That what came to its end is not lost to a trial of a few epochs."""
    if old is not None and new["hints"] and new["epochs"] < old["epochs"]:
        raise MMRecError(
            f"{path} has {new['case']!r}, seed {new['seed']}, of {old['epochs']} "
            f"epochs, and this run ended after {new['epochs']} ({new['hints'][0]}): "
            f"go on with --resume, or record it into another folder"
        )
