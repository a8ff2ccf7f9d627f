"""What the service counts, as Prometheus reads it; of all workers together."""

from __future__ import annotations

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from pyg_mmrec.service.holder import Holder

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # set for several workers before they start
CONTENT_TYPE = CONTENT_TYPE_LATEST
_PATHS = {
    "/recommend", "/similar", "/items", "/reload", "/health", "/metrics",
    "/openapi.json", "/docs",
}  # fmt: skip
_SECONDS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
)  # fmt: skip


class Metrics:
    """Requests, their seconds, and what is served."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        name = "pyg_mmrec"
        self.requests = Counter(
            f"{name}_requests", "Answers by path and status", ["path", "status"],
            registry=self.registry,
        )  # fmt: skip
        self.seconds = Histogram(
            f"{name}_request_seconds", "Seconds from the request to the answer",
            ["path"], buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.reloads = Counter(
            f"{name}_reloads", "Snapshots put in place", registry=self.registry
        )
        self.items, self.users, self.added, self.recall = (
            Gauge(
                f"{name}_{what}", text, registry=self.registry,
                multiprocess_mode="mostrecent",
            )
            for what, text in (
                ("items", "Items served"),
                ("users", "Users known"),
                ("items_added", "Items added since the run was trained"),
                ("search_recall", "Share of the exact 20 best that the search finds"),
            )
        )  # fmt: skip

    def count(self, path: str, status: int, seconds: float) -> None:
        """Count an answer; paths that there are not count as one."""
        path = path if path in _PATHS else "other"
        self.requests.labels(path, str(status)).inc()
        self.seconds.labels(path).observe(seconds)

    def serving(self, holder: Holder) -> None:
        """Tell what is in place from now on."""
        snapshot = holder.current
        self.reloads.inc()
        self.items.set(len(snapshot.index.item_ids))
        self.users.set(len(snapshot.index.user_ids))
        self.added.set(snapshot.added)
        self.recall.set(snapshot.recall)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        if FOLDER not in os.environ:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return generate_latest(registry)
