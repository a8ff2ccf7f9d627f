"""An adapter for each method whose authors' code is public."""

from __future__ import annotations

from pyg_mmrec.parity.adapter import Adapter
from pyg_mmrec.parity.adapters import (
    apegnn,
    collaborative,
    item_graphs,
    mgdn,
    mig_gt,
    modal_graphs,
    rearm,
    sand,
)

ADAPTERS: dict[str, Adapter] = {
    adapter.method: adapter
    for module in (
        apegnn,
        collaborative,
        item_graphs,
        mgdn,
        mig_gt,
        modal_graphs,
        rearm,
        sand,
    )
    for adapter in module.ADAPTERS
}
