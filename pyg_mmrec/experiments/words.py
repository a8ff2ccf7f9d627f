"""Options of a method and its training, as words of a command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from pyg_mmrec.config import Parser, add_arguments
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.methods import Recommender
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
