"""REARM, from its authors' repository."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.graph import INTERACTS, ITEM, USER, relation
from pyg_mmrec.parity.adapter import Adapter, relation_matrix
from pyg_mmrec.parity.checkout import double
from pyg_mmrec.parity.peer import LR, Peer
from pyg_mmrec.parity.scripts import (
    NAME,
    check_checkout,
    check_counts,
    working_folder,
    write_features,
)
from pyg_mmrec.parity.weights import Weight, gained
from pyg_mmrec.sampling.sampler import Batch

CODE = "MrShouxingMa/REARM"
_CONTRAST, _ORTHOGONAL = 0.1, 0.2
_OPTIONS = {
    "dataset": NAME,
    "device": torch.device("cpu"),
    "embedding_dim": 3,
    "reg_weight": 0.0,
    "n_layers": 3,
    "rank": 2,
    "s_drop": 0.0,
    "m_drop": 0.0,
    "cl_tmp": 0.5,
    "cl_loss_weight": _CONTRAST,
    "diff_loss_weight": _ORTHOGONAL,
    "num_user_co": 5,
    "user_knn_k": 5,
    "num_item_co": 4,
    "item_knn_k": 4,
    "u_mm_image_weight": 0.2,
    "i_mm_image_weight": 0.3,
    # Which of equally many common neighbours count is left to chance in both.
    "uu_co_weight": 0.0,
    "ii_co_weight": 0.0,
    "n_uu_layers": 1,
    "n_ii_layers": 2,
    "user_aggr_mode": "softmax",
}
_SPORTS = {
    "embedding_dim": 64,
    "n_layers": 5,
    "rank": 7,
    "s_drop": 1.0,
    "m_drop": 0.2,
    "cl_tmp": 1.5,
    "cl_loss_weight": 1e-3,
    "diff_loss_weight": 5e-4,
    "num_user_co": 25,
    "user_knn_k": 25,
    "num_item_co": 5,
    "item_knn_k": 5,
    "u_mm_image_weight": 0.0,
    "i_mm_image_weight": 0.2,
    "uu_co_weight": 0.9,
    "ii_co_weight": 0.2,
    "n_uu_layers": 2,
    "n_ii_layers": 2,
}
_MODALITIES = {"image": ("image", "v"), "text": ("text", "t")}


@dataclass(frozen=True)
class Rearm:
    """Loads the authors' model.

    Args:
        options: Of their code, over those of the small graph.
    """

    options: Mapping[str, Any] = field(default_factory=dict)

    def with_options(self, options: Mapping[str, Any]) -> Rearm:
        """The model as they ship it for sports, with other options over that."""
        return Rearm({**_SPORTS, **options})

    def sources(self, checkout: Path) -> tuple[Path, ...]:
        """The checkout itself; see :class:`~pyg_mmrec.parity.adapter.Loader`."""
        files = ("model.py", "utils/data_loader.py", "utils/helper.py")
        return (check_checkout(checkout, CODE, files),)

    def __call__(self, checkout: Path, data: HeteroData) -> Peer:
        """Build the model on a graph."""
        import model
        from utils import data_loader

        config = SimpleNamespace(**{**_OPTIONS, **self.options})
        with (
            working_folder() as folder,
            _in_single(),
            mock.patch.object(torch, "topk", _stable_top_k),
        ):
            _write(data, folder / "data" / NAME)
            dataset = data_loader.Load_dataset(config)
            module = model.REARM(config, dataset)
        return _RearmPeer(double(module), config)


class _RearmPeer(Peer):
    def __init__(self, module: nn.Module, config: SimpleNamespace) -> None:
        super().__init__(module)
        self.config = config

    def optimizer(self) -> torch.optim.Optimizer:
        params = [p for p in self.module.parameters() if p.requires_grad]
        return torch.optim.AdamW(params, LR, weight_decay=0.0)

    def scores(self, users: Tensor) -> Tensor:
        return self.module.full_sort_predict([users])

    def total(self, batch: Batch) -> Tensor:
        return self._losses(batch)[0]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        _, bpr, _, contrast, orthogonal = self._losses(batch)
        return {
            "bpr": bpr,
            "contrast": contrast / self.config.cl_loss_weight,
            "orthogonal": orthogonal / self.config.diff_loss_weight,
        }

    def _losses(self, batch: Batch) -> tuple[Any, ...]:
        items = torch.cat([batch.pos[:, None], batch.neg], dim=1)
        users = batch.user[:, None].expand_as(items).contiguous()
        return self.module.loss(users, items + self.module.n_users)


@contextmanager
def _in_single() -> Iterator[None]:
    """Single precision by default: their graphs are in it in any case."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _write(data: HeteroData, folder: Path) -> None:
    """The data set in the authors' layout."""
    check_counts(data)
    store = data[INTERACTS]
    parts = (store.edge_index, store.val_label_index, store.test_label_index)
    folder.mkdir(parents=True)
    for file, part in zip(("train", "valid", "test"), parts, strict=True):
        np.save(folder / f"{file}.npy", part.cpu().numpy())
    write_features(data, folder)


