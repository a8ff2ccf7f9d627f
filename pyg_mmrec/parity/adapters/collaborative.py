"""Methods of the MMRec toolbox that rank by ids, with features beside them or none."""

from __future__ import annotations

from typing import Any

from pyg_mmrec.graph import INTERACTS
from pyg_mmrec.parity.adapter import Adapter, bipartite_matrix
from pyg_mmrec.parity.batches import BATCH_SIZE
from pyg_mmrec.parity.toolbox import Toolbox

CODE = "enoche/MMRec"
NORMS = "L2: half the squares; theirs: norms, not squared"


def _from_one(module: Any) -> None:
    """Losses that begin with 1, of a step that drops no edge."""
    negative = module.loss_fn
    module.loss_fn = lambda p, z: 1 + negative(p, z)
    module.online_encoder.drop_flag = False


ADAPTERS = (
    Adapter(
        method="bpr",
        code=CODE,
        load=Toolbox("BPR", {"embedding_size": 8, "reg_weight": 0.0}),
        weights={
            "user.table.weight": "user_embedding.weight",
            "item.table.weight": "item_embedding.weight",
        },
        ours={"dim": 8, "l2": 0.0},
        notes=(NORMS,),
    ),
    Adapter(
        method="lightgcn",
        code=CODE,
        load=Toolbox(
            "LightGCN", {"embedding_size": 8, "n_layers": 3, "reg_weight": 0.0}
        ),
        weights={
            "user.table.weight": "embedding_dict.user_emb",
            "item.table.weight": "embedding_dict.item_emb",
        },
        ours={"dim": 8, "num_layers": 3, "l2": 0.0},
        graphs={"norm_adj_matrix": bipartite_matrix(INTERACTS)},
        notes=(NORMS,),
    ),
    Adapter(
        method="layergcn",
        code=CODE,
        load=Toolbox(
            "LayerGCN",
            {"embedding_size": 8, "n_layers": 4, "dropout": 0.0, "reg_weight": 0.01},
            terms={"l2": "reg_weight"},
            sums=("bpr", "l2"),
        ),
        weights={
            "user.table.weight": "user_embeddings",
            "item.table.weight": "item_embeddings",
        },
        ours={"dim": 8, "num_layers": 4, "drop_edges": 0.0, "l2": 0.01},
        graphs={"norm_adj_matrix": bipartite_matrix(INTERACTS)},
        notes=("edges pruned by degree; theirs: every other epoch",),
    ),
    Adapter(
        method="selfcf",
        code=CODE,
        load=Toolbox(
            "SELFCFED_LGN",
            {
                "embedding_size": 8,
                "n_layers": 2,
                "dropout": 0.5,
                "reg_weight": 0.01 / BATCH_SIZE,
            },
            terms={"l2": "reg_weight"},
            first="mutual",
            pairs=True,
            sums=("l2",),
            mend=_from_one,
        ),
        weights={
            "user.table.weight": "online_encoder.embedding_dict.user_emb",
            "item.table.weight": "online_encoder.embedding_dict.item_emb",
            "predictor.weight": "predictor.weight",
            "predictor.bias": "predictor.bias",
        },
        ours={"dim": 8, "num_layers": 2, "l2": 0.01, "drop_edges": 0.0},
        graphs={"online_encoder.sparse_norm_adj": bipartite_matrix(INTERACTS)},
        notes=(
            "losses that begin with 1; theirs: with 0",
            "penalty: a mean over the batch; theirs: a sum",
            "edges dropped in each step by both, left out of the comparison",
        ),
    ),
    Adapter(
        method="vbpr",
        code=CODE,
        load=Toolbox("VBPR", {"embedding_size": 8, "reg_weight": 0.0}),
        weights={
            "user.table.weight": "u_embedding",
            "item.table.weight": "i_embedding",
            "project.linear.image.weight": "item_linear.weight",
            "project.linear.image.bias": "item_linear.bias",
        },
        ours={"dim": 8, "l2": 0.0},
        own=("bias.table.weight",),
        modalities=("image",),
        notes=(
            NORMS,
            "a map and a taste per modality; theirs: one for all of them",
            "a bias of each item; theirs: none",
        ),
    ),
    Adapter(
        method="itemknn_cbf",
        code=CODE,
        load=Toolbox("ItemKNNCBF", {"knn_k": 4, "shrink": 10.0}),
        weights={},
        ours={"k": 4, "shrink": 10.0},
        notes=("nothing to train",),
    ),
)
