"""ApeGNN, from its authors' repository."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.graph import INTERACTS, ITEM, USER
from pyg_mmrec.parity.adapter import Adapter, bipartite_matrix
from pyg_mmrec.parity.checkout import double
from pyg_mmrec.parity.peer import LR, Peer
from pyg_mmrec.parity.scripts import check_checkout
from pyg_mmrec.parity.weights import gained
from pyg_mmrec.sampling.sampler import Batch

CODE = "zhangdan0602/ApeGNN"
_L2 = 0.1
_RELEASED = {
    "dim": 512,
    "context_hops": 2,
    "l2": 1e-3,
    "pool": "sum",
    "ns": "rns",
    "K": 1,
    "n_negs": 64,
    "e": 1e-7,
    "edge_dropout": False,
    "edge_dropout_rate": 0.1,
    "mess_dropout": False,
    "mess_dropout_rate": 0.1,
    "t_u": 2.0,
    "t_i": 2.0,
    "heatkernel": False,
    "cuda": False,
}


@dataclass(frozen=True)
class ApeGNN:
    """Loads the authors' model, with the heat kernel.

    Args:
        options: Of their code, over those that it is released with.
    """

    options: Mapping[str, Any] = field(default_factory=dict)

    def with_options(self, options: Mapping[str, Any]) -> ApeGNN:
        """The model as they ship it, with other options over that."""
        return ApeGNN(options)

    def sources(self, checkout: Path) -> tuple[Path, ...]:
        """The checkout itself; see :class:`~pyg_mmrec.parity.adapter.Loader`."""
        return (
            check_checkout(checkout, CODE, ("ApeGNN_HT.py", "utils/data_loader.py")),
        )

    def __call__(self, checkout: Path, data: HeteroData) -> Peer:
        """Build the model on a graph."""
        from ApeGNN_HT import HeatKernel
        from utils import data_loader

        sizes = {"n_users": data[USER].num_nodes, "n_items": data[ITEM].num_nodes}
        vars(data_loader).update(sizes)  # which their reading of files would set
        pairs = data[INTERACTS].edge_index.T.cpu().numpy()
        matrix, degree, _ = data_loader.build_sparse_graph(pairs)
        options = SimpleNamespace(**{**_RELEASED, **self.options})
        return _ApeGNNPeer(double(HeatKernel(sizes, options, matrix, degree)))


class _ApeGNNPeer(Peer):
    def optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.module.parameters(), LR)

    def scores(self, users: Tensor) -> Tensor:
        user, item = self.module.generate()
        return self.module.rating(user[users], item)

    def total(self, batch: Batch) -> Tensor:
        return self._losses(batch)[0]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        _, bpr, penalty = self._losses(batch)
        return {"bpr": bpr, "l2": penalty / self.module.decay}

    def _losses(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        columns = {"users": batch.user, "pos_items": batch.pos, "neg_items": batch.neg}
        return self.module(columns)


ADAPTERS = (
    Adapter(
        method="apegnn",
        code=CODE,
        load=ApeGNN({"dim": 8, "context_hops": 3, "l2": _L2}),
        weights={
            "user.table.weight": "user_embed",
            "item.table.weight": "item_embed",
            "user_weights.offset.table.weight": gained("gcn.user_t"),
            "item_weights.offset.table.weight": gained("gcn.item_t"),
        },
        ours={"dim": 8, "num_layers": 3, "l2": _L2},
        graphs={"sparse_norm_adj": bipartite_matrix(INTERACTS)},
        notes=(
            "64 wide, 3 layers; theirs: 512, 2",
            "no dropout; theirs: of edges and layers, off as released",
        ),
    ),
)
