"""Methods of 2024 and later in the MMRec toolbox, which propagate over item graphs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

from pyg_mmrec.graph import INTERACTS, ITEM, knn_relation, relation
from pyg_mmrec.parity.adapter import Adapter, bipartite_matrix, relation_matrix
from pyg_mmrec.parity.adapters.collaborative import CODE
from pyg_mmrec.parity.adapters.item_graphs import (
    IDS,
    LEARNED,
    PROJECTIONS,
    RATE,
    STARTS,
    learned_features,
)
from pyg_mmrec.parity.toolbox import Toolbox, write_item_graph
from pyg_mmrec.parity.weights import columns, rows


def _pool_in_single() -> None:
    """Let its graphs be made in the precision that they are written for."""
    cls = import_module("models.smore").SMORE
    pool = cls.max_pool_fusion

    def in_single(self: Any) -> Any:
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)
        try:
            return pool(self)
        finally:
            torch.set_default_dtype(before)

    cls.max_pool_fusion = in_single


def _whole(module: Any) -> None:
    """Train on all interactions."""
    module.sub_graph = module.norm_adj


def _smore_weights() -> dict[str, Any]:
    views = (("v", "image", 0), ("t", "text", 1), ("f", "fusion", 2))
    found: dict[str, Any] = {
        "filter.weight": rows(*(f"{name}_complex_weight" for _, name, _ in views))
    }
    for part in ("weight", "bias"):
        found |= {f"gates.{i}.{part}": f"gate_{v}.0.{part}" for v, _, i in views}
        found[f"prefer.gates.{part}"] = rows(
            *(f"gate_{name}_prefer.0.{part}" for _, name, _ in views)
        )
        for v, _, i in views[:2]:
            found[f"prefer.queries.{i}.0.{part}"] = f"query_{v}.0.{part}"
    for v, _, i in views[:2]:
        found[f"prefer.queries.{i}.2.weight"] = f"query_{v}.2.weight"
    return found


ADAPTERS = (
    Adapter(
        method="smore",
        code=CODE,
        load=Toolbox(
            "SMORE",
            {
                "embedding_size": 8,
                "n_ui_layers": 3,
                "image_knn_k": 4,
                "text_knn_k": 3,
                "cl_loss": 0.1,
                "reg_weight": 0.01,
                "dropout_rate": 0.0,
            },
            terms={"contrast": "cl_loss", "l2": "reg_weight"},
            patch=_pool_in_single,
        ),
        weights={
            **IDS,
            **PROJECTIONS,
            **learned_features("project.content.{}.offset.table.weight"),
            **_smore_weights(),
        },
        ours={
            "dim": 8,
            "k": 4,
            "modality_k": {"text": 3},
            "learn_features": True,
            "cl_weight": 0.1,
            "l2": 0.01,
        },
        graphs={
            "norm_adj": bipartite_matrix(INTERACTS),
            "image_original_adj": relation_matrix(knn_relation(ITEM, "image")),
            "text_original_adj": relation_matrix(knn_relation(ITEM, "text")),
            "fusion_adj": relation_matrix(relation(ITEM, "pooled")),
        },
        choices=LEARNED,
        notes=(STARTS, RATE),
    ),
    Adapter(
        method="pgl",
        code=CODE,
        load=Toolbox(
            "PGL",
            {
                "embedding_size": 8,
                "feat_embed_dim": 8,
                "knn_k": 4,
                "reg_weight": 0.1,
                "mode": "whole",
            },
            terms={"contrast": "reg_weight"},
            mend=_whole,
        ),
        weights={
            "user.table.weight": columns("user_image.weight", "user_text.weight"),
            **PROJECTIONS,
            **learned_features("project.content.{}.offset.table.weight"),
        },
        ours={
            "dim": 8,
            "k": 4,
            "drop_edges": 0.0,
            "modality_weights": {"image": 0.1, "text": 0.9},
            "cl_weight": 0.1,
            "learn_features": True,
        },
        graphs={
            "norm_adj": bipartite_matrix(INTERACTS),
            "mm_adj": relation_matrix(relation(ITEM, "mixed")),
        },
        choices={
            "weights of the modalities uniform": {"modality_weights": {}},
            **LEARNED,
        },
        notes=(
            "the local principal part by both, left out of the comparison; the global "
            "one: theirs alone",
            STARTS,
            RATE,
        ),
    ),
    Adapter(
        method="mmgcf",
        code=CODE,
        load=Toolbox(
            "MMGCF",
            {
                "embedding_size": 8,
                "feat_embed_dim": 8,
                "n_ui_layers": 2,
                "reg_weight": 0.01,
                "fusion_mode": "concat",
                "weighting": "alpha",
                "dropout": 0.0,
            },
            terms={"l2": "reg_weight"},
        ),
        weights={
            **IDS,
            **PROJECTIONS,
            "fuse.alpha": "mm_alpha",
            "fuse.all.weight": "all_concat_layer.weight",
            "fuse.all.bias": "all_concat_layer.bias",
        },
        ours={
            "dim": 8,
            "num_layers": 2,
            "fusion": "concat",
            "weighting": "alpha",
            "drop_edges": 0.0,
            "l2": 0.01,
        },
        graphs={"norm_adj": bipartite_matrix(INTERACTS)},
        notes=(STARTS, "of the nine fusions one is compared"),
    ),
    Adapter(
        method="da_mrs",
        code=CODE,
        load=Toolbox(
            "DAMRS",
            {
                "embedding_size": 8,
                "n_ui_layers": 2,
                "n_mm_layers": 1,
                "knn_k": 3,
                "kl_weight": 0.1,
                "neighbor_weight": 0.1,
            },
            terms={"agreement": "kl_weight", "neighbours": "neighbor_weight"},
            write=write_item_graph,
        ),
        weights=IDS,
        ours={"dim": 8, "k": 3, "user_weight": 0.1, "item_weight": 0.1},
        graphs={
            "norm_adj": bipartite_matrix(INTERACTS),
            "image_adj": relation_matrix(knn_relation(ITEM, "image")),
            "text_adj": relation_matrix(knn_relation(ITEM, "text")),
            "session_adj": relation_matrix(relation(ITEM, "behaviour")),
        },
        notes=(
            "items on which modalities do not agree are no neighbours; theirs: where "
            "similarities are negative",
        ),
    ),
)
