"""Methods of the MMRec toolbox that rank by ids, with features beside them or none."""

from __future__ import annotations

from pyg_mmrec.graph import INTERACTS
from pyg_mmrec.parity.adapter import Adapter, bipartite_matrix
from pyg_mmrec.parity.toolbox import Toolbox

CODE = "enoche/MMRec"
NORMS = "L2: half the squares; theirs: norms, not squared"

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
        notes=(NORMS, "a map and a taste per modality; theirs: one for all of them"),
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
