"""What rows that were never learned start with: those of nodes like them."""

from __future__ import annotations

import copy
from functools import partial

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.embeddings import Branch
from pyg_mmrec.graph import (
    ITEM,
    USER,
    features,
    modalities,
    num_trained,
    presence,
    taken_edges,
    train_edges,
)
from pyg_mmrec.growing import Fill, PerNode
from pyg_mmrec.methods import Recommender
from pyg_mmrec.parallel.tables import Rowwise
from pyg_mmrec.ranking.among import found_among
from pyg_mmrec.ranking.sparse import incidence
from pyg_mmrec.training.config import TrainConfig
from pyg_mmrec.training.regression import ContentRegression

LIKE_ITEMS, LIKE_USERS = 10, 20
"""How many items, or users, a new one takes after."""
_BLOCK = 256


def settled(model: Recommender, data: HeteroData, how: str = "alike") -> Recommender:
    """A copy whose items that nobody took start as items that join do.

    In a graph with cold items, such as that of ``Split("cold")``, their ids and offsets
    are what chance drew at the start of the training, for no interaction taught them.
    Here they are those of items alike; a method without features stays as it is.

    Args:
        model: A trained method.
        data: The graph that it was trained on.
        how: As of :func:`item_fill`.

    Example:
        >>> from pyg_mmrec import Evaluator, Synthetic, build
        >>> from pyg_mmrec.training.likeness import settled
        >>> data = Synthetic(num_users=50, num_items=40, split="cold")
        >>> trainer = build(data, "freedom", epochs=1, progress=False, device="cpu")
        >>> _ = trainer.fit()
        >>> rows = settled(trainer.model, trainer.data).rows(trainer.data)
        >>> cold = Evaluator(trainer.data, "test", ks=(5,), candidates="cold")
        >>> 0 <= cold(rows)["recall@5"] <= 1
        True
    """
    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(module, Rowwise):
            module.unshare()
    count = torch.bincount(train_edges(data)[1], minlength=int(data[ITEM].num_nodes))
    has = [presence(data, name) for name in modalities(data)]
    cold = count == 0
    if has:
        cold &= torch.stack(has).any(dim=0)
    index = cold.nonzero().flatten()
    if type(model).uses_features and has and index.numel():
        fill = item_fill(data, how, index)
        for module in model.modules():
            if isinstance(module, PerNode):
                module.settle(ITEM, index, fill)
    return model


def ranked_model(
    model: Recommender, data: HeteroData, config: TrainConfig
) -> Recommender:
    """The model whose rows validation, test and an index rank by.

    Where cold items alone are ranked it is :func:`settled`, unless ``cold_ids`` says
    otherwise: as the items would be served.

    Args:
        model: The method.
        data: The graph that it is trained on.
        config: How it is trained and evaluated.
    """
    if config.candidates == "cold" and config.cold_ids != "drawn":
        return settled(model, data, config.cold_ids)
    return model


def ranked_rows(model: Recommender, data: HeteroData, config: TrainConfig) -> Branch:
    """Final embeddings of :func:`ranked_model`, whose arguments it takes."""
    return ranked_model(model, data, config).rows(data)


def item_fill(data: HeteroData, how: str = "alike", new: Tensor | None = None) -> Fill:
    """What makes rows of new items, as ``cold_ids`` of a run says.

    Args:
        data: A graph that items have joined, with their features.
        how: ``"foreseen"`` for :func:`foreseen_items`, else :func:`like_items`.
        new: Which items; those that joined if ``None``.
    """
    if how == "foreseen":
        return foreseen_items(data, new)
    return like_items(data, new=new)


