"""Methods of the MMRec toolbox that propagate over graphs of the items."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

from pyg_mmrec.graph import INTERACTS, ITEM, knn_relation, relation
from pyg_mmrec.parity.adapter import Adapter, bipartite_matrix, relation_matrix
from pyg_mmrec.parity.adapters.collaborative import CODE, NORMS
from pyg_mmrec.parity.batches import BATCH_SIZE
from pyg_mmrec.parity.toolbox import Toolbox, write_item_graph
from pyg_mmrec.parity.weights import Moved, columns, gained, rows, turned

_PROJECTIONS = {
    "project.linear.image.weight": "image_trs.weight",
    "project.linear.image.bias": "image_trs.bias",
    "project.linear.text.weight": "text_trs.weight",
    "project.linear.text.bias": "text_trs.bias",
}
_IDS = {
    "user.table.weight": "user_embedding.weight",
    "item.table.weight": "item_id_embedding.weight",
}


def _features(prefix: str) -> dict[str, Moved]:
    """Features that are trained, by our name of the modality in theirs."""
    return {
        prefix.format(m): gained(f"{m}_embedding.weight") for m in ("image", "text")
    }


def _always_rebuilt(module: Any) -> None:
    """Build the item graph in each step, and not in an epoch's first alone."""
    always = property(lambda self: True, lambda self, value: None)
    module.__class__ = type(
        type(module).__name__, (type(module),), {"build_item_graph": always}
    )
    del module.__dict__["build_item_graph"]


