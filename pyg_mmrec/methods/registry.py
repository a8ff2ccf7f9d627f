"""Methods by name."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.methods.base import Recommender, Source
from pyg_mmrec.plugins import discover, find, is_place

GROUP = "pyg_mmrec.methods"  # of entry points
_METHODS: dict[str, type[Recommender]] = {}
Method = TypeVar("Method", bound=type[Recommender])


def register(
    name: str, paper: str = "", venue: str = "", url: str = ""
) -> Callable[[Method], Method]:
    """Class decorator that makes a method available by ``name``.

    Registering a name again replaces the method if it is defined in the same
    module (a notebook cell run twice), else it is refused.

    Args:
        name: The name, in lower case.
        paper: Title of its paper.
        venue: Where the paper was published, with the year.
        url: Where to read it.

    Example:
        >>> from pyg_mmrec import Recommender, get, register
        >>> @register("two_towers", paper="Two Towers", venue="RecSys 2030")
        ... class TwoTowers(Recommender):
        ...     def forward(self, data): ...
        ...
        >>> get("two_towers") is TwoTowers, TwoTowers.source.venue
        (True, 'RecSys 2030')
    """

    def add(cls: Method) -> Method:
        taken = _METHODS.get(name)
        if taken is not None and taken.__module__ != cls.__module__:
            raise MMRecError(
                f"the method name {name!r} is taken by {taken.__module__}."
                f"{taken.__qualname__}: register yours under another"
            )
        cls.name = name
        cls.source = Source(paper, venue, url)
        _METHODS[name] = cls
        return cls

    return add


def get(name: str) -> type[Recommender]:
    """The method of this name.

    Args:
        name: Its name; or where its class lies: ``"path/to/mine.py"`` with one that
            is registered, ``"path/to/mine.py:Mine"``, ``"module:Mine"``. One that is
            named so without being registered is, under its class's name.

    Raises:
        MMRecError: If there is none, with the nearest match.

    Example:
        >>> from pyg_mmrec import get
        >>> method = get("freedom")
        >>> method.source.venue
        'MM 2023'
        >>> method.Config(dim=32).dim
        32
    """
    if name in _METHODS:
        return _METHODS[name]
    if is_place(name):
        return _registered(find(name, Recommender, _is_registered))
    discover(GROUP, _add_plugin)
    if name not in _METHODS:
        raise unknown("method", name, _METHODS)
    return _METHODS[name]


def available() -> list[str]:
    """Names of all methods, in the order of their registration.

    Those of installed packages (entry points of the group ``pyg_mmrec.methods``) are
    among them.

    Example:
        >>> from pyg_mmrec import available
        >>> {"freedom", "lightgcn", "rearm"} <= set(available())
        True
    """
    discover(GROUP, _add_plugin)
    return list(_METHODS)


def _is_registered(cls: type) -> bool:
    return cls in _METHODS.values()


def _registered(cls: type[Recommender], name: str = "") -> type[Recommender]:
    if "name" in vars(cls):  # as @register above it did
        _METHODS.setdefault(cls.name, cls)
    else:
        register(name or cls.__name__.lower())(cls)
    return cls


def _add_plugin(name: str, found: Any) -> None:
    """A class, or a module whose import registers some."""
    if isinstance(found, ModuleType):
        return
    if not (isinstance(found, type) and issubclass(found, Recommender)):
        raise MMRecError(f"{found!r} is no Recommender")
    _registered(found, name)
