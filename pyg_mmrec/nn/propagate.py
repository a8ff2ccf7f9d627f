"""Several layers of any PyG convolution over a relation or between users and items."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from copy import deepcopy
from typing import Any, Literal, get_args

import torch
import torch_geometric.nn as pyg_nn
from torch import Tensor, nn

from pyg_mmrec.adjacency import Adjacency, full_precision
from pyg_mmrec.embeddings import Branch
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.nn.conv import BipartiteConv, WeightedConv
from pyg_mmrec.plugins import find, is_place

Conv = str | Callable[[], nn.Module]
Combine = Literal["mean", "last", "sum"]
Pair = tuple[Tensor, Tensor]


def build_conv(conv: Conv, dim: int) -> nn.Module:
    """Make one layer from a name or a callable, and see that it fits.

    Args:
        conv: ``"WeightedConv"`` (the light one), the name of a class of
            ``torch_geometric.nn`` that is built from ``(in_channels,
            out_channels)``, where the class of another lies (``"mine.py:MyConv"``,
            ``"module:MyConv"``), or a callable that returns a layer ``dim -> dim``.
        dim: Width of its input and output.

    Raises:
        MMRecError: If no layer has this name, or it cannot be made from the width
            alone, does not work on features and edges, or returns another width.
    """
    if conv == WeightedConv.__name__:
        return WeightedConv()
    name = conv if isinstance(conv, str) else "the given one"
    try:
        layer = _named(conv, dim) if isinstance(conv, str) else conv()
    except MMRecError:
        raise
    except Exception as error:  # layers of others raise whatever they like
        raise MMRecError(
            f"the layer {name!r} cannot be made from its width alone "
            f"({_first_line(error)}): choose another, or give a callable that makes it"
        ) from error
    _check_conv(name, layer, dim)
    return layer


def _named(conv: str, dim: int) -> nn.Module:
    own = is_place(conv)
    cls: Any = find(conv, nn.Module) if own else getattr(pyg_nn, conv, None)
    if cls is None or not (own or conv.endswith("Conv")):
        names = [name for name in dir(pyg_nn) if name.endswith("Conv")]
        raise unknown("layer", conv, [WeightedConv.__name__, *names])
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
            out = apply_conv(trial, torch.zeros(2, dim, device=device), adj)
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


def apply_conv(layer: nn.Module, x: Tensor, adj: Adjacency) -> Tensor:
    """Apply one layer to a relation among nodes of one type, ``[N, d]``.

    A layer of this package takes the matrix. Any other takes the edges, and their
    weights if its ``forward`` knows ``edge_weight`` and it does not normalise on
    its own.
    """
    if isinstance(layer, WeightedConv):
        return layer(x, adj)
    accepted = inspect.signature(layer.forward).parameters
    if "edge_weight" in accepted and not getattr(layer, "normalize", False):
        return layer(x, adj.edge_index, edge_weight=adj.edge_weight)
    return layer(x, adj.edge_index)


class Propagate(nn.Module):
    r"""``num_layers`` convolutions and a read-out of their layers.

    .. math::
        \mathbf{x}^{(l+1)} = \mathrm{conv}_l(\mathbf{x}^{(l)}, \mathcal{G})

    ``combine="mean"`` returns :math:`\frac{1}{L+1} \sum_{l=0}^L \mathbf{x}^{(l)}`
    (LightGCN), ``"last"`` :math:`\mathbf{x}^{(L)}`, and ``"sum"``
    :math:`\sum_{l=1}^L \mathbf{x}^{(l)}`.

    Args:
        num_layers: Number of layers ``L``; 0 returns the input.
        conv: A layer by name or callable, see :func:`build_conv`.
        dim: Width of one block. An input of several blocks side by side (ids and
            modalities) is propagated at once where the layer has no parameters,
            else block by block with the same parameters.
        combine: How the layers are read out.

    Raises:
        MMRecError: For an unknown layer, ``combine`` or a negative ``num_layers``.

    Example:
        >>> import torch
        >>> from pyg_mmrec import BipartiteNorm, Synthetic
        >>> from pyg_mmrec.adjacency import adjacency
        >>> from pyg_mmrec.nn import Propagate
        >>> data = BipartiteNorm()(Synthetic(num_users=50, num_items=40)[0])
        >>> adj = adjacency(data, ("user", "interacts", "item"))
        >>> propagate = Propagate(num_layers=2, conv="SAGEConv", dim=8)
        >>> user, item = torch.randn(50, 8), torch.randn(40, 8)
        >>> [x.shape for x in propagate.bipartite(user, item, adj)]
        [torch.Size([50, 8]), torch.Size([40, 8])]
    """

    def __init__(
        self,
        num_layers: int,
        conv: Conv = "WeightedConv",
        dim: int = 64,
        combine: Combine = "mean",
    ) -> None:
        super().__init__()
        if num_layers < 0:
            raise MMRecError(f"'num_layers' needs to be at least 0 (got {num_layers})")
        if combine not in get_args(Combine):
            raise unknown("way to combine layers", combine, get_args(Combine))
        self.dim = dim
        self.combine = combine
        self.layers = nn.ModuleList(build_conv(conv, dim) for _ in range(num_layers))
        self._pairs = BipartiteConv()

    def forward(self, x: Tensor, adj: Adjacency) -> Tensor:
        """Propagate over a relation among nodes of one type, ``[N, B * dim]``."""
        return self._combined(self.layers_of(x, adj))

    def layers_of(self, x: Tensor, adj: Adjacency) -> list[Tensor]:
        """Nodes of one type after each layer, the input first: ``L + 1`` tensors."""
        layers = [x]
        for layer in self.layers:
            layers.append(self._convolve(layer, layers[-1], adj))
        return layers

    def bipartite(self, user: Tensor, item: Tensor, adj: Adjacency) -> Branch:
        """Propagate between users and items, both ``[*, B * dim]``.

        A layer of this package works on the pair; any other on the union of both
        node sets with edges in both directions.
        """
        if all(isinstance(layer, WeightedConv) for layer in self.layers):
            return self._light(user, item, adj)
        both = self(torch.cat([user, item]), adj.union)
        return Branch(*both.split([user.size(0), item.size(0)]))

    @torch.compiler.disable
    def _light(self, user: Tensor, item: Tensor, adj: Adjacency) -> Branch:
        args = len(self.layers), self.combine, self._pairs, adj
        return Branch(
            *_LightPropagation.apply(*map(full_precision, (user, item)), *args)
        )

    def layers_bipartite(
        self, user: Tensor, item: Tensor, adj: Adjacency
    ) -> list[Branch]:
        """Users and items after each layer, the input first: ``L + 1`` branches.

        What :meth:`bipartite` combines, for methods that read every layer.
        """
        layers = [Branch(user, item)]
        sizes = [user.size(0), item.size(0)]
        for layer in self.layers:
            x = layers[-1]
            if isinstance(layer, WeightedConv):
                x = Branch(*self._pairs(x, adj))
            else:
                both = self._convolve(layer, torch.cat(x), adj.union)
                x = Branch(*both.split(sizes))
            layers.append(x)
        return layers

    def _combined(self, layers: list[Tensor]) -> Tensor:
        if self.combine == "last" or len(layers) == 1:
            return layers[-1]
        if self.combine == "sum":
            return _sum(layers[1:])
        return _sum(layers) * (1 / len(layers))

    def _convolve(self, layer: nn.Module, x: Tensor, adj: Adjacency) -> Tensor:
        if isinstance(layer, WeightedConv) or x.size(-1) == self.dim:
            return apply_conv(layer, x, adj)
        blocks = x.split(self.dim, dim=-1)
        return torch.cat([apply_conv(layer, block, adj) for block in blocks], dim=-1)


class _LightPropagation(torch.autograd.Function):
    r"""All layers of a light bipartite propagation as one linear map.

    The union of both directions is symmetric, so the map :math:`\mathbf{y} = \sum_l
    c_l \mathbf{A}^l \mathbf{x}` is its own transpose: the backward pass is the same
    propagation of the gradient. Each layer becomes the sum up to it as soon as the
    next is known, so that no third copy is kept.
    """

    @staticmethod
    def forward(
        ctx: Any,
        user: Tensor,
        item: Tensor,
        num_layers: int,
        combine: Combine,
        conv: BipartiteConv,
        adj: Adjacency,
    ) -> tuple[Tensor, Tensor]:
        ctx.args = (num_layers, combine, conv, adj)
        given = x = (user, item)
        total = given if combine == "mean" else None  # of the layers before x
        for _ in range(num_layers):
            after = conv(x, adj)
            if x is not given and combine != "last":
                total = _add_into(x, total)  # nothing reads this layer any more
            x = after
        if x is given:  # an output must not be an input
            return user.clone(), item.clone()
        if combine != "last":
            x = _add_into(x, total)
        if combine == "mean":
            for part in x:
                part.mul_(1 / (num_layers + 1))
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        user, item = _LightPropagation.apply(*grads, *ctx.args)
        return user, item, None, None, None, None


def _add_into(x: Pair, other: Pair | None) -> Pair:
    """Add users to users and items to items, in place."""
    if other is not None:
        for part, more in zip(x, other, strict=True):
            part.add_(more)
    return x


def _sum(tensors: list[Tensor]) -> Tensor:
    total = tensors[0]
    for tensor in tensors[1:]:
        total = total + tensor
    return total
