"""The snapshot that requests read, and how another takes its place."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.service.config import Place
from pyg_mmrec.service.journal import Batch, Journal
from pyg_mmrec.service.snapshot import (
    Conflict,
    NotOffered,
    Snapshot,
    checkpoint_of,
    load_version,
)
from pyg_mmrec.serving.index import Index

_LOG = logging.getLogger("pyg_mmrec.service")
Stamp = tuple[int, int, int]


class Holder:
    """Keeps one snapshot, and puts a newer one in its place whole.

    A request takes :attr:`current` once and reads nothing else, so a reload in its
    midst changes nothing for it. The file of the run, and that of the added items,
    are looked at every few seconds: a run that is trained anew reaches all workers
    without a word between them.

    Args:
        place: The run, where added items are kept, and the options.

    Attributes:
        current: The snapshot.
        changed: What is called after another one is in place.
        problem: Why the last reload failed, if it did.

    Raises:
        MMRecError: If there is no finished run.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.changed: Callable[[Holder], None] = lambda _: None
        self.journal = Journal(place.state)
        self.problem: str | None = None
        self._lock = threading.Lock()
        self._look, self._stop = threading.Event(), False
        self._stamp = _stamp(place.run)
        index, self._version = self._load()
        self._read = 0
        self._unfit: dict[tuple[Stamp, int], str] = {}  # the last that did not fit
        self.current = Snapshot(index, self._version, place.config)
        self._catch_up()

    def refresh(self) -> bool:
        """Load what has changed; what cannot be loaded leaves all as it was.

        Returns:
            Whether another snapshot is in place.

        Raises:
            MMRecError: If it could not be loaded.
        """
        with self._lock:
            try:
                changed = self._reload()
                changed |= self._catch_up()
            except MMRecError as error:
                self.problem = str(error)
                raise
            self.problem = None
        if changed:
            self.changed(self)
        return changed

    def add(self, batch: Batch) -> Snapshot:
        """Add items for all workers, or none of them.

        Args:
            batch: What is asked, as the journal keeps it.

        Raises:
            NotOffered: If the run cannot take items.
            Conflict: If one of them is there.
            MMRecError: If their features do not fit.
        """
        with self._lock, self.journal.held():
            self._reload()
            self._catch_up()
            _refuse_known(self.current.index, batch)
            index = grown(self.current.index, batch)  # which refuses what does not fit
            self.journal.append(batch)
            self._read = self.journal.read(self._read)[1]
            added = self.current.added + len(batch)
            self.current = Snapshot(index, self._version, self.place.config, added)
        self.changed(self)
        return self.current

    def watch(self) -> None:
        """Look for changes in a thread of its own until :meth:`close`."""
        threading.Thread(target=self._watch, daemon=True, name="watch").start()

    def touch(self) -> None:
        """Look for changes now, in that thread."""
        self._look.set()

    def close(self) -> None:
        """End the watching."""
        self._stop = True
        self._look.set()

    def _watch(self) -> None:
        while True:
            told = self.problem
            self._look.wait(self.place.config.watch)
            self._look.clear()
            if self._stop:
                return
            if self.place.parent not in (0, os.getppid()):
                # Nobody is left who would end or replace this process.
                signal.raise_signal(signal.SIGTERM)
                return
            try:
                if self.refresh():
                    _LOG.info("process %d serves %s", os.getpid(), self.current.version)
            except Exception as error:  # the old version stays in service
                self.problem = str(error) or type(error).__name__
                if self.problem != told:  # once, not at every look
                    _LOG.warning("not reloaded: %s", self.problem)

    def _load(self) -> tuple[Index, str]:
        return load_version(self.place.run, self.place.config.index_only)

    def _reload(self) -> bool:
        """Read the run again if its file is another."""
        stamp = _stamp(self.place.run)
        if stamp == self._stamp:
            return False
        both = stamp, self.journal.size()
        if both in self._unfit:  # a run is not read at every look
            raise MMRecError(self._unfit[both])
        base, version = self._load()
        if version == self._version:
            self._stamp = stamp
            return False
        try:
            index, added, read = self._grown(base, 0)
        except MMRecError as error:
            told = (
                f"the new version of {self.place.run} is not served, for an item that "
                f"was added does not fit it ({error}): take it out of "
                f"{self.journal.path}, or train with the same features"
            )
            self._unfit = {both: told}
            raise MMRecError(told) from error
        # Only now, so that what fails is tried again and leaves no trace.
        self.current = Snapshot(index, version, self.place.config, added)
        self._stamp, self._version, self._read = stamp, version, read
        return True

    def _catch_up(self) -> bool:
        """Add the items that other workers have taken since."""
        if self.journal.size() <= self._read:
            return False
        index, added, self._read = self._grown(self.current.index, self._read)
        if not added:
            return False
        total = self.current.added + added
        self.current = Snapshot(index, self._version, self.place.config, total)
        return True

    def _grown(self, index: Index, start: int) -> tuple[Index, int, int]:
        """An index with what the journal holds from a place on, how much, its end."""
        batches, end = self.journal.read(start)
        count = 0
        for batch in batches:
            # A run that was trained anew may have learned some of them.
            new = [item for item in batch if item["id"] not in index.item_ids]
            if new:
                index, count = grown(index, new), count + len(new)
        return index, count, end


def grown(index: Index, batch: Batch) -> Index:
    """An index with items added; the old one is as it was.

    Raises:
        NotOffered: If the index takes none.
        MMRecError: If their features do not fit.
    """
    if index.extension is None:
        raise NotOffered(
            "this service has no model to place new items by: serve the run's folder "
            "without --index-only"
        )
    ids = [item["id"] for item in batch]
    names = sorted({name for item in batch for name in item["features"]})
    features = {m: [item["features"].get(m) for item in batch] for m in names}
    # As in a folder of data: an item without a title goes by its id.
    titles = [item["title"] or str(item["id"]) for item in batch]
    told = [item.get("columns", {}) for item in batch]  # older journals have none
    columns = {name: [each.get(name) for each in told] for one in told for name in one}
    return index.add_items(
        features, ids, titles if index.item_titles else None, columns
    )


def _refuse_known(index: Index, batch: Batch) -> None:
    ids = [item["id"] for item in batch]
    if len(set(ids)) < len(ids):
        raise Conflict("an item is named twice: name each once")
    for raw in ids:
        if raw in index.item_ids:
            raise Conflict(f"there is an item {raw!r} already")


def _stamp(run: str | Path) -> Stamp:
    """What changes where another file takes the place of a run's."""
    try:
        found = os.stat(checkpoint_of(run))
    except OSError:
        return (0, 0, 0)
    return found.st_ino, found.st_mtime_ns, found.st_size
