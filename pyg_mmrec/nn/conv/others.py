"""Layers that others wrote: found by name, and tried before they are used."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
import torch_geometric.nn as pyg_nn
from torch import Tensor, nn

from pyg_mmrec.adjacency import Adjacency
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.plugins import find, is_place

Conv = str | Callable[[], nn.Module]


def other_conv(conv: Conv, dim: int, own: str) -> nn.Module:
    """A layer that is not this package's, by name or callable, once it is tried.

    Args:
        conv: See :func:`~pyg_mmrec.nn.conv.propagate.build_conv`.
        dim: Width of its input and output.
        own: What this package's is called, which is named where another is unknown.

    Raises:
        MMRecError: If no layer has this name, or it cannot be made from the width
            alone, does not work on features and edges, or returns another width.
    """
    name = conv if isinstance(conv, str) else "the given one"
    try:
        layer = _named(conv, dim, own) if isinstance(conv, str) else conv()
    except MMRecError:
        raise
    except Exception as error:  # layers of others raise whatever they like
        raise MMRecError(
            f"the layer {name!r} cannot be made from its width alone "
            f"({_first_line(error)}): choose another, or give a callable that makes it"
        ) from error
    _check_conv(name, layer, dim)
    return layer


def apply_to_edges(layer: nn.Module, x: Tensor, adj: Adjacency) -> Tensor:
    """Apply a layer to the edges of a relation among nodes of one type, ``[N, d]``.

    It gets their weights if its ``forward`` knows ``edge_weight`` and it does not
    normalise on its own.
    """
    accepted = inspect.signature(layer.forward).parameters
    if "edge_weight" in accepted and not getattr(layer, "normalize", False):
        return layer(x, adj.edge_index, edge_weight=adj.edge_weight)
    return layer(x, adj.edge_index)


def _named(conv: str, dim: int, own: str) -> nn.Module:
    place = is_place(conv)
    cls: Any = find(conv, nn.Module) if place else getattr(pyg_nn, conv, None)
    if cls is None or not (place or conv.endswith("Conv")):
        names = [name for name in dir(pyg_nn) if name.endswith("Conv")]
        raise unknown("layer", conv, [own, *names])
    accepted = inspect.signature(cls.__init__).parameters
    # Relations are normalised by a transform; a layer must not do it again.
    options = {n: False for n in ("normalize", "add_self_loops") if n in accepted}
    if "in_channels" in accepted:
        return cls(dim, dim, **options)
    return cls(**options)


@torch.no_grad()
def _check_conv(name: str, layer: nn.Module, dim: int) -> None:
    """Try a copy of a layer on two nodes; the layer itself may keep what it saw."""
    trial = deepcopy(layer).eval()
    device = next((p.device for p in layer.parameters()), torch.device("cpu"))
    edges = torch.tensor([[0, 1], [1, 0]], device=device)
    adj = Adjacency(edges, torch.ones(2, device=device), (2, 2))
    try:
        with torch.random.fork_rng(devices=[]):
            out = apply_to_edges(trial, torch.zeros(2, dim, device=device), adj)
    except Exception as error:  # likewise
        raise MMRecError(
            f"the layer {name!r} does not take {dim} columns and edges alone "
            f"({_first_line(error)}): choose another, or one of this width"
        ) from error
    if not isinstance(out, Tensor) or out.shape != (2, dim):
        found = list(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise MMRecError(
            f"the layer {name!r} makes {found} of [2, {dim}]: give one whose output "
            f"is as wide as its input"
        )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
