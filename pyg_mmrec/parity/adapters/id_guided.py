"""COHESION and MENTOR, in their authors' repositories, built on the MMRec toolbox."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn
from torch_geometric.data import HeteroData

from pyg_mmrec.graph import INTERACTS, ITEM, relation
from pyg_mmrec.parity.adapter import Adapter, bipartite_matrix, relation_matrix
from pyg_mmrec.parity.adapters.modal_graphs import (
    _DIM,
    _K,
    _MEANS,
    _NO_BIAS,
    _TWO,
    _channels,
    _forward,
)
from pyg_mmrec.parity.toolbox import Toolbox, write_user_graph
from pyg_mmrec.parity.weights import shaped

_COMMON = {
    "embedding_size": _DIM,
    "feat_embed_dim": _DIM,
    "n_mm_layers": 1,
    "knn_k": 4,
    "mm_image_weight": 0.1,
    "reg_weight": 0.0,
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


def _write_user_graph(data: HeteroData, folder: Path) -> None:
    write_user_graph(data, folder, _K)


def _small(module: Any) -> None:
    module.k = _K  # 40 in their code
    for gcn in (module.v_gcn, module.t_gcn):
        nn.init.zeros_(gcn.MLP_1.bias)  # ours has none


def _one_model(module: Any) -> None:
    """Let both views be of the model that ranks."""
    _small(module)
    for view in ("n1", "n2"):
        for modality in "vt":
            setattr(
                module, f"{modality}_gcn_{view}", getattr(module, f"{modality}_gcn")
            )


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


ADAPTERS = (
    Adapter(
        method="cohesion",
        code="Jinfeng-Xu/COHESION",
        load=Toolbox(
            "COHESION",
            {**_COMMON, "num_layer": 2, "dropout": 0.0},
            bits=True,
            patch=_narrow("cohesion", "COHESION", "GCNLayer"),
            mend=_small,
            before=_forward,
            write=_write_user_graph,
            repository="Jinfeng-Xu/COHESION",
            package="utils_package",
        ),
        weights={**_ids(), **_channels(*_TWO)},
        ours={
            "dim": _DIM,
            "hidden": 4 * _DIM,
            "num_layers": 2,
            "k": 4,
            "user_k": _K,
            "modality_weights": {"image": 0.1, "text": 0.9},
            "frozen_ids": True,
            "l2": 0.0,
        },
        graphs={
            "norm_adj": bipartite_matrix(INTERACTS),
            "mm_adj": relation_matrix(relation(ITEM, "mixed")),
        },
        choices={
            "a channel of ids that learns": {"frozen_ids": False},
            "weights of the modalities uniform": {"modality_weights": {}},
        },
        notes=(_NO_BIAS, _MEANS),
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
            terms={"align": "align_weight", "contrast": "mask_weight_g"},
            bits=True,
            patch=_narrow("mentor", "MENTOR", "GCN"),
            mend=_one_model,
            before=_forward,
            write=_write_user_graph,
            repository="Jinfeng-Xu/MENTOR",
            package="utils_package",
        ),
        weights={
            **_ids(),
            **_channels(*_TWO),
            "preference.logits.table.weight": shaped("weight_u", -1, 2),
        },
        ours={
            "dim": _DIM,
            "hidden": 4 * _DIM,
            "k": 4,
            "modality_weights": {"image": 0.1, "text": 0.9},
            "align_weight": 0.1 * math.log(2),
            "cl_weight": 0.01 * math.log(2),
            "ssl_nodes": "all",
            "l2": 0.0,
        },
        graphs={"mm_adj": relation_matrix(relation(ITEM, "mixed"))},
        choices={
            "contrast among a batch's nodes; theirs: all": {"ssl_nodes": "batch"},
            "weights of the modalities uniform": {"modality_weights": {}},
        },
        notes=(
            "views of the model that ranks, theirs too in the comparison; theirs: each "
            "of a model of its own",
            "no masked features; theirs: without a gradient",
            "noise in both, left out of the comparison but for its length",
            _NO_BIAS,
            _MEANS,
        ),
    ),
)
