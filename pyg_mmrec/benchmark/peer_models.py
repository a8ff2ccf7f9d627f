"""Models that the MMRec toolbox and we have, and which options are the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch_geometric.data import HeteroData

from pyg_mmrec.parity.toolbox import write_item_graph, write_user_graph


@dataclass(frozen=True)
class Model:
    """A model of the toolbox beside a method of ours.

    Args:
        name: Its name there.
        same: Our options by its names; it takes our values.
        fixed: Other options of its own, which its files leave to a search.
        modalities: Modalities that it needs.
        write: Writes what it reads beside the data: a graph of users, or of items.
    """

    name: str
    same: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    modalities: int = 0
    write: Callable[[HeteroData, Path], None] | None = None

    def of_theirs(self, config: Any) -> dict[str, Any]:
        """Its options for a configuration of ours."""
        found = {name: getattr(config, ours) for name, ours in self.same.items()}
        return {**found, **self.fixed}


_LAYERS = {"n_layers": "num_layers", "reg_weight": "l2"}
_ITEM_GRAPH = {"knn_k": "k"}

MODELS: Mapping[str, Model] = {
    "bpr": Model("BPR", {"reg_weight": "l2"}),
    "lightgcn": Model("LightGCN", _LAYERS),
    "layergcn": Model("LayerGCN", {**_LAYERS, "dropout": "drop_edges"}),
    "selfcf": Model("SELFCFED_LGN", {**_LAYERS, "dropout": "dropout"}),
    "vbpr": Model("VBPR", {"reg_weight": "l2"}, modalities=1),
    "mmgcn": Model(
        "MMGCN",
        {"reg_weight": "l2"},
        {"n_layers": 3},  # written into its code
        modalities=2,
    ),
    "grcn": Model("GRCN", _LAYERS, modalities=2),
    "lattice": Model(
        "LATTICE",
        {
            **_ITEM_GRAPH,
            "n_layers": "num_item_layers",
            "lambda_coeff": "skip",
            "reg_weight": "l2",
        },
        {"weight_size": [64, 64]},
        modalities=2,
    ),
    "dualgnn": Model(
        "DualGNN",
        _LAYERS,
        {"aggr_mode": "add"},
        modalities=2,
        write=write_user_graph,
    ),
    "slmrec": Model(
        "SLMRec",
        {
            "recdim": "dim",
            "layer_num": "num_layers",
            "ssl_alpha": "task_weight",
            "ssl_temp": "task_tau",
            "temp": "tau",
            "reg": "l2",
        },
        {"ssl_task": "FAC"},
        modalities=2,
    ),
    "bm3": Model("BM3", {**_LAYERS, "dropout": "dropout"}, modalities=2),
    "freedom": Model(
        "FREEDOM",
        {
            **_ITEM_GRAPH,
            "n_ui_layers": "num_layers",
            "n_mm_layers": "num_item_layers",
            "dropout": "drop_edges",
            "reg_weight": "feature_weight",
        },
        modalities=1,
    ),
    "mgcn": Model(
        "MGCN",
        {
            **_ITEM_GRAPH,
            "n_ui_layers": "num_layers",
            "n_layers": "num_item_layers",
            "cl_loss": "cl_weight",
            "reg_weight": "l2",
        },
        modalities=2,
    ),
    "dragon": Model(
        "DRAGON",
        {**_LAYERS, **_ITEM_GRAPH, "n_mm_layers": "num_item_layers"},
        {"aggr_mode": "add"},
        modalities=2,
        write=write_user_graph,
    ),
    "mvgae": Model("MVGAE", {"n_layers": "num_layers", "beta": "beta"}, modalities=2),
    "da_mrs": Model(
        "DAMRS",
        {
            **_ITEM_GRAPH,
            "n_ui_layers": "num_layers",
            "n_mm_layers": "num_item_layers",
            "kl_weight": "user_weight",
            "neighbor_weight": "item_weight",
        },
        modalities=2,
        write=write_item_graph,
    ),
    "smore": Model(
        "SMORE",
        {
            "image_knn_k": "k",
            "text_knn_k": "k",
            "n_ui_layers": "num_layers",
            "n_layers": "num_item_layers",
            "dropout_rate": "dropout",
            "cl_loss": "cl_weight",
            "temperature": "tau",
            "reg_weight": "l2",
        },
        modalities=2,
    ),
    "pgl": Model(
        "PGL",
        {
            **_ITEM_GRAPH,
            "n_ui_layers": "num_layers",
            "n_mm_layers": "num_item_layers",
            "dropout": "dropout",
            "reg_weight": "cl_weight",
        },
        {"mode": "local"},
        modalities=2,
    ),
    "mmgcf": Model(
        "MMGCF",
        {
            "n_ui_layers": "num_layers",
            "fusion_mode": "fusion",
            "weighting": "weighting",
            "dropout": "drop_edges",
            "reg_weight": "l2",
        },
        modalities=2,
    ),
    "lgmrec": Model(
        "LGMRec",
        {
            "n_ui_layers": "num_layers",
            "n_mm_layers": "num_modal_layers",
            "n_hyper_layer": "num_hyper_layers",
            "hyper_num": "num_hyperedges",
            "alpha": "global_weight",
            "cl_weight": "cl_weight",
            "reg_weight": "l2",
        },
        {"keep_rate": 0.5},
        modalities=2,
    ),
}