def _stable_top_k(x: Tensor, k: int, dim: int = -1) -> torch.return_types.topk:
    """``torch.topk`` that takes the first of equals: it leaves that open."""
    value, index = x.sort(dim=dim, descending=True, stable=True)
    found = value.narrow(dim, 0, k), index.narrow(dim, 0, k)
    return torch.return_types.topk(found)


def _weights() -> dict[str, Weight]:
    """What each of our weights is of theirs."""
    found: dict[str, Weight] = {
        "attention.norm.weight": "ly_norm.weight",
        "attention.norm.bias": "ly_norm.bias",
        "act.weight": "prl.weight",
    }
    for side, short in ((USER, "u"), (ITEM, "i")):
        found[f"channels.{side}.ids.table.weight"] = f"{side}_id_embedding.weight"
        for m, (name, letter) in _MODALITIES.items():
            of_user = side == USER
            raw = f"user_{letter}_prefer" if of_user else f"{name}_embedding.weight"
            project = f"channels.{side}.project"
            found[f"{project}.content.{m}.offset.table.weight"] = gained(raw)
            for kind in ("weight", "bias"):
                found[f"{project}.linear.{m}.{kind}"] = f"{name}_{short}_trs.{kind}"
        for kind in ("weight", "bias"):
            meta = f"meta.{side}"
            found[f"{meta}.share.{kind}"] = f"meta_net{short}.{kind}"
            for number, factor in enumerate(("first", "second"), start=1):
                ours, theirs = f"{meta}.{factor}.layers", f"mlp_{short}{number}"
                found[f"{ours}.0.{kind}"] = f"{theirs}.linear_pre.{kind}"
                found[f"{ours}.1.weight"] = f"{theirs}.prl.weight"
                found[f"{ours}.2.{kind}"] = f"{theirs}.linear_out.{kind}"
    for ours, theirs in (("own", "self_i_attn"), ("cross", "mutual_i_attn")):
        for i in range(len(_MODALITIES)):
            for name in (
                "in_proj_weight",
                "in_proj_bias",
                "out_proj.weight",
                "out_proj.bias",
            ):
                found[f"attention.{ours}.{i}.tokens.{name}"] = f"{theirs}{i + 1}.{name}"
    return found


_MAPS = tuple(
    f"attention.{part}.{i}.{name}.weight"
    for part in ("own", "cross")
    for i in range(len(_MODALITIES))
    for name in ("query", "key", "value")
)
_OFFSETS = tuple(f"channels.{side}.offset.table.weight" for side in (USER, ITEM))

ADAPTERS = (
    Adapter(
        method="rearm",
        code=CODE,
        load=Rearm(),
        weights=_weights(),
        ours={
            "dim": 3,
            "num_layers": 3,
            "num_user_layers": 1,
            "num_item_layers": 2,
            "user_k": 5,
            "item_k": 4,
            "user_co_weight": 0.0,
            "item_co_weight": 0.0,
            "user_weights": {"image": 0.2, "text": 0.8},
            "item_weights": {"image": 0.3, "text": 0.7},
            "rank": 2,
            "tau": 0.5,
            "cl_weight": _CONTRAST,
            "ort_weight": _ORTHOGONAL,
            "attention": "scalar",
            "self_dropout": 0.0,
            "cross_dropout": 0.0,
            "meta_transposed": True,
            "meta_all": True,
            "feature_offset": False,
            "learn_features": True,
        },
        train={"optimizer": "adamw"},
        graphs={
            "stre_uu_graph": relation_matrix(relation(USER, "mixed")),
            "stre_ii_graph": relation_matrix(relation(ITEM, "mixed")),
        },
        choices={
            "attention maps features; theirs: numbers": {"attention": "matrix"},
            "the meta-network's product; theirs: its transpose": {
                "meta_transposed": False
            },
            "the meta-network's means over a batch": {"meta_all": False},
            "an offset learned; theirs: the features": {
                "feature_offset": True,
                "learn_features": False,
            },
        },
        own=(*_MAPS, *_OFFSETS),
        notes=(
            "co-occurrence is left out here, for it is full of ties, which each breaks "
            "its own way",
            "few co-occurring nodes: those there are; theirs: some again, or the most "
            "popular",
            "dropout of attention's output; theirs: of its weights",
            "weight decay of what features gain; theirs: of features, too",
            "negatives may be positives of validation and test",
        ),
    ),
)
