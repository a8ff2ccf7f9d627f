"""Packages that an extra of this one brings, and the sentence of who lacks them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from pyg_mmrec.errors import MMRecError


def check_extra(extra: str, modules: Iterable[str], instead: str = "") -> None:
    """Refuse to go on without an extra; nothing is imported.

    Args:
        extra: Its name.
        modules: What of it is needed.
        instead: What does without it, as it reads after "or".

    Raises:
        MMRecError: If a module is not installed.

    Example:
        >>> check_extra("plot", ["json"])
        >>> check_extra("plot", ["nowhere"], "read the table instead")
        Traceback (most recent call last):
            ...
        pyg_mmrec.errors.MMRecError: 'nowhere' is not installed: pip install ...
    """
    for module in modules:
        if find_spec(module) is None:
            raise _missing(repr(module), extra, instead)


def from_extra(
    module: str, extra: str, what: str = "", package: str = "", instead: str = ""
) -> ModuleType:
    """A module of an extra.

    Args:
        module: Its name.
        extra: Name of the extra.
        what: What needs it, as it begins a sentence.
        package: What pip calls it; the name of the module if not given.
        instead: What does without it, as it reads after "or".

    Raises:
        MMRecError: If it cannot be imported.

    Example:
        >>> from_extra("json", "report").dumps([1])
        '[1]'
        >>> from_extra("nowhere", "encode", "the text encoder 'a:b'")
        Traceback (most recent call last):
            ...
        pyg_mmrec.errors.MMRecError: the text encoder 'a:b' needs the package ...
    """
    try:
        return import_module(module)
    except ImportError as error:
        name = package or module
        told = f"{what} needs the package {name}, which" if what else repr(name)
        lacks = getattr(error, "name", None) or module
        also = (
            "" if lacks.split(".")[0] == module.split(".")[0] else f" without {lacks}"
        )
        raise _missing(told, extra, instead, also) from error


def _missing(told: str, extra: str, instead: str, also: str = "") -> MMRecError:
    end = f", or {instead}" if instead else ""
    return MMRecError(
        f"{told} is not installed{also}: pip install 'pyg_mmrec[{extra}]'{end}"
    )
