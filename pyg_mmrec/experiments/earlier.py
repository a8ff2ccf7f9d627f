"""Recorded runs whose options are no longer those that their command gives."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from pyg_mmrec.experiments.records import option_words, usual_options
from pyg_mmrec.methods import available, get


def earlier_options(record: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a run that its command does not give today, as they were then.

    A default or a preset has changed since. Of a method that is none of the package,
    and not registered here, nothing is known.

    Args:
        record: Of :func:`~pyg_mmrec.experiments.records.record_of`.

    Returns:
        By name; empty where the command gives the run again, as far as options go.
    """
    if record["method"] not in available():
        return {}
    usual = usual_options(record, get(record["method"]))
    given = shlex.split(record["command"])
    return {
        name: value
        for name, value in record["options"].items()
        if value != usual.get(name) and not _holds(given, option_words(name, value))
    }


def command_today(record: Mapping[str, Any]) -> str:
    """The command that gives a recorded run's options by the presets of today."""
    more = [
        word
        for name, value in earlier_options(record).items()
        for word in option_words(name, value)
    ]
    return record["command"] + (f" {shlex.join(more)}" if more else "")


def _holds(words: Sequence[str], part: Sequence[str]) -> bool:
    """Whether words hold others, one after the other."""
    size = len(part)
    return any(words[i : i + size] == part for i in range(len(words) - size + 1))
