"""MMSSL, from its authors' repository."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.graph import INTERACTS
from pyg_mmrec.parity.adapter import Adapter
from pyg_mmrec.parity.checkout import double
from pyg_mmrec.parity.peer import LR, Peer, switched
from pyg_mmrec.parity.scripts import (
    NAME,
    check_checkout,
    check_counts,
    started,
    train_matrix,
    working_folder,
    write_features,
    write_json,
)
from pyg_mmrec.parity.weights import turned
from pyg_mmrec.sampling.sampler import Batch

CODE = "HKUDS/MMSSL"
_DIM, _CONTRAST, _L2, _FEATURES, _DECAY = 8, 0.1, 0.01, 0.01, 0.01
_OPTIONS = {
    "dataset": NAME,
    "data_path": "./",
    "embed_size": _DIM,
    "weight_size": [_DIM, _DIM],
    "head_num": 1,  # their heads are all alike, and add up to one map
    "feat_reg_decay": _FEATURES,
    "lr": LR,
    "debug": True,  # no log file
}


class MMSSL:
    """Loads the authors' trainer with its model."""

    def sources(self, checkout: Path) -> tuple[Path, ...]:
        """The folder of the scripts; see :class:`~pyg_mmrec.parity.adapter.Loader`."""
        files = ("MMSSL/main.py", "MMSSL/Models.py", "MMSSL/utility/norm.py")
        return (check_checkout(checkout, CODE, files) / "MMSSL",)

    def __call__(self, checkout: Path, data: HeteroData) -> Peer:
        """Build the model on a graph."""
        check_counts(data)
        with working_folder(), started(**_OPTIONS):
            target = Path(NAME)
            write_json(data, target)
            write_features(data, target)
            (target / "train_mat").write_bytes(pickle.dumps(train_matrix(data)))
            import main

            found = main.data_generator
            sizes = {"n_users": found.n_users, "n_items": found.n_items}
            return _MMSSLPeer(main.Trainer(sizes))


class _MMSSLPeer(Peer):
    """Their trainer without its critic; its steps, which are one function, repeated."""

    def __init__(self, trainer: Any) -> None:
        super().__init__(double(trainer.model))
        self.trainer = trainer
        self.graphs = {
            name: getattr(trainer, name).double() for name in ("ui_graph", "iu_graph")
        }

    def graph(self, name: str) -> Tensor:
        return self.graphs[name]

    def optimizer(self) -> torch.optim.Optimizer:
        return self.trainer.optimizer_D

    def scores(self, users: Tensor) -> Tensor:
        user, item, *_ = self._forward()
        return user[users] @ item.T

    def _forward(self) -> tuple[Tensor, ...]:
        # What is made up is the interactions, as in their first step.
        return self.module(*[*self.graphs.values()] * 3)

    def total(self, batch: Batch) -> Tensor:
        found = self.losses(batch)
        penalties = _L2 * found["l2"] + _FEATURES * found["feature_l2"]
        return found["bpr"] + _CONTRAST * found["contrast"] + penalties

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        user, item, *modal = self._forward()
        features, final, ids = modal[:4], modal[4], modal[6:8]
        triplets = user[batch.user], item[batch.pos], item[batch.neg[:, 0]]
        with switched(self.trainer, {"batch_size": batch.user.numel(), "decay": 1.0}):
            bpr, l2, _ = self.trainer.bpr_loss(*triplets)
        users = batch.user.unique()  # theirs draw each once
        contrast = self.trainer.batched_contrastive_loss
        parts = [contrast(x[users], final[users]) for x in ids]
        penalty = self.trainer.feat_reg_loss_calculation(*features) / _FEATURES
        return {
            "bpr": bpr,
            "contrast": parts[0] + parts[1],
            "l2": l2,
            "feature_l2": penalty,
        }


def _to_users(data: HeteroData) -> Tensor:
    return adjacency(data, INTERACTS).t().rooted.csr


def _to_items(data: HeteroData) -> Tensor:
    return adjacency(data, INTERACTS).rooted.csr


ADAPTERS = (
    Adapter(
        method="mmssl",
        code=CODE,
        load=MMSSL(),
        weights={
            "user.table.weight": "user_id_embedding.weight",
            "item.table.weight": "item_id_embedding.weight",
            **{
                f"project.linear.{m}.{part}": f"{m}_trans.{part}"
                for m in ("image", "text")
                for part in ("weight", "bias")
            },
            "mix.out.weight": turned("weight_dict.w_self_attention_cat"),
            "mix.query.weight": turned("weight_dict.w_q"),
            "mix.key.weight": turned("weight_dict.w_k"),
        },
        ours={
            "dim": _DIM,
            "num_heads": 1,
            "attention": False,
            "propagation": "alternating",
            "contrast_with": "final",
            "contrast_own": True,
            "contrast_weight": _CONTRAST,
            "adversarial_weight": 0.0,
            "l2": _L2,
            "l2_rows": "final",
            "feature_l2": _FEATURES,
        },
        train={"optimizer": "adamw", "weight_decay": _DECAY},
        graphs={"ui_graph": _to_users, "iu_graph": _to_items},
        choices={
            "attention in the mix; theirs has no effect": {"attention": True},
            "LightGCN's convolutions; theirs: users first, a softmax at last": {
                "propagation": "light"
            },
            "penalty on ids; theirs: on what ranks": {"l2_rows": "ego"},
            "no penalty on modalities": {"feature_l2": 0.0},
            "Adam without decay; theirs: AdamW's .01": {
                "optimizer": "adam",
                "weight_decay": 0.0,
            },
        },
        notes=(
            "the critic, of another shape, is left out of the comparison",
            "interactions are made up in an epoch; theirs: in its second step, and "
            "none from the third on",
        ),
    ),
)
