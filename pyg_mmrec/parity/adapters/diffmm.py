"""DiffMM, from its authors' repository."""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.graph import INTERACTS
from pyg_mmrec.parity.adapter import Adapter
from pyg_mmrec.parity.checkout import double
from pyg_mmrec.parity.peer import LR, Peer, switched
from pyg_mmrec.parity.scripts import (
    check_checkout,
    started,
    train_matrix,
    working_folder,
    write_features,
)
from pyg_mmrec.parity.weights import Moved, Weight, part
from pyg_mmrec.sampling.sampler import Batch
from pyg_mmrec.seeding import seeded

CODE = "HKUDS/DiffMM"
_MODALITIES = ("image", "text")
_DIM, _HIDDEN, _K, _CHUNK, _ITEMS = 8, 6, 3, 16, 30
_CONTRAST, _SIGNAL, _L2, _TAU = 0.1, 0.1, 1e-3, 0.5
_OPTIONS = {
    "data": "baby",  # two modalities; the name of a folder, too
    "latdim": _DIM,
    "dims": [_HIDDEN],
    "rebuild_k": _K,
    "keepRate": 1.0,
    "trans": 1,
    "e_loss": _SIGNAL,
    "lr": LR,
    "temp": _TAU,
}


class DiffMM:
    """Loads the authors' model with its denoisers."""

    def sources(self, checkout: Path) -> tuple[Path, ...]:
        """The checkout itself; see :class:`~pyg_mmrec.parity.adapter.Loader`."""
        files = ("Main.py", "Model.py", "DataHandler.py", "Utils/Utils.py")
        return (check_checkout(checkout, CODE, files),)

    def __call__(self, checkout: Path, data: HeteroData) -> Peer:
        """Build the model on a graph."""
        with working_folder() as folder, started(**_OPTIONS):
            target = folder / "Datasets" / "baby"
            target.mkdir(parents=True)
            matrix = pickle.dumps(train_matrix(data))
            for name in ("trnMat.pkl", "tstMat.pkl"):  # the second is read in vain
                (target / name).write_bytes(matrix)
            write_features(data, target)
            import Main

            handler = Main.DataHandler()
            handler.LoadData()
            coach = Main.Coach(handler)
            coach.prepareModel()
        return _DiffMMPeer(coach, Main)


class _NoSteps:
    """Their batches, none of which are drawn."""

    def __init__(self, loader: Any) -> None:
        self.dataset = loader.dataset

    def __iter__(self) -> Any:
        return iter(())


class _Blocks(list):
    """Blocks of users, in an order that is known."""

    def __init__(self, rows: Tensor) -> None:
        self.dataset = rows
        order = torch.arange(rows.size(0)).roll(1).split(_CHUNK)  # as quiet ones are
        super().__init__((rows[users], users) for users in order)


