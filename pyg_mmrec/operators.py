"""Sparse products as operators of PyTorch, with gradients of their own.

``torch.compile`` passes through them without a break, and ``FakeTensorMode`` knows
the shapes that they return. Each is linear in its dense arguments, and its backward
pass consists of operators of this module, so that further derivatives work as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from pyg_mmrec.sparse import Entries, multiply, sampled_products

Combine = Literal["mean", "last", "sum"]
Pair = tuple[Tensor, Tensor]
Grads = tuple[Tensor | None, ...]

_OPS = torch.ops.pyg_mmrec
_ENTRIES, _ENTRIES_T, _BACK, _BACK_T = (
    f"Tensor start{x}, Tensor column{x}, Tensor value{x}"
    for x in ("", "_t", "_back", "_back_t")
)


# Sparse @ dense ----------------------------------------------------------------------


def sparse_dense(matrix: Entries, matrix_t: Entries, x: Tensor) -> Tensor:
    """Sparse @ dense, differentiable in ``x``.

    Autograd's own backward of a CSR product is 2 to 20 times slower than the forward:
    it transposes the matrix anew at every call. Here the transpose is given.

    Args:
        matrix: The sparse one, ``[n, m]``.
        matrix_t: Its transpose.
        x: ``[m, d]``.

    Returns:
        ``[n, d]``.
    """
    return _OPS.sparse_dense.default(*matrix, *matrix_t, x)


def _sparse_dense(*args: Tensor) -> Tensor:
    return multiply(Entries(*args[:3]), args[6])


def _sparse_dense_shape(*args: Tensor) -> Tensor:
    start, x = args[0], args[6]
    return x.new_empty(start.shape[0] - 1, x.shape[1])


def _sparse_dense_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:6])


def _sparse_dense_backward(ctx: Any, grad: Tensor) -> Grads:
    saved = ctx.saved_tensors
    grad_x = sparse_dense(Entries(*saved[3:]), Entries(*saved[:3]), grad)
    return *(None,) * 6, grad_x


# Light propagation -------------------------------------------------------------------


def light_propagation(
    pair: Pair,
    forth: Entries,
    back: Entries,
    num_layers: int,
    combine: Combine,
    transposed: tuple[Entries, Entries] | None = None,
) -> Pair:
    r"""All layers of a light bipartite propagation as one linear map.

    Where both directions have the same edges, their union is symmetric and the map
    :math:`\mathbf{y} = \sum_l c_l \mathbf{A}^l \mathbf{x}` its own transpose: the
    backward pass is the same propagation of the gradient; else that of
    :math:`\mathbf{A}^{\top}`. Layers are summed by pairs, then pairs of pairs:
    :math:`\sum_{l<6} \mathbf{A}^l = (\mathbf{I} + \mathbf{A}^2 + \mathbf{A}^4)
    (\mathbf{I} + \mathbf{A})` takes as many products and fewer additions.

    Args:
        pair: Users ``[U, d]`` and items ``[I, d]``.
        forth: The edges users -> items, a matrix ``[I, U]``.
        back: Those items -> users, ``[U, I]``.
        num_layers: Number of layers ``L``.
        combine: See :class:`~pyg_mmrec.nn.Propagate`.
        transposed: The transposes of ``forth`` and ``back``, where these are not each
            other's.
    """
    forth_t, back_t = transposed or (back, forth)
    entries = *forth, *back, *forth_t, *back_t
    return _OPS.light_propagation.default(*pair, *entries, num_layers, combine)


def _light_propagation(user: Tensor, item: Tensor, *args: Any) -> Pair:
    forth, back = Entries(*args[:3]), Entries(*args[3:6])
    num_layers, combine = args[12:]

    def layers(x: Pair, count: int) -> Pair:
        for _ in range(count):
            x = multiply(back, x[1]), multiply(forth, x[0])
        return x

    x = (user, item)
    if num_layers == 0:  # an output must not be an input
        return user.clone(), item.clone()
    if combine == "last":
        return layers(x, num_layers)
    if combine == "sum":
        return layers(_sum_of_layers(layers, x, num_layers), 1)
    x = _sum_of_layers(layers, x, num_layers + 1)
    for part in x:
        part.mul_(1 / (num_layers + 1))
    return x


def _sum_of_layers(
    layers: Callable[[Pair, int], Pair], x: Pair, count: int, apart: int = 1
) -> Pair:
    """The input and what is ``apart``, 2 ``apart``, ... layers after it, summed."""
    if count == 1:
        return x
    if count % 2:
        rest = _sum_of_layers(layers, x, count - 1, apart)
        return _add_into(layers(rest, apart), x)
    pairs = _add_into(layers(x, apart), x)
    return _sum_of_layers(layers, pairs, count // 2, 2 * apart)


def _add_into(x: Pair, other: Pair) -> Pair:
    """Add users to users and items to items, in place."""
    for part, more in zip(x, other, strict=True):
        part.add_(more)
    return x


def _light_propagation_shape(user: Tensor, item: Tensor, *args: Any) -> Pair:
    return user.new_empty(user.shape), item.new_empty(item.shape)


def _light_propagation_setup(ctx: Any, inputs: tuple[Any, ...], output: Pair) -> None:
    ctx.save_for_backward(*inputs[2:14])
    ctx.options = inputs[14:]


def _light_propagation_backward(ctx: Any, *grads: Tensor) -> Grads:
    saved = ctx.saved_tensors
    forth, back, forth_t, back_t = (Entries(*saved[i : i + 3]) for i in (0, 3, 6, 9))
    num_layers, combine = ctx.options
    # Users' entries came to items by `forth`, so items' gradients go back by `forth_t`.
    found = light_propagation(
        (grads[0], grads[1]), back_t, forth_t, num_layers, combine, (back, forth)
    )
    return *found, *(None,) * 14


# Weights that are learned ------------------------------------------------------------


def weighted_sum(
    x: Tensor, weight: Tensor, places: Entries, places_t: Entries
) -> Tensor:
    """Sparse @ dense with a gradient for the entries of the sparse matrix.

    Args:
        x: Entries of the neighbours, ``[m, d]``.
        weight: Weights of the edges, ``[E]``.
        places: The sparse matrix, ``[n, m]``, whose values tell which edge each entry
            is.
        places_t: Its transpose, likewise.

    Returns:
        Sums over each centre's edges, ``[n, d]``, differentiable in ``x`` and
        ``weight``.
    """
    return _OPS.weighted_sum.default(x, weight, *places, *places_t)


def _weighted_sum(x: Tensor, weight: Tensor, *args: Tensor) -> Tensor:
    start, column, place = args[:3]
    return multiply(Entries(start, column, weight[place]), x)


def _weighted_sum_shape(x: Tensor, weight: Tensor, *args: Tensor) -> Tensor:
    return x.new_empty(args[0].shape[0] - 1, x.shape[1])


def _saved(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _weighted_sum_backward(ctx: Any, grad: Tensor) -> Grads:
    x, weight, *args = ctx.saved_tensors
    places, places_t = Entries(*args[:3]), Entries(*args[3:])
    of_x = of_weight = None
    if ctx.needs_input_grad[0]:
        of_x = weighted_sum(grad, weight, places_t, places)
    if ctx.needs_input_grad[1]:
        of_weight = edge_products(x, grad, places, places_t)
    return of_x, of_weight, *(None,) * 6


def edge_products(
    source: Tensor, target: Tensor, places: Entries, places_t: Entries
) -> Tensor:
    """Inner product of the two ends of each edge.

    Args:
        source: Entries of the nodes as neighbours, ``[m, d]``.
        target: Entries of the nodes as centres, ``[n, d]``.
        places: See :func:`weighted_sum`.
        places_t: Likewise.

    Returns:
        ``[E]``, differentiable in both.
    """
    return _OPS.edge_products.default(source, target, *places, *places_t)


def _edge_products(source: Tensor, target: Tensor, *args: Tensor) -> Tensor:
    places = Entries(*args[:3])
    found = sampled_products(places, target, source)
    return torch.empty_like(found).scatter_(0, places.value, found)


def _edge_products_shape(source: Tensor, target: Tensor, *args: Tensor) -> Tensor:
    return source.new_empty(args[2].shape[0])


def _edge_products_backward(ctx: Any, grad: Tensor) -> Grads:
    source, target, *args = ctx.saved_tensors
    places, places_t = Entries(*args[:3]), Entries(*args[3:])
    of_source = of_target = None
    if ctx.needs_input_grad[0]:
        of_source = weighted_sum(target, grad, places_t, places)
    if ctx.needs_input_grad[1]:
        of_target = weighted_sum(source, grad, places, places_t)
    return of_source, of_target, *(None,) * 6


def _define(name: str, schema: str, kernel: Any, shape: Any, ways: Any) -> None:
    """Make an operator known, once per process."""
    torch.library.custom_op(name, kernel, mutates_args=(), schema=schema)
    torch.library.register_fake(name, shape)
    backward, setup = ways
    torch.library.register_autograd(name, backward, setup_context=setup)


_define(
    "pyg_mmrec::sparse_dense",
    f"({_ENTRIES}, {_ENTRIES_T}, Tensor x) -> Tensor",
    _sparse_dense,
    _sparse_dense_shape,
    (_sparse_dense_backward, _sparse_dense_setup),
)
_define(
    "pyg_mmrec::light_propagation",
    f"(Tensor user, Tensor item, {_ENTRIES}, {_BACK}, {_ENTRIES_T}, {_BACK_T}, "
    f"int num_layers, str combine) -> (Tensor, Tensor)",
    _light_propagation,
    _light_propagation_shape,
    (_light_propagation_backward, _light_propagation_setup),
)
_define(
    "pyg_mmrec::weighted_sum",
    f"(Tensor x, Tensor weight, {_ENTRIES}, {_ENTRIES_T}) -> Tensor",
    _weighted_sum,
    _weighted_sum_shape,
    (_weighted_sum_backward, _saved),
)
_define(
    "pyg_mmrec::edge_products",
    f"(Tensor source, Tensor target, {_ENTRIES}, {_ENTRIES_T}) -> Tensor",
    _edge_products,
    _edge_products_shape,
    (_edge_products_backward, _saved),
)
