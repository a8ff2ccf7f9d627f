"""What a service is told, and how its workers come to know it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Literal

from pyg_mmrec.config import checked, from_dict, option, to_dict
from pyg_mmrec.extras import check_extra

_VARIABLE = "PYG_MMREC_SERVICE"
_NEEDS = ("fastapi", "uvicorn", "prometheus_client")


@checked
@dataclass
class ServiceConfig:
    """Options of a service beyond its run and its place."""

    search: Literal["exact", "faiss"] = option(
        "exact",
        "exact: in blocks, up to about a million items; faiss: lists by k-means (extra "
        "'faiss'), with the recall that is measured at the start",
    )
    probes: int = option(
        32, "lists that faiss searches: more find more, slower", min=1, max=65_536
    )
    max_k: int = option(1000, "most items that a request gets", min=1, max=100_000)
    max_ids: int = option(
        10_000, "most ids in a history, allow or deny", min=1, max=1_000_000
    )
    max_items: int = option(1000, "most items that a request adds", min=1, max=100_000)
    max_body: int = option(
        4_000_000, "most bytes of a request", min=1000, max=1_000_000_000
    )
    watch: float = option(
        1.0,
        "seconds between looks at whether the run or the items added have changed",
        min=0.05,
        max=3600,
    )
    threads: int = option(1, "threads of a search", min=1, max=256)
    read_only: bool = option(False, "take no /items and no /reload")
    index_only: bool = option(
        False,
        "serve the checkpoint alone, without the model and its data: no new items, and "
        "histories by the mean of their items' embeddings",
    )


@dataclass
class Place:
    """A run, where its service keeps the items added, and the options.

    Args:
        run: Folder of a finished run, or its checkpoint.
        state: Folder of the items added, which all workers read.
        config: The options.
        parent: The process without which a worker ends, or 0.
    """

    run: str
    state: str
    config: ServiceConfig
    parent: int = 0

    def to_environment(self) -> None:
        """Tell the processes that this one starts."""
        told = {
            "run": self.run,
            "state": self.state,
            "config": to_dict(self.config),
            "parent": os.getpid(),
        }
        os.environ[_VARIABLE] = json.dumps(told)

    @classmethod
    def from_environment(cls) -> Place:
        """What the process that started this one told."""
        told = json.loads(os.environ[_VARIABLE])
        config = from_dict(ServiceConfig, told["config"])
        return cls(told["run"], told["state"], config, told["parent"])


def check_installed() -> None:
    """Refuse to serve without the extra.

    Raises:
        MMRecError: If a part of it is not installed.
    """
    check_extra("serve", _NEEDS)
