"""MICRO, from its authors' repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.graph import ITEM, knn_relation
from pyg_mmrec.parity.adapter import Adapter, relation_matrix
from pyg_mmrec.parity.adapters.item_graphs import STARTS
from pyg_mmrec.parity.checkout import double
from pyg_mmrec.parity.peer import LR, Peer, switched
from pyg_mmrec.parity.scripts import (
    NAME,
    check_checkout,
    check_counts,
    started,
    working_folder,
    write_features,
    write_json,
)
from pyg_mmrec.parity.weights import gained
from pyg_mmrec.sampling.sampler import Batch

CODE = "CRIPAC-DIG/MICRO"
_DIM, _K, _SKIP, _CONTRAST, _L2 = 8, 4, 0.7, 0.1, 0.01
_OPTIONS = {
    "dataset": NAME,
    "embed_size": _DIM,
    "weight_size": [_DIM, _DIM],
    "topk": _K,
    "lambda_coeff": _SKIP,
    "lr": LR,
    "debug": True,  # no log file
}


class Micro:
    """Loads the authors' trainer with its model."""

    def sources(self, checkout: Path) -> tuple[Path, ...]:
        """The folder of the scripts; see :class:`~pyg_mmrec.parity.adapter.Loader`."""
        files = ("codes/main.py", "codes/Models.py", "codes/utility/norm.py")
        return (check_checkout(checkout, CODE, files) / "codes",)

    def __call__(self, checkout: Path, data: HeteroData) -> Peer:
        """Build the model on a graph."""
        check_counts(data)
        with working_folder("codes"), started(**_OPTIONS):
            target = Path(f"../data/{NAME}")
            write_json(data, target / "5-core")
            write_features(data, target)
            import main

            found = main.data_generator
            config = {"n_users": found.n_users, "n_items": found.n_items}
            config["norm_adj"] = found.get_adj_mat()[1]
            return _MicroPeer(main.Trainer(config))


class _MicroPeer(Peer):
    """Their trainer; its loop is one function, and its steps are repeated here."""

    def __init__(self, trainer: Any) -> None:
        super().__init__(double(trainer.model))
        self.trainer = trainer
        self.interactions = trainer.norm_adj.double()

    def optimizer(self) -> torch.optim.Optimizer:
        return self.trainer.optimizer

    def scores(self, users: Tensor) -> Tensor:
        user, item, *_ = self._forward()
        return user[users] @ item.T

    def total(self, batch: Batch) -> Tensor:
        found = self.losses(batch)
        return found["bpr"] + _L2 * found["l2"] + _CONTRAST * found["contrast"]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        user, item, image, text, fused = self._forward()
        triplets = user[batch.user], item[batch.pos], item[batch.neg[:, 0]]
        with switched(self.trainer, {"batch_size": batch.user.numel(), "decay": 1.0}):
            bpr, l2, _ = self.trainer.bpr_loss(*triplets)
        contrast = self.module.batched_contrastive_loss
        parts = [contrast(x, fused) for x in (image, text)]
        return {"bpr": bpr, "l2": l2, "contrast": parts[0] + parts[1]}

    def _forward(self) -> tuple[Tensor, ...]:
        # Graphs are built in each step, and not in an epoch's first alone.
        return self.module(self.interactions, build_item_graph=True)


ADAPTERS = (
    Adapter(
        method="micro",
        code=CODE,
        load=Micro(),
        weights={
            "user.table.weight": "user_embedding.weight",
            "item.table.weight": "item_id_embedding.weight",
            **{
                f"graphs.project.linear.{m}.{part}": f"{m}_trs.{part}"
                for m in ("image", "text")
                for part in ("weight", "bias")
            },
            **{
                f"graphs.project.content.{m}.offset.table.weight": gained(
                    f"{m}_embedding.weight"
                )
                for m in ("image", "text")
            },
            "fuse.hidden.weight": "query.0.weight",
            "fuse.hidden.bias": "query.0.bias",
            "fuse.query.weight": "query.2.weight",
        },
        ours={
            "dim": _DIM,
            "k": _K,
            "skip": _SKIP,
            "contrast_weight": _CONTRAST,
            "contrast_items": "all",
            "l2": _L2,
            "average": True,
            "learn_features": True,
        },
        graphs={
            "image_original_adj": relation_matrix(knn_relation(ITEM, "image")),
            "text_original_adj": relation_matrix(knn_relation(ITEM, "text")),
        },
        choices={
            "contrast among a batch's items; theirs: all": {"contrast_items": "batch"},
            "LightGCN's convolutions; theirs: means": {"average": False},
            "features stay frozen": {"learn_features": False},
        },
        notes=(
            "similarities have a gradient in each step; theirs: in an epoch's first",
            STARTS,
            "a batch of interactions; theirs: of as many users, each with one",
        ),
    ),
)
