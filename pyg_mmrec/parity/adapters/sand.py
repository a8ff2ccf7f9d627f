"""SAND, whose code is a toolbox of its own that grew out of MMRec."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.graph import ITEM, USER, features, knn_relation
from pyg_mmrec.parity.adapter import Adapter, relation_matrix
from pyg_mmrec.parity.adapters.modal_graphs import (
    _NO_BIAS,
    STALE,
    STARTS,
    _channels,
    _few_users,
    _forward,
)
from pyg_mmrec.parity.checkout import double
from pyg_mmrec.parity.peer import Peer
from pyg_mmrec.parity.toolbox import FEATURES, Toolbox, check
from pyg_mmrec.parity.toolbox import _ToolboxPeer as ToolboxPeer
from pyg_mmrec.parity.weights import Moved
from pyg_mmrec.sampling.sampler import Batch

_DIM = 6  # as wide as the small graph's features, so that halves are of one width
_HEAD = 8  # hidden width of their heads, 64 as released
_TWO = (("text", "t_gcn"), ("image", "v_gcn"))  # their contrast is of text with image
_ALPHA, _BETA, _TAU, _STEPS = 0.5, 0.3, 0.2, 3
_BITS = math.log(2)  # their BPR is in bits, and their weights are relative to that


def _write(data: HeteroData, folder: Path) -> None:
    """Features as they stand in ours, and a graph of users that they read in vain."""
    for file, (name, _) in zip(reversed(FEATURES), _TWO, strict=True):
        np.save(folder / file, features(data, name).cpu().numpy())
    alone: dict[int, Any] = {
        user: [[], []] for user in range(int(data[USER].num_nodes))
    }
    np.save(folder / "users.npy", np.array(alone, dtype=object), allow_pickle=True)


@dataclass(frozen=True)
class _Sizes:
    """Numbers that stand in their code, or come from their command line.

    Args:
        dim: Width of embeddings.
        head: Hidden width of the heads.
        out: Width of what the heads and the projections of halves give.
        club: Hidden width of the network of the bound.
        steps: Steps of that network in each of the model's.
        alpha: Weight of the alignment.
        beta: Weight of the bound.
        temp: Temperature.
    """

    dim: int = _DIM
    head: int = _HEAD
    out: int = _HEAD // 2
    club: int = _HEAD // 4
    steps: int = _STEPS
    alpha: float = _ALPHA
    beta: float = _BETA
    temp: float = _TAU

    def arguments(self) -> SimpleNamespace:
        """What their command line would give the model."""
        return SimpleNamespace(
            alpha_contrast=self.alpha,
            ureg=self.beta,
            temp=self.temp,
            hidden_dim=self.head,
            out_dim=self.out,
            reg_weight=0.0,
        )


_RELEASED = _Sizes(64, 64, 32, 16, 50, 0.012, 0.006, 0.2)


@dataclass(frozen=True)
class _SAND(Toolbox):
    """Their model with the widths of the data, which are written into the code."""

    sizes: _Sizes = _Sizes()

    def with_options(self, options: Mapping[str, Any]) -> _SAND:
        """The model as they run it, but for the widths of the data.

        Args:
            options: Of their files, or ``alpha_contrast`` and ``ureg`` of their
                command line.
        """
        told, sizes = dict(options), _RELEASED
        for theirs, ours in (("alpha_contrast", "alpha"), ("ureg", "beta")):
            if theirs in told:
                sizes = replace(sizes, **{ours: told.pop(theirs)})
        files = {"user_graph_dict_file": "users.npy", "reg_weight": 0.0}
        return replace(self, options={**files, **told}, sizes=sizes, mend=None)

    def __call__(self, checkout: Path, data: HeteroData) -> Peer:
        """Build the model on a graph."""
        sizes = self.sizes
        text, image = (features(data, name).size(1) for name, _ in _TWO)
        widths = {"384": text, "192": text // 2, "4096": image, "2048": image // 2}
        path = check(checkout) / "models" / "SAND.py"
        module = _rewritten(path, widths, sizes)
        club = module.CLUBSample(sizes.out, sizes.out, sizes.club)
        _defaults(module.SAND, args=sizes.arguments())
        _defaults(import_module("common.trainer").Trainer, club=club)
        peer = super().__call__(checkout, data)
        assert isinstance(peer, ToolboxPeer)
        return _SANDPeer(peer.trainer, self)


def _rewritten(path: Path, widths: dict[str, int], sizes: _Sizes) -> ModuleType:
    """The module of the model, imported with other numbers in its source."""
    source = path.read_text()
    source = re.sub(r"(dim_latent ?= ?)64", rf"\g<1>{sizes.dim}", source)
    source = re.sub(r", ?32\)", f", {sizes.out})", source)
    for written, width in widths.items():
        source = re.sub(rf"\b{written}\b", str(width), source)
    module = ModuleType("models.sand")
    module.__file__, module.__spec__ = str(path), ModuleSpec(module.__name__, None)
    sys.modules[module.__name__] = module
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module


def _defaults(cls: Any, **values: Any) -> None:
    """Give a class the last arguments that its code takes from the command line."""
    build = cls.__init__

    def made(self: Any, *args: Any) -> None:
        build(self, *args, *values.values())

    cls.__init__ = made


class _SANDPeer(ToolboxPeer):
    """Their model and the network of its bound, which has an optimiser of its own."""

    def __init__(self, trainer: Any, how: _SAND) -> None:
        super().__init__(trainer, how)
        self.steps = how.sizes.steps
        self.club: Any = double(trainer.club)
        loss = self.module.calculate_loss
        self.halves: tuple[Tensor, ...] = ()
        self.main: torch.optim.Optimizer | None = None

        def calculate_loss(rows: Tensor) -> Tensor:
            value, self.halves = loss(rows, self.club)
            return value

        self.module.calculate_loss = calculate_loss

    def modules(self) -> tuple[nn.Module, ...]:
        """Their model and the network of its bound."""
        return self.module, self.club

    def optimizer(self) -> torch.optim.Optimizer:
        """Theirs, whose rate is that of the network as well."""
        self.main = super().optimizer()
        return self.main

    def total(self, batch: Batch) -> Tensor:
        """The loss, once the network is fitted: they fit it after, for the next."""
        if self.main is not None:
            rate = self.main.param_groups[0]["lr"]
            self.trainer.optimizer_D.param_groups[0]["lr"] = rate
        self._loss(batch)
        text, image, *unique = (x.detach() for x in self.halves)
        for _ in range(self.steps):
            fit = self.club.learning_loss
            loss = fit(text, image) + fit(*unique)
            self.trainer.optimizer_D.zero_grad()
            loss.backward()
            self.trainer.optimizer_D.step()
        return super().total(batch)

    def weights(self) -> dict[str, Tensor]:
        """Those of the network as well."""
        club = {f"club.{n}": p for n, p in self.club.named_parameters()}
        return {**super().weights(), **club}


def _mix(data: HeteroData) -> Tensor:
    """The item graph: a tenth by images, the rest by text."""
    text, image = (relation_matrix(knn_relation(ITEM, m))(data) for m, _ in _TWO)
    return 0.9 * text + 0.1 * image


def _weights() -> dict[str, Any]:
    found: dict[str, Any] = {
        **_channels(*_TWO),
        "preference.logits.table.weight": Moved(
            ("weight_u",), lambda x: x.squeeze(-1).flip(-1)
        ),
    }
    heads = [f"{layer}.{part}" for layer in (0, 1, 3, 4, 6) for part in _BOTH]
    for i, (m, g) in enumerate(_TWO):
        side = g[0]
        for part in _BOTH:
            found[f"channels.input.{m}.{part}"] = f"{side}_item_linear.{part}"
            for k, half in enumerate(("generic", "unique"), 1):
                ours = f"objectives.distance.{half}.{i}.{part}"
                found[ours] = f"{side}_trans{k}.{part}"
        for head in heads:
            found[f"objectives.align.heads.{i}.{head}"] = f"{side}_proj.head.{head}"
    for ours, theirs in (("mean", "p_mu"), ("log_var", "p_logvar")):
        for layer in (0, 2):
            for part in _BOTH:
                name = f"objectives.distance.q.{ours}.{layer}.{part}"
                found[name] = f"club.{theirs}.{layer}.{part}"
    return found


_BOTH = ("weight", "bias")
_OURS = tuple(  # the network of the paper's bound
    f"objectives.distance.q.{name}.{layer}"
    for name in ("weights", "biases")
    for layer in (0, 1)
)

ADAPTERS = (
    Adapter(
        method="sand",
        code="bruno686/SAND",
        load=_SAND(
            "SAND",
            {
                "embedding_size": _DIM,
                "feat_embed_dim": _DIM,
                "knn_k": 4,
                "temp": _TAU,
                "dropout": 0.0,
                "reg_weight": 0.0,
                "user_graph_dict_file": "users.npy",
            },
            terms={"align": "alpha_contrast", "distance": "ureg"},
            bits=True,
            mend=_few_users,
            before=_forward,
            write=_write,
        ),
        weights=_weights(),
        ours={
            "dim": _DIM,
            "hidden": 4 * _DIM,
            "head": _HEAD,
            "k": 4,
            "modality_weights": {"image": 0.1, "text": 0.9},
            "learn_mix": False,
            "user_weights": "free",
            "input_map": True,
            "parts_of": "features",
            "loss_items": "all",
            "distance": "sampled_mi",
            "inner_steps": _STEPS,
            "tau": _TAU,
            "align_weight": _ALPHA * _BITS,
            "distance_weight": _BETA * _BITS,
        },
        modalities=("text", "image"),
        own=("items.logits", *_OURS),
        graphs={"mm_adj": _mix},
        choices={
            "halves of propagated rows, no map before all": {
                "parts_of": "propagated",
                "input_map": False,
            },
            "losses over a batch's items": {"loss_items": "batch"},
            "the paper's bound between halves": {"distance": "mi"},
            "users' weights stay a softmax; theirs: free after their start as one": {
                "user_weights": "softmax"
            },
            "weights of the modalities uniform": {"modality_weights": {}},
        },
        notes=(
            _NO_BIAS,
            STARTS,
            STALE,
            "weights of the item graphs are learned; theirs: fixed",
            "five steps of the bound's network; theirs: 50, after the bound is taken",
            "theirs: its rate is the model's",
            "theirs: BPR in bits, so that weights of the other terms are 1.44 times "
            "what they say",
        ),
    ),
)
