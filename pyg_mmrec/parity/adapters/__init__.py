"""An adapter for each method whose authors' code is public."""

from __future__ import annotations

from pyg_mmrec.parity.adapter import Adapter
from pyg_mmrec.parity.adapters import (
    apegnn,
    collaborative,
    diffmm,
    id_guided,
    item_graphs,
    mgdn,
    micro,
    mig_gt,
    mmssl,
    modal_graphs,
    rearm,
    recent,
    sand,
)

ADAPTERS: dict[str, Adapter] = {
    adapter.method: adapter
    for module in (
        apegnn,
        collaborative,
        diffmm,
        id_guided,
        item_graphs,
        mgdn,
        micro,
        mig_gt,
        mmssl,
        modal_graphs,
        rearm,
        recent,
        sand,
    )
    for adapter in module.ADAPTERS
}
