"""The rooms of the package: which may know of which, and what has moved."""

from __future__ import annotations

import ast
import subprocess
import sys
import warnings
from collections import defaultdict
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

import pyg_mmrec
from pyg_mmrec import moved, nn, objectives, transforms
from pyg_mmrec.methods import available

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


# What one has to open to read a method

PARTS = ("nn", "objectives", "methods", "transforms")  # rooms that methods are made of
NOT_READ = {
    "pyg_mmrec.methods.base",  # what every method is, and what every loss is:
    "pyg_mmrec.objectives.base",  # read once, not for each method
    "pyg_mmrec.objectives.step",
    "pyg_mmrec.objectives.log_sums",  # the blocks behind formulas of basic
    "pyg_mmrec.methods.registry",
    "pyg_mmrec.nn.activation",  # PyTorch's, with cheaper gradients
    "pyg_mmrec.nn.conv.others",  # refuses layers that do not fit
    "pyg_mmrec.transforms.checks",  # refuses options and graphs
}


@cache
def names(module: str) -> tuple[dict[str, ast.AST], dict[str, tuple[str, str]]]:
    """What a module defines, and what it imports of the package: module and name."""
    defined: dict[str, ast.AST] = {}
    imported = {}
    for node in ast.parse(MODULES[module].read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            defined |= {t.id: node for t in targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            imported |= {a.asname or a.name: (node.module, a.name) for a in node.names}
    return defined, imported


def place(module: str, name: str) -> tuple[str, str] | None:
    """Where a name that a module knows is defined."""
    defined, imported = names(module)
    if name in defined:
        return module, name
    return place(*imported[name]) if name in imported else None


@cache
def used(module: str, name: str) -> set[tuple[str, str]]:
    """Definitions of the parts' rooms that one mentions."""
    words = {n.id for n in ast.walk(names(module)[0][name]) if isinstance(n, ast.Name)}
    found = {p for word in words if (p := place(module, word)) is not None}
    return {p for p in found if room(p[0]).endswith(PARTS) and p[0] not in NOT_READ}


def files_to_open(module: str) -> set[str]:
    """Files that define what a module uses, directly or through others."""
    seen: set[tuple[str, str]] = set()
    new = {(module, name) for name in names(module)[0]}
    while new:
        seen |= new
        new = set().union(*(used(*one) for one in new)) - seen
    return {module for module, _ in seen}


def test_a_method_is_read_whole_in_few_files() -> None:
    files = {
        name: files_to_open(name)
        for name, path in MODULES.items()
        if path.parent == ROOT / "methods" and path.stem not in ("__init__", "base")
        if name not in NOT_READ
    }
    assert len(files) == len(available())
    counts = sorted(map(len, files.values()))
    assert counts[len(counts) // 2] <= 6, files
    assert counts[-1] <= 8, max(files.items(), key=lambda item: len(item[1]))


def test_files_of_methods_and_their_parts_are_short() -> None:
    long = {
        name: lines
        for name, path in MODULES.items()
        if room(name).endswith(PARTS)
        if (lines := len(path.read_text().splitlines())) > 350
    }
    assert set(long) <= {"pyg_mmrec.methods.parts.mmssl"}, long


# What has moved


@pytest.mark.parametrize("old", ["trainer", "nn.purifier", "nn.channels"])
def test_an_old_module_is_there_and_warns(old) -> None:
    code = (
        f"import warnings; "
        f"import pyg_mmrec.{moved.MODULES[old]} as new\n"
        f"with warnings.catch_warnings(record=True) as told:\n"
        f"    warnings.simplefilter('always')\n"
        f"    import pyg_mmrec.{old} as old\n"
        f"public = [n for n in vars(new) if not n.startswith('_')]\n"
        f"assert all(getattr(old, n) is getattr(new, n) for n in public)\n"
        f"assert 'goes with the next version' in str(told[0].message)"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


@pytest.mark.parametrize("old", moved.MODULES)
def test_what_an_old_module_had_is_somewhere(old) -> None:
    assert import_module(f"pyg_mmrec.{moved.MODULES[old]}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = import_module(f"pyg_mmrec.{old}")
    for name, new in moved.PARTS.get(old, {}).items():
        renamed = new.partition(":")[2] or name
        with pytest.warns(DeprecationWarning, match=f"{renamed} now"):
            assert getattr(module, name).__name__ == renamed


@pytest.mark.parametrize("package", [nn, objectives, transforms])
def test_an_old_part_is_there_and_warns(package) -> None:
    for name in package.MOVED:
        renamed = package.MOVED[name].partition(":")[2] or name
        with pytest.warns(DeprecationWarning, match=f"{name} is .*{renamed} now"):
            part = getattr(package, name)
        assert part.__name__ == renamed
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        package.Nothing  # noqa: B018
