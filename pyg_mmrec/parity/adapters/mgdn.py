"""MGDN, whose authors' code is of TensorFlow: its layer, over tensors of PyTorch."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.graph import INTERACTS, ITEM, USER
from pyg_mmrec.parity.adapter import Adapter, bipartite_matrix
from pyg_mmrec.parity.checkout import double
from pyg_mmrec.parity.peer import LR, Peer
from pyg_mmrec.parity.scripts import check_checkout
from pyg_mmrec.sampling.sampler import Batch

CODE = "hujunxianligong/MGDCF"
_L2, _NUM_NEG = 0.1, 5
_RELEASED = {
    "dim": 64,
    "k": 4,
    "alpha": 0.1,
    "beta": 0.9,
    "x_drop_rate": 0.3,
    "z_drop_rate": 0.1,
    "edge_drop_rate": 0.5,
    "l2": 1e-4,
}


@dataclass(frozen=True)
class MGDN:
    """Loads the authors' layer, and trains it as their script does.

    Args:
        options: Of their code, over those that it is released with.
    """

    options: Mapping[str, Any] = field(default_factory=dict)

    def with_options(self, options: Mapping[str, Any]) -> MGDN:
        """The model as they ship it, with other options over that."""
        return MGDN(options)

    def sources(self, checkout: Path) -> tuple[Path, ...]:
        """The checkout itself; see :class:`~pyg_mmrec.parity.adapter.Loader`."""
        return (check_checkout(checkout, CODE, ("mgdcf_exp/layers/mgdcf.py",)),)

    def __call__(self, checkout: Path, data: HeteroData) -> Peer:
        """Build the model on a graph."""
        with _without_tensorflow():
            from mgdcf_exp.layers.mgdcf import HeteroMGDN

        return _MGDNPeer(double(_Model(HeteroMGDN, data, self._all())))

    def _all(self) -> SimpleNamespace:
        return SimpleNamespace(**{**_RELEASED, **self.options})


class _Model(nn.Module):
    """Ids and the layer, with the dropouts around it."""

    def __init__(self, layer: Any, data: HeteroData, options: SimpleNamespace) -> None:
        super().__init__()
        self.options = options
        self.num_users = int(data[USER].num_nodes)
        num_nodes = self.num_users + int(data[ITEM].num_nodes)
        ids = torch.randn(num_nodes, options.dim) * options.dim**-0.5
        sides = ids.split([self.num_users, num_nodes - self.num_users])
        self.user, self.item = (nn.Parameter(x.clone()) for x in sides)
        user, item = data[INTERACTS].edge_index
        ends = torch.stack([user, item + self.num_users])
        self.edges = torch.cat([ends, ends.flip(0)], dim=1)
        self.layer = layer(
            k=options.k,
            alpha=options.alpha,
            beta=options.beta,
            edge_drop_rate=options.edge_drop_rate,
        )
        self.matrix = _normalised(self.edges, num_nodes).value

    def forward(self) -> tuple[Tensor, Tensor]:
        c, training = self.options, self.training
        x = F.dropout(torch.cat([self.user, self.item]), c.x_drop_rate, training)
        rows = self.layer([x, self.edges], training=training)
        rows = F.dropout(rows, c.z_drop_rate, training)
        return rows[: self.num_users], rows[self.num_users :]


class _MGDNPeer(Peer):
    def optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.module.parameters(), LR)

    def scores(self, users: Tensor) -> Tensor:
        user, item = self.module()
        return user[users] @ item.T

    def total(self, batch: Batch) -> Tensor:
        """Over the batch, of which theirs is a sum: Adam does not see it."""
        found = self.losses(batch)
        weight: float = self.module.options.l2
        return found["info_bpr"] + weight * found["l2"]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        user, item = self.module()
        keys = item[torch.cat([batch.pos.unsqueeze(1), batch.neg], dim=1)]
        logits = torch.einsum("bnd,bd->bn", keys, user[batch.user])
        squares = user.square().sum() + item.square().sum()
        return {
            "info_bpr": F.cross_entropy(logits, torch.zeros_like(batch.user)),
            "l2": squares / (2 * batch.user.numel()),
        }


@dataclass(frozen=True)
class _Sparse:
    """A sparse matrix, as far as the layer uses it."""

    value: Tensor

    def dropout(self, p: float, training: bool) -> _Sparse:
        matrix = self.value.coalesce()
        kept = F.dropout(matrix.values(), p, training)
        return _Sparse(torch.sparse_coo_tensor(matrix.indices(), kept, matrix.shape))

    def __matmul__(self, x: Tensor) -> Tensor:
        return self.value.to(x.dtype) @ x


def _normalised(edges: Tensor, num_nodes: int, cache: Any = None) -> _Sparse:
    """Their matrix, of another package: symmetric, without loops."""
    ones = torch.ones(edges.size(1))
    matrix = torch.sparse_coo_tensor(edges, ones, (num_nodes, num_nodes)).coalesce()
    scale = matrix.sum(1).to_dense().rsqrt()
    row, column = matrix.indices()
    value = matrix.values() * scale[row] * scale[column]
    return _Sparse(torch.sparse_coo_tensor(matrix.indices(), value, matrix.shape))


class _Layer(nn.Module):
    """``tf.keras.Model``: what is called is ``call``."""

    call: Any

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(*args, **kwargs)


class _Dropout(_Layer):
    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def call(self, x: Tensor, training: bool) -> Tensor:
        return F.dropout(x, self.rate, training)


@contextmanager
def _without_tensorflow() -> Iterator[None]:
    """What the layer's module imports, the few names of it that are used."""
    keras = SimpleNamespace(Model=_Layer, layers=SimpleNamespace(Dropout=_Dropout))
    names: dict[str, dict[str, Any]] = {
        "tensorflow": {"keras": keras},
        "tf_sparse": {"shape": lambda x: x.shape},
        "grecx": {},
        "grecx.layers": {"LightGCN": SimpleNamespace(norm_adj=_normalised)},
        "tf_geometric": {},
        "tf_geometric.nn": {},
        "tf_geometric.nn.conv": {},
        "tf_geometric.nn.conv.gcn": dict.fromkeys(
            ("gcn_build_cache_for_graph", "gcn_norm_adj")
        ),
        "tf_geometric.nn.conv.appnp": {"appnp": None},
    }
    modules = {name: ModuleType(name) for name in names}
    for name, values in names.items():
        vars(modules[name]).update(values)
    with mock.patch.dict(sys.modules, modules):
        yield


ADAPTERS = (
    Adapter(
        method="mgdn",
        code=CODE,
        load=MGDN({"dim": 8, "l2": _L2}),
        weights={
            "user.table.weight": "user",
            "item.table.weight": "item",
        },
        ours={
            "dim": 8,
            "dropout": 0.0,
            "final_dropout": 0.0,
            "drop_edges": 0.0,
            "num_neg": _NUM_NEG,
            "l2": _L2,
            "l2_rows": "all_final",
        },
        graphs={"matrix": bipartite_matrix(INTERACTS)},
        choices={"penalty on the batch's rows": {"l2_rows": "final"}},
        num_neg=_NUM_NEG,
        notes=(
            "interactions dropped once an epoch and normalised anew; theirs: weights, "
            "at each step",
            "negatives that the user did not take; theirs: any",
            "theirs is TensorFlow: its layer runs as it is, over PyTorch; graph and "
            "loss are written anew by its formulas",
        ),
    ),
)