class _DiffMMPeer(Peer):
    """Their model; its steps, which are one function with an epoch, stand here."""

    def __init__(self, coach: Any, module: Any) -> None:
        super().__init__(double(coach.model))
        self.coach, self.main = coach, module
        self.interactions = coach.handler.torchBiAdj.double()
        handler = coach.handler
        handler.trnLoader = _NoSteps(handler.trnLoader)
        handler.diffusionLoader = _Blocks(handler.diffusionData.data.double())
        for name in _MODALITIES:
            layer = self._denoiser(name).get_submodule("emb_layer")
            layer.register_forward_pre_hook(_in_double)
        self.before = self.made = self._epoch(lr=0.0)
        self.denoising = torch.zeros(())

    def _denoiser(self, name: str) -> nn.Module:
        return getattr(self.coach, f"denoise_model_{name}")

    def start(self) -> None:
        """Train the denoisers, and make the graphs of an epoch."""
        self.made = self._epoch(lr=LR)

    def _epoch(self, lr: float) -> list[Tensor]:
        """Graphs after an epoch of the denoisers."""
        for name in _MODALITIES:
            optimizer = torch.optim.Adam(self._denoiser(name).parameters(), lr=lr)
            setattr(self.coach, f"denoise_opt_{name}", optimizer)
        args = self.main.args
        with (
            switched(args, {"batch": _CHUNK}),
            seeded(0),
            redirect_stdout(io.StringIO()),
        ):
            found = self.coach.trainEpoch()
        blocks = self.coach.handler.diffusionLoader
        total = sum(found[f"Di {name} loss"] for name in _MODALITIES)
        share = (len(blocks.dataset) // _CHUNK) / len(blocks)  # they count whole ones
        self.denoising = torch.tensor(total * share)
        return [getattr(self.coach, f"{m}_UI_matrix").double() for m in _MODALITIES]

    def optimizer(self) -> torch.optim.Optimizer:
        return self.coach.opt

    def graph(self, name: str) -> Tensor:
        return self.interactions

    def scores(self, users: Tensor) -> Tensor:
        """With the denoisers' first weights, as ours are compared."""
        user, item = self._forward(self.before)
        return user[users] @ item.T

    def _forward(self, graphs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        return self.module.forward_MM(self.interactions, *graphs)

    def total(self, batch: Batch) -> Tensor:
        found = self.losses(batch)
        contrast = _CONTRAST * len(_MODALITIES) * found["contrast"]
        total = found["bpr"] + contrast + _L2 * found["l2"] + found["denoising"]
        return total

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        user, item = self._forward(self.made)
        pair = self.main.pairPredict
        gap = pair(user[batch.user], item[batch.pos], item[batch.neg[:, 0]])
        views = self.module.forward_cl_MM(self.interactions, *self.made)
        contrast = self.main.contrastLoss
        sides = ((user, views[::2], batch.user), (item, views[1::2], batch.pos))
        parts = [
            contrast(whole, view, nodes, _TAU)
            for whole, of_side, nodes in sides
            for view in of_side
        ]
        return {
            "bpr": -gap.sigmoid().log().mean(),
            "denoising": self.denoising,
            "contrast": torch.stack(parts).sum() / len(_MODALITIES),
            "l2": self.module.reg_loss() / 2,
        }

    def weights(self) -> dict[str, Tensor]:
        """Those of the denoisers as well."""
        found = super().weights()
        for name in _MODALITIES:
            params = self._denoiser(name).named_parameters(prefix=f"denoise_{name}")
            found.update(params)
        return found


def _in_double(layer: Any, values: tuple[Tensor, ...]) -> Tensor:
    return values[0].to(layer.weight.dtype)


def _interactions(data: HeteroData) -> Tensor:
    """Our graph with loops among all nodes."""
    return adjacency(data, INTERACTS).looped.csr


def _weights() -> dict[str, Weight]:
    found: dict[str, Weight] = {
        "user.table.weight": "uEmbeds",
        "item.table.weight": "iEmbeds",
        "logits": "modal_weight",
    }
    for m in _MODALITIES:
        for kind in ("weight", "bias"):
            found[f"project.linear.{m}.{kind}"] = f"{m}_trans.{kind}"
            found[f"denoisers.{m}.time.0.{kind}"] = f"denoise_{m}.emb_layer.{kind}"
        first, last = f"denoise_{m}.in_layers.0", f"denoise_{m}.out_layers.0"
        found[f"denoisers.{m}.encode"] = Moved(
            (f"{first}.weight",), lambda x: x[:, :_ITEMS].T
        )
        found[f"denoisers.{m}.time.1.weight"] = part(f"{first}.weight", _ITEMS, dim=1)
        found[f"denoisers.{m}.time.1.bias"] = f"{first}.bias"
        found[f"denoisers.{m}.decode"] = f"{last}.weight"
        found[f"denoisers.{m}.bias"] = f"{last}.bias"
    return found


ADAPTERS = (
    Adapter(
        method="diffmm",
        code=CODE,
        load=DiffMM(),
        weights=_weights(),
        ours={
            "dim": _DIM,
            "hidden": _HIDDEN,
            "k": _K,
            "chunk_size": _CHUNK,
            "signal_weight": _SIGNAL,
            "contrast_weight": _CONTRAST,
            "contrast": "main",
            "tau": _TAU,
            "inner_lr": LR,
            "l2": _L2,
        },
        graphs={"interactions": _interactions},
        notes=(
            "generated graphs lose no edges; theirs: half of their entries on TikTok",
            "denoisers 64 wide; theirs: 1000",
            "evaluated on graphs of the weights at hand; theirs: on the last epoch's",
            "L2: half the squares; theirs: squares",
        ),
    ),
)
