"""Arguments of a data set, as what can be written down."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyg_mmrec.errors import MMRecError


def bound(cls: type, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a constructor by name; places on disk as they are from anywhere."""
    own: Any = cls
    signature = inspect.signature(own.__init__)
    found: dict[str, Any] = {}
    for name, value in signature.bind_partial(None, *args, **kwargs).arguments.items():
        extra = signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD
        found.update(value if extra else {name: value})
    found.pop(next(iter(signature.parameters)), None)  # self
    for name in ("root", "path", "cache_dir"):
        if isinstance(found.get(name), (str, Path)):
            found[name] = os.path.abspath(os.path.expanduser(found[name]))
    return found


def is_json(value: Any) -> bool:
    """Whether a value is one of JSON, exactly: no subclass of its types."""
    if type(value) in (list, tuple):
        return all(map(is_json, value))
    if type(value) is dict:
        return all(type(k) is str and is_json(v) for k, v in value.items())
    return type(value) in (str, int, float, bool, type(None))


def described(option: Any, name: str) -> str | None:
    """An option as text that tells all its settings.

    Raises:
        MMRecError: If its ``repr`` shows a memory address, which says nothing.
    """
    if option is None or isinstance(option, str):
        return option
    text = repr(option)
    if " at 0x" in text:
        raise MMRecError(
            f"{name}={text} cannot be kept with the graph, for its repr shows a memory "
            f"address and not its settings: give it a __repr__, or use 'transform'"
        )
    return text
