"""An order of equals that makes no node a hub.

Among equals, the lowest index would be everyone's neighbour: of a hundred items with
the same features, ten would get all edges. So each node has an order of its own, which
depends on nothing but the two nodes. Functions here take tensors and arrays of int64
alike, and give the same numbers on any device.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch

Integers = TypeVar("Integers")  # a tensor or an array of int64

_SEED = 0x6A09E667
# Odd constants of SplitMix64, as signed integers.
_MULTIPLIERS = (-4658895280553007687, -7723592293110705685)


def index_bits(count: int) -> int:
    """Bits that the indices of so many nodes take, at least one."""
    return max(int(count - 1).bit_length(), 1)


def tie_masks(node: Integers, bits: int) -> Integers:
    """A random number of some bits for each node.

    Args:
        node: Indices.
        bits: See :func:`index_bits`, of the nodes that are to be ordered.
    """
    x: Any = node
    x = x + _SEED
    for multiplier in _MULTIPLIERS:
        x = (x ^ (x >> 31)) * multiplier  # wraps around
    return (x ^ (x >> 31)) & ((1 << bits) - 1)


def order_for_others(num_nodes: int, device: Any = None) -> torch.Tensor:
    """An order of nodes for all who look among them and are none of them.

    Who joins a graph finds among equals what anybody with the same content, or
    history, would, and not those of lowest index, which often are the oldest.

    Args:
        num_nodes: Number of nodes.
        device: Where the order is needed.

    Returns:
        The nodes in that order, ``[N]``.
    """
    bits, nodes = index_bits(num_nodes), torch.arange(num_nodes + 1, device=device)
    masks = tie_masks(nodes[-1:], bits)
    return tie_ranks(nodes[:-1], masks, bits).argsort()


def tie_ranks(other: Integers, masks: Integers, bits: int) -> Integers:
    """Places of other nodes in the order of a node: a permutation of some bits.

    Args:
        other: Indices.
        masks: :func:`tie_masks` of the nodes whose order it is.
        bits: As there.
    """
    x: Any = other
    x = x ^ masks
    for multiplier in _MULTIPLIERS:
        x = (x * multiplier) & ((1 << bits) - 1)
        x = x ^ (x >> _shift(bits))
    return x


def tied_nodes(ranks: Integers, masks: Integers, bits: int) -> Integers:
    """The nodes at some places: what undoes :func:`tie_ranks`."""
    x: Any = ranks
    for multiplier in reversed(_MULTIPLIERS):
        x = x ^ (x >> _shift(bits))  # undoes itself, over half the bits or more
        x = (x * pow(multiplier, -1, 1 << bits)) & ((1 << bits) - 1)
    return x ^ masks


def _shift(bits: int) -> int:
    return (bits + 1) // 2
