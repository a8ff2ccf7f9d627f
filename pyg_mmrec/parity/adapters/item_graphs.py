"""Methods of the MMRec toolbox that propagate over graphs of the items."""

from __future__ import annotations

from typing import Any

from pyg_mmrec.graph import INTERACTS, ITEM, knn_relation, relation
from pyg_mmrec.parity.adapter import Adapter, bipartite_matrix, relation_matrix
from pyg_mmrec.parity.adapters.collaborative import CODE
from pyg_mmrec.parity.batches import BATCH_SIZE
from pyg_mmrec.parity.toolbox import Toolbox
from pyg_mmrec.parity.weights import Moved, gained, rows, turned

PROJECTIONS = {
    "project.linear.image.weight": "image_trs.weight",
    "project.linear.image.bias": "image_trs.bias",
    "project.linear.text.weight": "text_trs.weight",
    "project.linear.text.bias": "text_trs.bias",
}
IDS = {
    "user.table.weight": "user_embedding.weight",
    "item.table.weight": "item_id_embedding.weight",
}


def learned_features(prefix: str) -> dict[str, Moved]:
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


LEARNED = {"features stay frozen": {"learn_features": False}}
STARTS = "linear maps start as Xavier's; theirs: as PyTorch's"
RATE = "theirs: the rate falls by 4 % in 50 epochs"


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
            **IDS,
            **PROJECTIONS,
            **learned_features("project.content.{}.offset.table.weight"),
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
            **LEARNED,
        },
        notes=(STARTS,),
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
            **IDS,
            **learned_features("purify.{}.content.offset.table.weight"),
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
            **LEARNED,
        },
        graphs={
            "norm_adj": bipartite_matrix(INTERACTS),
            "image_original_adj": relation_matrix(knn_relation(ITEM, "image")),
            "text_original_adj": relation_matrix(knn_relation(ITEM, "text")),
        },
        notes=(STARTS, RATE),
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
            **IDS,
            **PROJECTIONS,
            **learned_features("project.content.{}.offset.table.weight"),
            "predictor.weight": "predictor.weight",
            "predictor.bias": "predictor.bias",
        },
        ours={"dim": 8, "num_layers": 2, "l2": 0.0, "learn_features": True},
        joined={"modal": ("inter", "intra")},
        graphs={"norm_adj": bipartite_matrix(INTERACTS)},
        choices=LEARNED,
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
            **IDS,
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
        notes=(
            "a mean over the batch; theirs: a sum",
            "no noise of Gumbel's in evaluation; theirs: there, too",
            "L2: half the squares of ids; theirs: norms of what ranks, not squared",
        ),
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
            **IDS,
            **{f"graphs.{k}": v for k, v in PROJECTIONS.items()},
            **learned_features("graphs.project.content.{}.offset.table.weight"),
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
            **LEARNED,
        },
        notes=(
            "similarities have a gradient in each step; theirs: in an epoch's first",
            STARTS,
            RATE,
        ),
    ),
)