def like_items(
    data: HeteroData, k: int = LIKE_ITEMS, new: Tensor | None = None
) -> Fill:
    r"""Rows of new items: means over the trained items of the most similar content.

    .. math::
        \mathbf{e}_i = \frac{\sum_{j} s_{ij} \mathbf{e}_j}{\sum_j s_{ij}}, \qquad
        s_{ij} = \frac{1}{|\mathcal{M}_i|} \sum_{m \in \mathcal{M}_i \cap
        \mathcal{M}_j} \max(\cos(\mathbf{x}_i^m, \mathbf{x}_j^m), 0)

    over the ``k`` greatest :math:`s_{ij}` among items that somebody took: an id that
    no interaction ever taught says nothing. An item like no other takes the mean of
    all those.

    Args:
        data: A graph that items have joined, with their features.
        k: Items that a new one takes after.
        new: Which items; those that joined if ``None``.
    """
    first, total = num_trained(data, ITEM), int(data[ITEM].num_nodes)
    taken = train_edges(data)[1].unique()
    taken = taken[taken < first]
    if new is None:
        new = torch.arange(first, total, device=taken.device)
    likeness = torch.zeros(new.numel(), taken.numel(), device=taken.device)
    count = torch.zeros(new.numel(), 1, device=taken.device)
    for name in modalities(data):
        x, has = features(data, name), presence(data, name)
        has = has & (x != 0).any(dim=1)
        unit = partial(torch.nn.functional.normalize, dim=-1)
        rows = unit(x[new].double()) * has[new].unsqueeze(-1)
        for place in torch.arange(taken.numel(), device=taken.device).split(4096):
            others = unit(x[taken[place]].double()) * has[taken[place]].unsqueeze(-1)
            likeness[:, place] += (rows @ others.T).float().clamp(min=0.0)
        count += has[new].unsqueeze(-1)
    value, place = found_among(likeness / count.clamp(min=1.0), k)
    return _means(taken[place], value, taken)


def foreseen_items(data: HeteroData, new: Tensor | None = None) -> Fill:
    """Rows of new items: what their content tells of those of all trained items.

    By :class:`~pyg_mmrec.training.regression.ContentRegression` over the trained
    items that somebody took: an id that no interaction ever taught says nothing. An
    item without features takes the mean of all those.

    Args:
        data: A graph that items have joined, with their features.
        new: Which items; those that joined if ``None``.
    """
    if new is None:
        first, total = num_trained(data, ITEM), int(data[ITEM].num_nodes)
        new = torch.arange(first, total, device=train_edges(data).device)
    return ContentRegression.of(data).fill(data, new)


def like_users(data: HeteroData, k: int = LIKE_USERS) -> Fill:
    r"""Rows of new users: means over the trained users of the most common items.

    .. math::
        \mathbf{p}_u = \frac{\sum_{v} c_{uv} \mathbf{p}_v}{\sum_v c_{uv}}, \qquad
        c_{uv} = \frac{|\mathcal{N}(u) \cap \mathcal{N}(v)|}
        {\sqrt{|\mathcal{N}(u)| |\mathcal{N}(v)|}}

    over the ``k`` greatest :math:`c_{uv}`; a user who shares no item with anybody
    takes the mean of all.

    Args:
        data: A graph that users have joined, with their interactions.
        k: Users that a new one takes after.
    """
    first, total = num_trained(data, USER), int(data[USER].num_nodes)
    edges = taken_edges(data)
    size = (total, int(data[ITEM].num_nodes))
    matrix = incidence(edges[0], edges[1], size)
    degree = torch.from_numpy(matrix.sum(axis=1).A1).clamp(min=1.0)
    old = matrix[:first].T.tocsr()
    values, places = [], []
    for start in range(first, total, _BLOCK):
        counts = torch.from_numpy((matrix[start : start + _BLOCK] @ old).toarray())
        own = degree[start : start + counts.size(0), None]
        value, place = found_among(counts / (own * degree[:first]).sqrt(), k)
        values.append(value.float())
        places.append(place)
    known = edges[0][edges[0] < first].unique()
    place = torch.cat(places).to(known.device)
    return _means(place, torch.cat(values).to(known.device), known)


def _means(place: Tensor, weight: Tensor, known: Tensor) -> Fill:
    """Weighted means of rows at some places, ``[n, k]``, else that of known ones."""
    total = weight.sum(dim=1, keepdim=True)
    weight = weight / total.clamp(min=1e-12)
    like_none = total.squeeze(1) == 0

    def fill(rows: Tensor) -> Tensor:
        found = torch.einsum("nk,nk...->n...", weight.to(rows), rows[place])
        found[like_none] = rows[known].mean(dim=0)
        return found

    return fill
