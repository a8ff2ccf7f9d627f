"""The output folder of a run: one experiment, accepted before anything changes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pyg_mmrec.datasets.kept import is_kept
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.files import replacing
from pyg_mmrec.methods import Recommender
from pyg_mmrec.training.identity import check_same
from pyg_mmrec.training.schema import check_type

CHECKPOINT, HISTORY = "checkpoint.pt", "history.csv"
CONFIG, RESULT = "config.json", "result.json"
DATA = "data"  # a folder, where the data grew after the training
# In the order in which a run is removed: what a kill leaves is of one run, and the
# last to go tells which.
FILES = (RESULT, HISTORY, CHECKPOINT, CONFIG)
USERS = "users.parquet"  # of a comparison: what each user's test metrics were
SLICES = "slices.parquet"  # likewise, by the part of the items
_EVENTS = "events.out.tfevents.*"  # of TensorBoard


def held(folder: Path) -> list[str]:
    """Files of a run that lie in a folder."""
    return [name for name in FILES if (folder / name).exists()]


def check_free(folder: Path, resume: bool | None, overwrite: bool) -> None:
    """Refuse a new run in a folder that holds one.

    Args:
        folder: The output folder.
        resume: Whether the run there is to go on; ``None`` where nothing could.
        overwrite: Whether it is to be removed.

    Raises:
        MMRecError: If it holds a run and neither is asked for, or both are.
    """
    if resume and overwrite:
        raise MMRecError(
            "--resume goes on with the run in the output folder and --overwrite "
            "removes it: give one of them"
        )
    found = held(folder)
    if found and not (resume or overwrite):
        go_on = "" if resume is None else "continue it with --resume, "
        raise MMRecError(
            f"{folder} holds a run already ({', '.join(sorted(found))}): {go_on}remove "
            f"it with --overwrite, or choose another --output"
        )


def check_apart(folder: Path, data: Path) -> None:
    """Refuse the folder of the data as one of results, whose tables would join them.

    Args:
        folder: The output folder.
        data: The folder of the data set.

    Raises:
        MMRecError: If both are the same.
    """
    if folder.resolve() == data.resolve():
        raise MMRecError(
            f"{folder} holds the data, whose files a run's would be taken for: choose "
            f"another --output, such as {folder / 'runs'}"
        )


def check_config(
    folder: Path, description: Mapping[str, Any], method: type[Recommender]
) -> dict[str, Any]:
    """What the run in a folder tells of itself; empty if it holds none.

    Args:
        folder: The output folder.
        description: What is to go on.
        method: The method of what is to go on.

    Raises:
        MMRecError: If the folder holds another experiment.
    """
    path = folder / CONFIG
    if path.exists():
        kept = read_json(path)
        check_same(kept, description, path, method)
        return kept
    if held(folder):
        raise MMRecError(
            f"{folder} holds {' and '.join(held(folder))} without {CONFIG}, so it "
            f"cannot be told whose: start anew there with --overwrite, or choose "
            f"another --output"
        )
    return {}


def clear(folder: Path) -> None:
    """Remove a run, so that no part of it is ever beside one of the next.

    Raises:
        MMRecError: If a file cannot be removed.
    """
    files = (folder / name for name in (USERS, SLICES, *FILES))
    for path in (*files, *sorted(folder.glob(_EVENTS))):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise MMRecError(
                f"{path} cannot be removed ({error.strerror}): see that you may write "
                f"there, or choose another --output"
            ) from error
    if is_kept(folder / DATA):
        shutil.rmtree(folder / DATA, ignore_errors=True)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        MMRecError: If there is none that can be read.
    """
    if path.is_dir():
        raise MMRecError(f"{path} is a folder: name the file in it, {path / CONFIG}")
    if not path.exists():
        raise MMRecError(f"{path} is not there: name the folder of a run, or its file")
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise MMRecError(
            f"{path} cannot be read ({error}): start anew there with --overwrite, or "
            f"name the folder of another run"
        ) from error
    check_type(value, dict, str(path))
    return value


def read_history(path: Path) -> pd.DataFrame:
    """The table of a run's epochs.

    Raises:
        MMRecError: If it cannot be read.
    """
    try:
        table = pd.read_csv(path)
        table = table.apply(pd.to_numeric)
    except (OSError, ValueError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise MMRecError(
            f"{path} is no table of epochs ({reason}): name the folder of another run"
        ) from error
    if "epoch" not in table:
        raise MMRecError(
            f"{path} is no table of epochs (it has no column 'epoch'): name the folder "
            f"of another run"
        )
    return table


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON whole or not at all."""
    with replacing(path) as file:
        file.write((json.dumps(value, indent=2) + "\n").encode())
