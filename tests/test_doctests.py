"""Every public class and function shows its use, by an example that runs."""

from __future__ import annotations

import doctest
import inspect
from importlib import import_module
from typing import get_origin

import matplotlib.font_manager  # noqa: F401 - lists fonts in the user's own cache
import pytest

from pyg_mmrec.methods import registry

MODULES = ("", ".nn", ".nn.conv", ".objectives", ".transforms", ".plots", ".hooks")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# Public names that are neither: aliases of types, and tables of names.
VALUES = {
    "pyg_mmrec.hooks.Figures",
    "pyg_mmrec.hooks.TRACKERS",
    "pyg_mmrec.objectives.Nodes",
    "pyg_mmrec.objectives.PLUGS",
}


def public() -> dict[str, object]:
    """Everything public by the place where a user finds it, each once."""
    found: dict[str, object] = {}
    for place in MODULES:
        module = import_module(f"pyg_mmrec{place}")
        for name in module.__all__:
            value = getattr(module, name)
            if not any(value is known for known in found.values()):
                found[f"{module.__name__}.{name}"] = value
    return found


PUBLIC = public()


def test_what_is_neither_class_nor_function_is_listed():
    def shows(x: object) -> bool:
        # To Python 3.10 an alias such as Mapping[str, float] is a class.
        return get_origin(x) is None and (inspect.isclass(x) or inspect.isfunction(x))

    assert {n for n, x in PUBLIC.items() if not shows(x)} == VALUES


@pytest.fixture
def away(tmp_path, monkeypatch):
    """Whatever an example writes or registers goes with it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(registry, "_METHODS", dict(registry._METHODS))


@pytest.mark.parametrize("name", sorted(PUBLIC.keys() - VALUES))
@pytest.mark.usefixtures("away")
def test_example(name):
    # No globals: an example is complete, from its imports on.
    [test] = doctest.DocTestFinder(recurse=False, exclude_empty=False).find(
        PUBLIC[name], name, module=False, globs={}
    )
    assert test.examples, f"{name} has no example: add one at the end of its docstring"
    told: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=told.append)
    assert not told, "".join(told)