_LEARNED = {"features stay frozen": {"learn_features": False}}


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
        method="freedom",
        code=CODE,
        load=Toolbox(
            "FREEDOM",
            {
                "embedding_size": 8,
                "feat_embed_dim": 8,
                "knn_k": 4,
                "dropout": 0.0,
                "reg_weight": 0.1,
            },
            terms={"feature_bpr": "reg_weight"},
        ),
        weights={
            **_IDS,
            **_PROJECTIONS,
            **_features("project.content.{}.offset.table.weight"),
        },
        ours={
            "learn_features": True,
            "dim": 8,
            "k": 4,
            "drop_edges": 0.0,
            "feature_weight": 0.1,
            "modality_weights": {"image": 0.1, "text": 0.9},
        },
        graphs={
            "norm_adj": bipartite_matrix(INTERACTS),
            "mm_adj": relation_matrix(relation(ITEM, "mixed")),
        },
        choices={
            "weights of the modalities uniform": {"modality_weights": {}},
            **_LEARNED,
        },
    ),
    Adapter(
        method="mgcn",
        code=CODE,
        load=Toolbox(
            "MGCN",
            {"embedding_size": 8, "knn_k": 4, "cl_loss": 0.1, "reg_weight": 0.01},
            terms={"contrast": "cl_loss", "l2": "reg_weight"},
        ),
        weights={
            **_IDS,
            **_features("purify.{}.content.offset.table.weight"),
            "purify.image.widen.weight": "image_trs.weight",
            "purify.image.widen.bias": "image_trs.bias",
            "purify.text.widen.weight": "text_trs.weight",
            "purify.text.widen.bias": "text_trs.bias",
            "purify.image.gate.weight": "gate_v.0.weight",
            "purify.image.gate.bias": "gate_v.0.bias",
            "purify.text.gate.weight": "gate_t.0.weight",
            "purify.text.gate.bias": "gate_t.0.bias",
            "fuse.shared.hidden.weight": "query_common.0.weight",
            "fuse.shared.hidden.bias": "query_common.0.bias",
            "fuse.shared.query.weight": "query_common.2.weight",
            "fuse.gates.weight": rows(
                "gate_image_prefer.0.weight", "gate_text_prefer.0.weight"
            ),
            "fuse.gates.bias": rows(
                "gate_image_prefer.0.bias", "gate_text_prefer.0.bias"
            ),
        },
        ours={
            "dim": 8,
            "k": 4,
            "learn_features": True,
            "cl_weight": 0.1,
            "l2": 0.01,
        },
        choices={
            **_LEARNED,
        },
        graphs={
            "norm_adj": bipartite_matrix(INTERACTS),
            "image_original_adj": relation_matrix(knn_relation(ITEM, "image")),
            "text_original_adj": relation_matrix(knn_relation(ITEM, "text")),
        },
        notes=("theirs: the rate falls by 4 % in 50 epochs",),
    ),
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
            **_IDS,
            **_PROJECTIONS,
            **_features("project.content.{}.offset.table.weight"),
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
        choices=_LEARNED,
        notes=("theirs: the rate falls by 4 % in 50 epochs",),
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
            **_PROJECTIONS,
            **_features("project.content.{}.offset.table.weight"),
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
            **_LEARNED,
        },
        notes=(
            "the local principal part by both, left out of the comparison; the global "
            "one: theirs alone",
            "theirs: the rate falls by 4 % in 50 epochs",
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
            **_IDS,
            **_PROJECTIONS,
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
        weights=_IDS,
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
    Adapter(
        method="bm3",
        code=CODE,
        load=Toolbox(
            "BM3",
            {"embedding_size": 8, "n_layers": 2, "dropout": 0.3, "reg_weight": 0.0},
            terms={"modal": "cl_weight"},
            first="bootstrap",
            pairs=True,
        ),
        weights={
            **_IDS,
            **_PROJECTIONS,
            **_features("project.content.{}.offset.table.weight"),
            "predictor.weight": "predictor.weight",
            "predictor.bias": "predictor.bias",
        },
        ours={"dim": 8, "num_layers": 2, "l2": 0.0, "learn_features": True},
        joined={"modal": ("inter", "intra")},
        graphs={"norm_adj": bipartite_matrix(INTERACTS)},
        choices=_LEARNED,
        notes=("no penalty; theirs: norms, not squared, of all embeddings",),
    ),
    Adapter(
        method="lgmrec",
        code=CODE,
        load=Toolbox(
            "LGMRec",
            {
                "embedding_size": 8,
                "feat_embed_dim": 8,
                "n_ui_layers": 2,
                "n_mm_layers": 2,
                "n_hyper_layer": 1,
                "hyper_num": 4,
                "keep_rate": 0.5,
                "alpha": 0.3,
                "cl_weight": 0.1 / BATCH_SIZE,
                "reg_weight": 0.0,
            },
            terms={"contrast": "cl_weight"},
            sums=("contrast",),
        ),
        weights={
            **_IDS,
            "project.linear.image.weight": turned("item_image_trs"),
            "project.linear.text.weight": turned("item_text_trs"),
            "hypergraphs.image.edges": turned("v_hyper"),
            "hypergraphs.text.edges": turned("t_hyper"),
        },
        ours={
            "dim": 8,
            "num_layers": 2,
            "num_modal_layers": 2,
            "global_weight": 0.3,
            "cl_weight": 0.1,
            "cl_both_ways": False,
            "cl_nodes": "all",
            "l2": 0.0,
        },
        graphs={"norm_adj": bipartite_matrix(INTERACTS)},
        notes=("a mean over the batch; theirs: a sum", NORMS),
    ),
    Adapter(
        method="lattice",
        code=CODE,
        load=Toolbox(
            "LATTICE",
            {
                "embedding_size": 8,
                "feat_embed_dim": 8,
                "weight_size": [8, 8],
                "n_layers": 1,
                "knn_k": 4,
                "lambda_coeff": 0.7,
                "reg_weight": 0.01,
            },
            terms={"l2": "reg_weight"},
            mend=_always_rebuilt,
        ),
        weights={
            **_IDS,
            **{f"graphs.{k}": v for k, v in _PROJECTIONS.items()},
            **_features("graphs.project.content.{}.offset.table.weight"),
            "logits": "modal_weight",
        },
        ours={
            "dim": 8,
            "k": 4,
            "skip": 0.7,
            "l2": 0.01,
            "average": True,
            "joint": True,
            "learn_features": True,
        },
        graphs={
            "image_original_adj": relation_matrix(knn_relation(ITEM, "image")),
            "text_original_adj": relation_matrix(knn_relation(ITEM, "text")),
        },
        choices={
            "LightGCN's convolutions; theirs: means": {"average": False},
            "graphs normalised before their mix": {"joint": False},
            **_LEARNED,
        },
        notes=(
            "similarities have a gradient in each step; theirs: in an epoch's first",
        ),
    ),
)
