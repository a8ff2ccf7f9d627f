"""What users add from outside the package: by file, by module, by entry point."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from pyg_mmrec.errors import MMRecError, unknown

# path/to/mine.py, path/to/mine.py:Mine, package.module:Mine
_FILE = re.compile(r"(?P<place>.*\.py)(?::(?P<name>\w+))?", re.S)
_MODULE = re.compile(r"(?P<place>[A-Za-z_]\w*(?:\.\w+)*):(?P<name>\w+)")
Origin = dict[str, str]
_LOADED: set[tuple[str, str]] = set()  # group and name of entry points


def is_place(text: str) -> bool:
    """Whether a text names a class by its file or module, and not by a short name."""
    return bool(_FILE.fullmatch(text) or _MODULE.fullmatch(text))


def absolute(text: str) -> str:
    """A place as it is from any folder; other text is left as it is."""
    found = _FILE.fullmatch(text)
    if found is None:
        return text
    path = os.path.abspath(os.path.expanduser(found["place"]))
    return f"{path}:{found['name']}" if found["name"] else path


def load_file(path: Path | str) -> ModuleType:
    """The module that a file defines, run once as long as its content is the same.

    The folder of the file is searched last for what it imports.

    Raises:
        MMRecError: If there is no such file, or it cannot be imported.
    """
    path = Path(absolute(str(path)))
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:32]
    except OSError as error:
        raise MMRecError(
            f"the file {path} cannot be read ({error.strerror}): name a Python file"
        ) from error
    # One name for one file, so that a changed file replaces what it registered.
    place = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    name = f"_pyg_mmrec_{re.sub(r'[^0-9A-Za-z_]', '_', path.stem)}_{place}"
    kept = sys.modules.get(name)
    if kept is not None and vars(kept).get("__digest__") == digest:
        return kept
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    vars(module)["__digest__"] = digest
    sys.modules[name] = module  # dataclasses look there for their types
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    try:
        spec.loader.exec_module(module)
    except MMRecError:
        del sys.modules[name]
        raise
    except Exception as error:  # the user's code raises whatever it likes
        del sys.modules[name]
        raise _broken(str(path), error) from error
    return module


def load_module(name: str) -> ModuleType:
    """Import a module by its name, or by its file.

    Raises:
        MMRecError: If there is none, or it cannot be imported.
    """
    if name.endswith(".py"):
        return load_file(name)
    try:
        return importlib.import_module(name)
    except MMRecError:
        raise
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _broken(name, error) from error
        raise MMRecError(
            f"there is no module {name!r} (not found: {error.name!r}): install it, or "
            f"name a file such as path/to/mine.py"
        ) from error
    except Exception as error:  # likewise
        raise _broken(name, error) from error


def _broken(what: str, error: Exception) -> MMRecError:
    """What an import raised, with the last line of the user's own that led there."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = (__file__, importlib.__file__, "<frozen")
    own = [f for f in frames if not f.filename.startswith(ours)]
    at = f" at {own[-1].filename}:{own[-1].lineno}" if own else ""
    if isinstance(error, SyntaxError):
        at = f" at {error.filename}:{error.lineno}"
    text = (str(error).splitlines() or [""])[0]
    return MMRecError(f"{what} cannot be imported: {type(error).__name__}{at}: {text}")


def find(text: str, kind: type, owned: Callable[[type], bool] | None = None) -> type:
    """The class at a place.

    Args:
        text: See :func:`is_place`; without a class's name the one that the file holds.
        kind: What it has to be derived from.
        owned: Which classes of a file count, where no name is given: all of ``kind``
            if ``None``.

    Raises:
        MMRecError: If there is none, more than one, or it is of another kind.
    """
    found = _FILE.fullmatch(text) or _MODULE.fullmatch(text)
    if found is None:
        raise MMRecError(
            f"{text!r} names no class: write path/to/mine.py, path/to/mine.py:Class or "
            f"module:Class"
        )
    module = load_module(found["place"])
    classes = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__
    }
    if found["name"]:
        if not hasattr(module, found["name"]):
            raise unknown(f"class in {found['place']}", found["name"], classes)
        cls = getattr(module, found["name"])
        if not (isinstance(cls, type) and issubclass(cls, kind)):
            raise MMRecError(f"{text} is no {kind.__name__}: derive a class from it")
        return cls
    fit = [c for c in classes.values() if issubclass(c, kind)]
    chosen = [c for c in fit if owned is None or owned(c)]
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        names = ", ".join(c.__name__ for c in chosen)
        raise MMRecError(
            f"{text} holds {len(chosen)} of them ({names}): name one, as in "
            f"{text}:{chosen[0].__name__}"
        )
    if fit:
        raise MMRecError(
            f"{text} registers none of its classes ({fit[0].__name__}): put "
            f"@register('a_name') above one, or name it as {text}:{fit[0].__name__}"
        )
    raise MMRecError(f"{text} holds no {kind.__name__}: derive a class from it")


def origin(cls: type) -> Origin | None:
    """Where a class comes from: its place, and a digest of the file's content.

    ``None`` for what is part of this package.
    """
    if cls.__module__.split(".")[0] == "pyg_mmrec":
        return None
    module = sys.modules.get(cls.__module__)
    told = {"class": cls.__qualname__}
    file = vars(module).get("__file__") if module else None
    digest = vars(module).get("__digest__") if module else None
    if digest:  # a file of its own
        return {**told, "file": str(file), "digest": str(digest)}
    told["module"] = cls.__module__
    return {**told, "digest": _digest(file)} if file else told


@cache  # as it was when it was first asked for, soon after the import
def _digest(file: str) -> str:
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:32]
    except OSError:
        return ""


def place(told: Mapping[str, Any]) -> str:
    """Where :func:`find` finds the class that :func:`origin` told of."""
    return f"{told.get('file') or told.get('module')}:{told.get('class')}"


def discover(
    group: str,
    add: Callable[[str, Any], Any],
    names: Iterable[str] | None = None,
) -> None:
    """Load what installed packages offer, once for each entry point.

    One that is broken is a warning that names it: it must not stop the others.

    Args:
        group: Group of the entry points, such as ``"pyg_mmrec.methods"``.
        add: Takes the name and the object of each.
        names: Those that are wanted; all if ``None``.
    """
    wanted = None if names is None else set(names)
    for point in entry_points(group=group):
        unwanted = wanted is not None and point.name not in wanted
        if unwanted or (group, point.name) in _LOADED:
            continue
        _LOADED.add((group, point.name))
        try:
            add(point.name, point.load())
        except Exception as error:  # of others' code, whatever it is
            warnings.warn(_unloaded(point, error), stacklevel=2)


def _unloaded(point: EntryPoint, error: Exception) -> str:
    text = (str(error).splitlines() or [""])[0]
    return (
        f"the plug-in {point.name!r} ({point.value}) of the group {point.group} is "
        f"broken and left out: {type(error).__name__}: {text}"
    )
