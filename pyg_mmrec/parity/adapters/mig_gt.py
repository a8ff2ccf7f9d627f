"""MIG-GT, from its authors' repository, whose graphs are of DGL."""

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

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.graph import INTERACTS, ITEM, USER, features
from pyg_mmrec.parity.adapter import Adapter
from pyg_mmrec.parity.checkout import double
from pyg_mmrec.parity.peer import LR, Peer
from pyg_mmrec.parity.scripts import check_checkout
from pyg_mmrec.parity.weights import Weight
from pyg_mmrec.sampling.sampler import Batch

CODE = "CrawlScript/MIG-GT"
_L2, _HIDDEN, _DIM, _SAMPLES = 0.1, 5, 6, 3
_SHORT = {"image": "v", "text": "t"}
_BABY = {
    "k_e": 4,
    "k_t": 2,
    "k_v": 1,
    "alpha": 0.1,
    "beta": 0.9,
    "input_feat_drop_rate": 0.3,
    "feat_drop_rate": 0.3,
    "user_x_drop_rate": 0.3,
    "item_x_drop_rate": 0.3,
    "edge_drop_rate": 0.2,
    "z_drop_rate": 0.2,
    "num_samples": 10,
    "embedding_size": 64,
    "feat_hidden_units": 512,
    "l2_coef": 1e-5,
}
_UNUSED = ("emb_transformer", "t_transformer", "v_transformer")
_MEMORIES = ("t_memory", "v_memory", "z_memory")


