"""Methods with their options, as words of a command line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from pyg_mmrec.config import Parser, add_arguments
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.experiments.assembly import configure
from pyg_mmrec.methods import Recommender, get
from pyg_mmrec.objectives import plug
from pyg_mmrec.training.config import TrainConfig


def parse_options(cls: type[Recommender], words: Sequence[str]) -> dict[str, Any]:
    """Options of a method and of its training, from words such as ``"lr=0.01"``.

    Args:
        cls: The method.
        words: Name and value of each.

    Raises:
        MMRecError: For a word that is not of this form.
    """
    for word in words:
        if "=" not in word:
            raise MMRecError(f"an option of {cls.name} is NAME=VALUE (got {word!r})")
    parser = Parser(add_help=False)
    add_method_options(parser, cls)
    return vars(parser.parse_args([f"--{word}" for word in words]))


def add_method_options(
    parser: Parser, cls: type[Recommender], preset: Mapping[str, Any] | None = None
) -> set[str]:
    """Options of training and of a method; returns their names."""
    training = {f.name for f in fields(TrainConfig)}
    add_arguments(parser, TrainConfig, "training", preset)
    add_arguments(parser, cls.Config, f"method {cls.name}", preset, skip=training)
    return training | {f.name for f in fields(cls.Config)}


def own_method(text: str) -> tuple[str, str]:
    """A method that is given by its file, and the rest; else ``""`` and all."""
    found = re.match(r".*?\.py(:\w+(?=[-+:]|$))?", text)
    return ("", text) if found is None else (found[0], text[found.end() :])


def label(text: str) -> str:
    """What a case is called: own methods by their names, not by their places."""
    method, rest = own_method(text)
    return get(method).name + rest if method else text


def case(text: str) -> dict[str, Any]:
    """``"vbpr+sand"``, ``"rearm-meta"``, ``"sand:lr=0.01"`` as arguments of a run.

    A plug's option is ``"vbpr+sand:sand.tau=0.2"``, for its method may have one of the
    same name. Every name is checked now, before the first of many runs.
    """
    method, text = own_method(text)
    text, *words = text.split(":")
    text, *names = text.split("+")
    more, *parts = text.split("-")
    method = get(method + more).name
    for part in parts:
        if part not in get(method).ablations:
            raise unknown(f"ablation of {method}", part, get(method).ablations)
    plugs = []
    for name in names:
        own = [word for word in words if word.startswith(f"{name}.")]
        words = [word for word in words if word not in own]
        plugs.append(":".join([name, *(word.partition(".")[2] for word in own)]))
        plug(plugs[-1])
    options = parse_options(get(method), words)
    if "seed" in options:
        raise MMRecError(f"{text!r} names a seed: give --seeds, which hold for all")
    return {"method": method, "plugs": plugs, "ablate": parts, **options}


def shortest(text: str, dataset: str) -> str:
    """A case without the options that a default or a preset gives anyway.

    So the value that is usual is one run, whichever option is varied.

    Args:
        text: A case, see :func:`case`.
        dataset: Name of the data set.
    """
    name, *words = text.split(":")
    given = case(text)
    config, train = configure(given["method"], dataset, {}, given["ablate"])
    usual = {**vars(train), **vars(config)}
    kept = [
        word
        for word in words
        if (option := word.partition("=")[0].replace("-", "_")) not in given
        or given[option] != usual.get(option)
    ]
    return ":".join([name, *kept])


def shown_command(name: str, words: Sequence[str]) -> str:
    """A command in text, without where and how it writes.

    Args:
        name: The command.
        words: Its arguments.

    Example:
        >>> shown_command("compare", ["tiktok", "bpr", "--output", "runs/a"])
        'pyg-mmrec compare tiktok bpr'
    """
    kept: list[str] = []
    words = [word for word in words if word not in ("--no-progress", "--overwrite")]
    for before, word in zip(["", *words], words, strict=False):
        if not {before, word.partition("=")[0]} & {"--output", "--record"}:
            kept.append(word)
    return shlex.join(["pyg-mmrec", name, *kept])
