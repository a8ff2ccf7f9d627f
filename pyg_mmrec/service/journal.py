"""Items added to a running service: one file that all of its workers read."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyg_mmrec.errors import MMRecError

if sys.platform == "win32":  # where a service has one worker
    fcntl = None
else:
    import fcntl

Batch = list[dict[str, Any]]


class Journal:
    """Batches of added items, a line of JSON each, in the order of their coming.

    A line counts once it ends: what a killed worker left unfinished is nothing, and
    the next to write removes it.

    Args:
        folder: Where it lies; the folder is made where there is none.

    Raises:
        MMRecError: If the folder cannot be made.
    """

    def __init__(self, folder: Path | str) -> None:
        self.path = Path(folder) / "items.jsonl"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MMRecError(
                f"{folder} cannot be made ({error.strerror}): choose another --state"
            ) from error

    def size(self) -> int:
        """Bytes of it, which only grow."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def read(self, start: int = 0) -> tuple[list[Batch], int]:
        """Whole batches from a place on, and the place after them.

        Args:
            start: A place that this returned, or 0.

        Raises:
            MMRecError: If a line is none that was written here.
        """
        if self.size() <= start:
            return [], start
        with open(self.path, "rb") as file:
            file.seek(start)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        try:
            batches = [json.loads(line) for line in whole.splitlines()]
        except ValueError as error:
            raise MMRecError(
                f"{self.path} is no list of added items: choose another --state"
            ) from error
        return batches, start + len(whole)

    def append(self, batch: Batch) -> None:
        """Write a batch to the end; to be called while it is :meth:`held`."""
        line = (json.dumps(batch) + "\n").encode()
        with open(self.path, "ab") as file:
            _, end = self.read()
            file.truncate(end)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no other process write in the block."""
        with open(self.path.with_suffix(".lock"), "ab") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            yield
