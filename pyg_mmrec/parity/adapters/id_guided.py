"""COHESION and MENTOR, in their authors' repositories, built on the MMRec toolbox."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import nn

from pyg_mmrec.graph import INTERACTS, ITEM, USER, relation
from pyg_mmrec.parity.adapter import Adapter, bipartite_matrix, relation_matrix
from pyg_mmrec.parity.adapters.modal_graphs import (
    _FEW,
    _K,
    _TWO,
    STALE,
    STARTS,
    _channels,
    _forward,
)
from pyg_mmrec.parity.toolbox import Toolbox, write_user_graph
from pyg_mmrec.parity.weights import shaped

_DIM, _L2 = 5, 0.1
_BIT = math.log(2)  # of weights beside a loss in bits
_COMMON = {
    "embedding_size": _DIM,
    "feat_embed_dim": _DIM,
    "n_mm_layers": 1,
    "knn_k": 4,
    "mm_image_weight": 0.1,
    "reg_weight": _L2,
}
_OURS = {
    "dim": _DIM,
    "hidden": 4 * _DIM,
    "num_layers": 2,
    "k": 4,
    "modality_weights": {"image": 0.1, "text": 0.9},
    "feature_bias": True,
    "l2": _L2 * _BIT * 2 / _DIM,
}
_CHOICES: dict[str, dict[str, Any]] = {
    "weights of the modalities uniform": {"modality_weights": {}},
    "no bias after the hidden layer": {"feature_bias": False},
}


def _narrow(model: str, cls: str, layer: str) -> Callable[[], None]:
    """Change the width of its channels, which is written into the code."""

    def patch() -> None:
        module = import_module(f"models.{model}")
        fixed = property(lambda self: _DIM, lambda self, value: None)
        getattr(module, cls).dim_latent = fixed
        gcn = getattr(module, layer)
        build = gcn.__init__

        def narrow(self: Any, *args: Any, **kwargs: Any) -> None:
            build(self, *args, **{**kwargs, "dim_latent": _DIM})

        gcn.__init__ = narrow

    return patch


def _few_users(module: Any) -> None:
    """Fewer neighbours, whose graph is a matrix too; shares that nothing reads, 0."""
    module.k = _K  # 40 in their code
    nn.init.zeros_(module.weight_u)  # else a constant of the penalty
    before = module.pre_epoch_processing

    def sampled() -> None:
        before()
        weight = module.user_weight_matrix
        index = torch.as_tensor(module.epoch_user_graph)
        module.user_adj = weight.new_zeros([len(weight)] * 2).scatter_add(
            1, index, weight
        )

    module.pre_epoch_processing = sampled


def _ids() -> dict[str, Any]:
    """The channel of ids."""
    found = {
        "ids.user.table.weight": "id_gcn.preference",
        "ids.item.table.weight": "id_feat",
    }
    for ours, theirs in (("0", "MLP"), ("2", "MLP_1")):
        for part in ("weight", "bias"):
            found[f"ids.map.{ours}.{part}"] = f"id_gcn.{theirs}.{part}"
    return found


def _features(ours: str, theirs: str = "") -> dict[str, Any]:
    """Channels of features, with the bias of their second maps."""
    two = tuple((m, f"{g}{theirs}") for m, g in _TWO)
    found = _channels(*two) | {
        f"channels.narrow.{m}.bias": f"{g}.MLP_1.bias" for m, g in two
    }
    return {name.replace("channels", ours, 1): w for name, w in found.items()}


ADAPTERS = (
    Adapter(
        method="cohesion",
        code="Jinfeng-Xu/COHESION",
        load=Toolbox(
            "COHESION",
            {**_COMMON, "num_layer": 2, "dropout": 0.0},
            terms={"l2": "reg_weight"},
            times={"l2": _DIM / 2},
            bits=True,
            patch=_narrow("cohesion", "COHESION", "GCNLayer"),
            mend=_few_users,
            before=_forward,
            write=write_user_graph,
            repository="Jinfeng-Xu/COHESION",
            package="utils_package",
        ),
        weights={**_ids(), **_features("channels")},
        ours={**_OURS, "user_k": _K, "frozen_ids": True},
        graphs={
            "norm_adj": bipartite_matrix(INTERACTS),
            "mm_adj": relation_matrix(relation(ITEM, "mixed")),
            "user_adj": relation_matrix(relation(USER, "co_occurs")),
        },
        choices={
            "a channel of ids that learns": {"frozen_ids": False},
            **_CHOICES,
        },
        notes=(
            STARTS,
            STALE,
            _FEW,
            "penalty: half the squares of a batch's preferences; theirs: their mean, "
            "and that of shares that nothing else reads",
            "edges pruned by both, left out of the comparison",
        ),
    ),
    Adapter(
        method="mentor",
        code="Jinfeng-Xu/MENTOR",
        load=Toolbox(
            "MENTOR",
            {
                **_COMMON,
                "align_weight": 0.1,
                "mask_weight_g": 0.01,
                "mask_weight_f": 0.0,
                "temp": 0.2,
            },
            terms={
                "align": "align_weight",
                "contrast": "mask_weight_g",
                "l2": "reg_weight",
            },
            times={"l2": _DIM / 2},
            bits=True,
            patch=_narrow("mentor", "MENTOR", "GCN"),
            before=_forward,
            write=write_user_graph,
            repository="Jinfeng-Xu/MENTOR",
            package="utils_package",
        ),
        weights={
            **_ids(),
            **_features("channels"),
            **_features("views.0", "_n1"),
            **_features("views.1", "_n2"),
            "preference.logits.table.weight": shaped("weight_u", -1, 2),
        },
        ours={
            **_OURS,
            "align_weight": 0.1 * _BIT,
            "cl_weight": 0.01 * _BIT,
            "ssl_nodes": "all",
            "own_views": True,
            "l2_shares": True,
        },
        graphs={"mm_adj": relation_matrix(relation(ITEM, "mixed"))},
        choices={
            "views of the model that ranks; theirs: each of its own": {
                "own_views": False
            },
            "contrast among a batch's nodes; theirs: all": {"ssl_nodes": "batch"},
            **_CHOICES,
            "no penalty on users' weights": {"l2_shares": False},
        },
        notes=(
            "no masked features; theirs: without a gradient",
            "noise in both, left out of the comparison but for its length",
            STARTS,
            STALE,
        ),
    ),
)
