"""What measurements of new users came to, method by method, and a page of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.environment import environment, made
from pyg_mmrec.experiments.outputs import clear, read_json, write_json
from pyg_mmrec.files import replacing
from pyg_mmrec.methods import get
from pyg_mmrec.training.identity import FIELDS, check_same
from pyg_mmrec.training.schema import Kinds, check_fields

WAYS = ("folded in", "mean of items", "trained", "popularity")
"""How users are scored, in the order of the columns of a page."""
Rows = dict[str, dict[str, float]]
_LENGTHS = ("epochs", "patience")
_KEPT: dict[str, Kinds] = {
    "about": dict,
    "description": dict,
    "metrics": dict,
    "best_epochs": list,
    "environment": dict,
}


class Kept:
    """A folder with a file for each method that is measured, and trainings on the way.

    Args:
        folder: Where; nothing is kept if ``None``.
        about: What was asked for beside the training: data set, share, cut-off.
        overwrite: Whether to measure anew what is there.
    """

    def __init__(
        self, folder: Path | None, about: Mapping[str, Any], overwrite: bool
    ) -> None:
        self.folder, self.about, self.overwrite = folder, dict(about), overwrite

    def begin(self, method: str) -> None:
        """Remove what is there of a method, if it is to be measured anew.

        So a measurement that is stopped leaves nothing of the one before.
        """
        if self.overwrite and self.folder is not None:
            _place(self.folder, method).unlink(missing_ok=True)
            self._clear(method)

    def find(self, method: str, description: Mapping[str, Any]) -> Rows | None:
        """The metrics of a method, if they are there.

        Args:
            method: Its name.
            description: Its training with all users.

        Raises:
            MMRecError: If they are of other options or of other data.
        """
        path = None if self.folder is None else _place(self.folder, method)
        if path is None or not path.exists():
            return None
        kept = read_kept(path)
        for name, value in self.about.items():
            _check(path, name, kept["about"].get(name), value)
        check_same(kept["description"], description, path, get(method))
        then, now = kept["description"]["train_config"], description["train_config"]
        for name in _LENGTHS:
            _check(path, name, then.get(name), now[name])
        rows: Rows = kept["metrics"]
        return rows

    def add(
        self,
        method: str,
        description: Mapping[str, Any],
        rows: Rows,
        best_epochs: Sequence[int],
        device: Any,
    ) -> None:
        """Keep what a method came to.

        Args:
            method: Its name.
            description: Its training with all users.
            rows: Metrics by the names in :data:`WAYS`.
            best_epochs: Of the training with all users, and of that without some.
            device: What it was trained on.
        """
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        found = {
            "about": self.about,
            "description": dict(description),
            "metrics": rows,
            "best_epochs": list(best_epochs),
            "environment": environment(device),
        }
        write_json(_place(self.folder, method), found)
        self._clear(method)

    def trainings(self, method: str) -> tuple[Path, Path] | tuple[None, None]:
        """Folders of both trainings until :meth:`add`: with all users, without some."""
        if self.folder is None:
            return None, None
        return self.folder / method / "all", self.folder / method / "without"

    def _clear(self, method: str) -> None:
        """Remove the trainings of a method."""
        for folder in self.trainings(method):
            if folder is not None and folder.exists():
                clear(folder)
                with suppress(OSError):  # what holds anything else stays
                    folder.rmdir()
                    folder.parent.rmdir()


def _place(folder: Path, method: str) -> Path:
    return folder / f"{method}.json"


def _check(path: Path, name: str, then: Any, now: Any) -> None:
    if then != now:
        raise MMRecError(
            f"{path} was measured with {name}={then!r}, not {now!r}: give the same "
            f"options, measure anew with --overwrite, or choose another --output"
        )


def read_kept(path: Path) -> dict[str, Any]:
    """What a file tells of a method.

    Raises:
        MMRecError: If it is none of these.
    """
    kept = read_json(path)
    check_fields(kept, _KEPT, str(path))
    check_fields(kept["description"], FIELDS, str(path))
    check_fields(kept["metrics"], dict.fromkeys(WAYS, dict), str(path))
    return kept


def to_table(method: str, rows: Rows) -> pd.DataFrame:
    """Metrics of a method, a row each way."""
    return pd.DataFrame([{"method": method, "users": w, **rows[w]} for w in WAYS])


def write_page(path: Path, folder: Path, methods: Sequence[str], words: str) -> None:
    """Write a page of what methods came to, beneath the command that measures it.

    Args:
        path: Where.
        folder: Where it is kept.
        methods: Names of the methods.
        words: The command.
    """
    kept = {name: read_kept(_place(folder, name)) for name in methods}
    with replacing(path) as file:
        file.write(_page(kept, words).encode())


def _page(kept: Mapping[str, Mapping[str, Any]], words: str) -> str:
    first = next(iter(kept.values()))
    names = list(first["metrics"][WAYS[0]])
    places = [one["environment"] for one in kept.values()]
    lines = [
        f"# New users of {first['about']['dataset']}",
        "",
        "```bash",
        words,
        "```",
        "",
        f"{first['about']['share']:.0%} of the users left out of training and folded "
        f"in by their train items, beside the same users trained: test "
        f"{' and '.join(names)} of these; the epoch best on validation, of the "
        f"training with all users and of that without some. {made(places)}",
        "",
        f"| | {' | '.join(WAYS)} | best epochs |",
        "| --- |" + " --- |" * (len(WAYS) + 1),
    ]
    ranked = sorted(kept, key=lambda m: -kept[m]["metrics"][WAYS[0]][names[0]])
    lines += [_line(name, kept[name], names) for name in ranked]
    return "\n".join(lines) + "\n"


def _line(method: str, kept: Mapping[str, Any], names: Sequence[str]) -> str:
    best = max(kept["metrics"][way][names[0]] for way in WAYS)
    cells = []
    for way in WAYS:
        values = [kept["metrics"][way][name] for name in names]
        text = " ".join(f"{value:.4f}".removeprefix("0") for value in values)
        cells.append(f"**{text}**" if values[0] == best else text)
    epochs = ", ".join(map(str, kept["best_epochs"]))
    return f"| {method} | {' | '.join(cells)} | {epochs} |"
