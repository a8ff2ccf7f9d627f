"""The rooms of the package: which may know of which, and what has moved."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

import pyg_mmrec
from pyg_mmrec import moved, nn, objectives

ROOT = Path(pyg_mmrec.__file__).parent
MODULES = {
    ".".join(("pyg_mmrec", *p.relative_to(ROOT).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): p
    for p in ROOT.rglob("*.py")
}


def imports(path: Path) -> set[str]:
    """Modules of the package that a file imports, for types alone as well."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in MODULES else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & set(MODULES)


def room(module: str) -> str:
    """Its folder; a module beside the folders is a room of its own."""
    return ".".join(module.split(".")[:2])


def rooms() -> dict[str, set[str]]:
    graph: dict[str, set[str]] = defaultdict(set)
    for module, path in MODULES.items():
        graph[room(module)] |= {room(m) for m in imports(path)} - {room(module)}
    # The package itself imports when asked; what reads its version is no cycle.
    graph.pop("pyg_mmrec")
    return {name: others - {"pyg_mmrec"} for name, others in graph.items()}


def test_rooms_know_of_each_other_one_way() -> None:
    try:
        order = list(TopologicalSorter(rooms()).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
    assert order[-1] == "pyg_mmrec.__main__"


def test_modules_of_a_room_know_of_each_other_one_way() -> None:
    graph = {
        name: {m for m in imports(path) if room(m) == room(name)} - {name}
        for name, path in MODULES.items()
        if path.name != "__init__.py"
    }
    inits = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    TopologicalSorter({n: m - inits for n, m in graph.items()}).prepare()


def test_parts_know_nothing_of_what_uses_them() -> None:
    graph = rooms()
    low = {"nn": {"transforms", "objectives", "methods"}, "objectives": {"methods"}}
    for name, above in low.items():
        assert not graph[f"pyg_mmrec.{name}"] & {f"pyg_mmrec.{x}" for x in above}


def test_what_one_method_alone_uses_lives_beside_it() -> None:
    """And what several use, or a plug, does not."""
    exported = {}
    for package in (nn, nn.conv, objectives):
        for name in package.__all__:
            part = getattr(package, name)
            exported[package.__name__, name] = getattr(part, "__module__", "")
    users = defaultdict(set)
    for module, path in MODULES.items():
        if path.name == "__init__.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    key = node.module, alias.name
                    users[exported.get(key, node.module)].add(module)
    for module, path in MODULES.items():
        if path.name != "__init__.py" and room(module) in (
            "pyg_mmrec.nn",
            "pyg_mmrec.objectives",
        ):
            alone = [m for m in users[module] if not m.startswith("pyg_mmrec.methods.")]
            assert alone or len(users[module]) != 1, (module, users[module])


# What has moved


@pytest.mark.parametrize("old", moved.MODULES)
def test_an_old_module_is_there_and_warns(old) -> None:
    code = (
        f"import warnings; "
        f"import pyg_mmrec.{moved.MODULES[old]} as new\n"
        f"with warnings.catch_warnings(record=True) as told:\n"
        f"    warnings.simplefilter('always')\n"
        f"    import pyg_mmrec.{old} as old\n"
        f"assert old is new and old.__spec__.name == 'pyg_mmrec.{moved.MODULES[old]}'\n"
        f"assert 'goes with the next version' in str(told[0].message)"
    )
    if old in ("trainer", "sampler", "recommend"):  # a process each takes seconds
        subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
    else:
        assert import_module(f"pyg_mmrec.{moved.MODULES[old]}")


@pytest.mark.parametrize("package", [nn, objectives])
def test_an_old_part_is_there_and_warns(package) -> None:
    for name in package.MOVED:
        with pytest.warns(DeprecationWarning, match=f"{name} is .*{name} now"):
            part = getattr(package, name)
        assert part.__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        package.Nothing  # noqa: B018
