from __future__ import annotations

import numpy as np

from pyg_mmrec.ranking.ties import index_bits, tie_masks, tie_ranks


def rank_of(node: int, other: int, count: int) -> int:
    """Place of an equal among those of a node, of so many nodes."""
    bits = index_bits(count)
    masks = tie_masks(np.array([node]), bits)
    return int(tie_ranks(np.array([other]), masks, bits)[0])