@dataclass(frozen=True)
class MIGGT:
    """Loads the authors' model.

    Args:
        options: Of their code, over those for baby.
        running: Whether batch norm keeps running statistics for evaluation, as theirs
            does; without, it takes those of the items at hand.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    running: bool = False

    def with_options(self, options: Mapping[str, Any]) -> MIGGT:
        """The model as they ship it for baby, with other options over that."""
        return MIGGT(options, running=True)

    def sources(self, checkout: Path) -> tuple[Path, ...]:
        """The checkout itself; see :class:`~pyg_mmrec.parity.adapter.Loader`."""
        return (
            check_checkout(
                checkout, CODE, ("mig_gt/layers/mirf_gt.py", "mig_gt/losses.py")
            ),
        )

    def __call__(self, checkout: Path, data: HeteroData) -> Peer:
        """Build the model on a graph."""
        with _without_dgl():
            from mig_gt import losses
            from mig_gt.layers import mgdcf, mirf_gt

        options = {**_BABY, **self.options}
        module = _Model(mirf_gt.MIGGT, mgdcf.MGDCF, data, options)
        for part in module.modules():
            if isinstance(part, nn.BatchNorm1d) and not self.running:
                part.track_running_stats = False
                part.running_mean = part.running_var = None
        return _MIGGTPeer(double(module), losses, options["l2_coef"])


class _Model(nn.Module):
    """Their model with its ids and features, which their script holds."""

    def __init__(
        self, model: Any, graphs: Any, data: HeteroData, options: Mapping[str, Any]
    ) -> None:
        super().__init__()
        c = SimpleNamespace(**options)
        sizes = [int(data[kind].num_nodes) for kind in (USER, ITEM)]
        self.num_users = sizes[0]
        self.ids = nn.Parameter(
            torch.randn(sizes[0], c.embedding_size) * c.embedding_size**-0.5
        )
        self.image, self.text = (features(data, m).clone() for m in _SHORT)
        widths = [c.feat_hidden_units, c.embedding_size]
        self.model = model(
            user_in_channels=c.embedding_size,
            item_v_in_channels=self.image.size(1),
            item_v_hidden_channels_list=widths,
            item_t_in_channels=self.text.size(1),
            item_t_hidden_channels_list=widths,
            **options,
        )
        for name in (*_UNUSED, *_MEMORIES):  # which their forward pass never reads
            delattr(self.model, name)
        pairs = data[INTERACTS].edge_index.T.cpu().numpy()
        self.graph = graphs.build_sorted_homo_graph(pairs, *sizes)
        graphs.norm_adj(self.graph)
        ends = torch.stack(self.graph.ends).flip(0)
        weight = self.graph.edata[graphs.CACHE_KEY]
        self.matrix = torch.sparse_coo_tensor(ends, weight, [sum(sizes)] * 2)

    def forward(self) -> tuple[Tensor, Tensor]:
        """Final rows of all nodes, users first, and their tokens."""
        found = self.model(self.graph, self.ids, self.image, self.text, return_all=True)
        return found[0], found[-1]


class _MIGGTPeer(Peer):
    def __init__(self, module: nn.Module, losses: ModuleType, l2: float) -> None:
        super().__init__(module)
        self.of, self.l2 = losses, l2
        self.generator = torch.Generator().manual_seed(0)  # of the steps

    def optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.module.parameters(), LR)

    def scores(self, users: Tensor) -> Tensor:
        with _drawn_by(torch.Generator().manual_seed(0)):
            rows, _ = self.module()
        return rows[users] @ rows[self.module.num_users :].T

    def total(self, batch: Batch) -> Tensor:
        """Over the batch, of which theirs is a sum: Adam does not see it."""
        found = self._losses(batch, self.generator)
        return found["bpr"] + found["unsmooth"] + self.l2 * found["l2"]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        return self._losses(batch, torch.Generator().manual_seed(0))

    def _losses(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        with _drawn_by(generator):
            rows, tokens = self.module()
        num_users: int = self.module.num_users
        user, item = rows[:num_users], rows[num_users:]
        pairs = torch.stack([batch.user, batch.pos], dim=1)
        with mock.patch.object(torch, "randint", return_value=batch.neg):
            bpr = self.of.compute_info_bpr_loss(
                user, item, pairs, num_negs=batch.neg.size(1)
            )
        attended = torch.einsum(
            "bkd,bd->bk", tokens[num_users + batch.pos], user[batch.user]
        )
        return {
            "bpr": bpr,
            "unsmooth": F.cross_entropy(attended, torch.zeros_like(batch.user)),
            "l2": self.of.compute_l2_loss([user, item]) / batch.user.numel(),
        }


@contextmanager
def _drawn_by(generator: torch.Generator) -> Iterator[None]:
    """Draw the items that are attended to as ours does: users' first, then items'."""
    randint = torch.randint

    def drawn(*args: Any) -> Tensor:
        return randint(*args, generator=generator)

    with mock.patch.object(torch, "randint", drawn):
        yield


class _Graph:
    """A graph of DGL, as far as theirs uses it."""

    def __init__(self, ends: tuple[Tensor, Tensor], num_nodes: int) -> None:
        self.ends, self.num_nodes = ends, num_nodes
        self.ndata: dict[str, Tensor] = {}
        self.edata: dict[str, Tensor] = {}

    def num_edges(self) -> int:
        return self.ends[0].numel()

    def in_degrees(self) -> Tensor:
        return torch.bincount(self.ends[1], minlength=self.num_nodes)

    @contextmanager
    def local_scope(self) -> Iterator[None]:
        before = dict(self.ndata), dict(self.edata)
        try:
            yield
        finally:
            self.ndata, self.edata = before

    def apply_edges(self, names: tuple[str, str, str]) -> None:
        source, centre, out = names
        neighbour, own = self.ends
        self.edata[out] = self.ndata[source][neighbour] * self.ndata[centre][own]

    def update_all(
        self, message: tuple[str, str, str], reduce: tuple[str, str]
    ) -> None:
        source, weight, _ = message
        neighbour, own = self.ends
        x = self.ndata[source]
        sent = x[neighbour] * self.edata[weight].to(x.dtype).unsqueeze(-1)
        self.ndata[reduce[1]] = torch.zeros_like(x).index_add(0, own, sent)


@contextmanager
def _without_dgl() -> Iterator[None]:
    """The few functions of DGL that are called, which may not be installed."""

    def names(*given: str) -> tuple[str, ...]:
        return given

    function, dgl = ModuleType("dgl.function"), ModuleType("dgl")
    vars(function).update(u_mul_v=names, u_mul_e=names, sum=names)
    vars(dgl).update(function=function, graph=_Graph)
    with mock.patch.dict(sys.modules, {"dgl": dgl, "dgl.function": function}):
        yield


def _looped(data: HeteroData) -> Tensor:
    """Our interactions in both directions with a loop at each node."""
    adj = adjacency(data, INTERACTS).looped
    assert adj.edge_weight is not None
    return torch.sparse_coo_tensor(adj.edge_index.flip(0), adj.edge_weight, adj.size)


def _weights() -> dict[str, Weight]:
    found: dict[str, Weight] = {"user.table.weight": "ids"}
    for part in ("weight", "bias"):
        for ours, theirs in (("query", "q_linear"), ("key", "k_linear")):
            found[f"attention.{ours}.{part}"] = f"model.z_transformer.{theirs}.{part}"
        for m, short in _SHORT.items():
            theirs = f"model.{short}_ff.0.model"
            found[f"project.linear.{m}.{part}"] = f"{theirs}.0.{part}"
            for layer in (0, 3, 4):  # theirs has the projection before them
                found[f"narrow.{m}.{layer}.{part}"] = f"{theirs}.{layer + 1}.{part}"
    for m, short in _SHORT.items():
        for layer in (1, 5):
            name = f"model.{short}_ff.0.model.{layer + 1}.alpha"
            found[f"narrow.{m}.{layer}.weight"] = name
    return found


ADAPTERS = (
    Adapter(
        method="mig_gt",
        code=CODE,
        load=MIGGT(
            {
                "embedding_size": _DIM,
                "feat_hidden_units": _HIDDEN,
                "num_samples": _SAMPLES,
                "l2_coef": _L2,
            }
        ),
        weights=_weights(),
        ours={
            "dim": _DIM,
            "hidden": _HIDDEN,
            "hops": {"text": 2, "image": 1},
            "num_samples": _SAMPLES,
            "raw_dropout": 0.0,
            "feature_dropout": 0.0,
            "user_dropout": 0.0,
            "item_dropout": 0.0,
            "output_dropout": 0.0,
            "edge_dropout": 0.0,
            "l2": _L2,
            "l2_rows": "all_final",
        },
        graphs={"matrix": _looped},
        choices={"penalty on the batch's rows": {"l2_rows": "final"}},
        notes=(
            "batch norm by the items at hand; theirs: running means in evaluation",
            "features as wide as they are; theirs: images by a random map to the "
            "text's width, at length 1",
            "negatives that the user did not take; theirs: any",
            "the items that are attended to fixed in evaluation; theirs: drawn",
        ),
    ),
)
