"""Methods of the MMRec toolbox that propagate each modality over the interactions."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import nn

from pyg_mmrec.graph import INTERACTS, ITEM, relation
from pyg_mmrec.parity.adapter import Adapter, bipartite_matrix, relation_matrix
from pyg_mmrec.parity.adapters.collaborative import CODE
from pyg_mmrec.parity.toolbox import Toolbox, write_user_graph
from pyg_mmrec.parity.weights import Moved, columns, part, stacked, turned

_USERS, _DIM, _K = 40, 8, 4  # of the small graph
_TWO = (("image", "v_gcn"), ("text", "t_gcn"))


def _narrow(model: str) -> Callable[[], None]:
    """Change the widths of its modalities, which are written into the code."""

    def patch() -> None:
        cls = import_module(f"models.{model}").GCN
        build = cls.__init__

        def narrow(self: Any, *args: Any, **kwargs: Any) -> None:
            build(self, *args, **{**kwargs, "dim_latent": _DIM})

        cls.__init__ = narrow

    return patch


def _few_users(module: Any) -> None:
    module.k = _K  # 40 in their code
    for gcn in (module.v_gcn, module.t_gcn):
        nn.init.zeros_(gcn.MLP_1.bias)  # ours has none


def _forward(module: Any) -> None:
    """Score with the weights at hand, not with those of the last step."""
    module.forward(torch.zeros(3, 1, dtype=torch.long))


def _log(name: str) -> Moved:
    """Logits of shares that sum to 1."""
    return Moved((name,), lambda x: x.squeeze(-1).log())


def _channels(*modalities: tuple[str, str]) -> dict[str, Any]:
    """A channel of each modality, by our name and theirs."""
    users = columns(*(f"{g}.preference" for _, g in modalities))
    found: dict[str, Any] = {"channels.user.table.weight": users}
    for m, g in modalities:
        found |= {
            f"channels.project.linear.{m}.weight": f"{g}.MLP.weight",
            f"channels.project.linear.{m}.bias": f"{g}.MLP.bias",
            f"channels.narrow.{m}.weight": f"{g}.MLP_1.weight",
        }
    return found


def _mmgcn_weights() -> dict[str, Any]:
    found: dict[str, Any] = {
        "user.table.weight": part("id_embedding", None, _USERS),
        "item.table.weight": part("id_embedding", _USERS),
        "preference.table.weight": columns("v_gcn.preference", "t_gcn.preference"),
    }
    for m, g in _TWO:
        found[f"project.linear.{m}.weight"] = f"{g}.MLP.weight"
        found[f"project.linear.{m}.bias"] = f"{g}.MLP.bias"
    for layer in range(3):
        for ours, theirs in (("own", "linear_layer"), ("join", "g_layer")):
            names = [f"{g}.{theirs}{layer + 1}" for _, g in _TWO]
            found[f"layers.{layer}.{ours}.weight"] = stacked(
                *(f"{name}.weight" for name in names), turn=True
            )
            found[f"layers.{layer}.{ours}.bias"] = stacked(
                *(f"{name}.bias" for name in names)
            )
        found[f"layers.{layer}.neighbours.weight"] = stacked(
            *(f"{g}.conv_embed_{layer + 1}.weight" for _, g in _TWO)
        )
    return found


_HOMOGENEOUS = {
    "embedding_size": _DIM,
    "feat_embed_dim": _DIM,
    "aggr_mode": "add",
    "reg_weight": 0.0,
}


def _linear(ours: str, theirs: str) -> dict[str, Any]:
    return {f"{ours}.{part}": f"{theirs}.{part}" for part in ("weight", "bias")}


def _two_modalities(module: Any) -> None:
    """Take out the space of the audio, which the toolbox does not have."""
    nn.init.eye_(module.g_iv_iva.weight)
    nn.init.zeros_(module.g_iv_iva.bias)
    module.f = nn.Identity()  # a sigmoid, which ranks the same


def _compute(module: Any) -> None:
    module.all_users, module.all_items = module.compute()


def _own_rows(module: Any) -> None:
    """Look items up in their own rows, and draw no noise."""
    loss = module.calculate_loss

    def shifted(rows: torch.Tensor) -> torch.Tensor:
        offset = torch.tensor([0, module.n_users, module.n_users])
        return loss(rows + offset.unsqueeze(-1))

    module.calculate_loss = shifted
    module.reparametrize = lambda mean, log_var: mean


def _mvgae_weights() -> dict[str, Any]:
    names = ("v_gcn", "t_gcn", "c_gcn")
    found: dict[str, Any] = {
        "user.table.weight": columns(*(f"{g}.preference" for g in names)),
        "item.table.weight": "collaborative",
        **_linear("widen", "c_gcn.MLP"),
        **_linear("project.linear.image", "v_gcn.MLP"),
        **_linear("project.linear.text", "t_gcn.MLP"),
    }
    layers = (("convs", 0, 1), ("last_convs", 0, 4), ("last_convs", 1, 5))
    for i, g in enumerate(names):
        for ours, place, theirs in layers:
            conv = f"encoders.{i}.{ours}.{place}"
            join = conv.replace("convs", "joins")
            found[f"{conv}.weight"] = turned(f"{g}.conv_embed_{theirs}.weight")
            found[f"{conv}.bias"] = f"{g}.conv_embed_{theirs}.bias"
            found |= _linear(join, f"{g}.g_layer{theirs}")
            if ours == "last_convs":
                own = f"encoders.{i}.owns.{place}"
                found |= _linear(own, f"{g}.linear_layer{theirs}")
    return found


_SHARES = "shares that stay a softmax; theirs: free after their start as one"
_NO_BIAS = "no bias after the hidden layer, so that what is missing stays zero"
_MEANS = "penalty: half the squares of a batch's preferences; theirs: their mean"
STARTS = "features' first map starts as Xavier's; theirs: as PyTorch's"
STALE = "ranked by the weights at hand; theirs: by what the last step computed"
_FEW = "a user with few neighbours has each once; theirs: some several times"
_DRAWN = "ids and preferences are learned; theirs: stay as they were drawn"

ADAPTERS = (
    Adapter(
        method="grcn",
        code=CODE,
        load=Toolbox(
            "GRCN",
            {
                "embedding_size": _DIM,
                "latent_embedding": _DIM,
                "n_layers": 3,
                "reg_weight": 0.0,
            },
            before=lambda module: module.forward(),
        ),
        weights={
            "user.table.weight": part("id_gcn.id_embedding", None, _USERS),
            "item.table.weight": part("id_gcn.id_embedding", _USERS),
            "prototype.table.weight": columns("v_gcn.preference", "t_gcn.preference"),
            "project.linear.image.weight": "v_gcn.MLP.weight",
            "project.linear.image.bias": "v_gcn.MLP.bias",
            "project.linear.text.weight": "t_gcn.MLP.weight",
            "project.linear.text.bias": "t_gcn.MLP.bias",
            "confidence.user.table.weight": part("model_specific_conf", None, _USERS),
            "confidence.item.table.weight": part("model_specific_conf", _USERS),
        },
        ours={"dim": _DIM, "num_routings": 0, "confidence": 0.0, "l2": 0.0},
        choices={
            "prototypes refined three times": {"num_routings": 3},
            "confidences start at 1": {"confidence": 1.0},
        },
        notes=(
            "penalty: half the squares of a batch's ids and prototypes; theirs: their "
            "mean, and that of all prototypes of a modality",
            STALE,
        ),
    ),
    Adapter(
        method="dragon",
        code=CODE,
        load=Toolbox(
            "DRAGON",
            {**_HOMOGENEOUS, "n_mm_layers": 1, "knn_k": 4, "mm_image_weight": 0.1},
            bits=True,
            patch=_narrow("dragon"),
            mend=_few_users,
            before=_forward,
            write=write_user_graph,
        ),
        weights={
            **_channels(*_TWO),
            "preference.logits.table.weight": _log("weight_u"),
        },
        ours={
            "dim": _DIM,
            "hidden": 4 * _DIM,
            "k": 4,
            "user_k": _K,
            "modality_weights": {"image": 0.1, "text": 0.9},
            "l2": 0.0,
        },
        own=("preference.logits.table.weight",),
        graphs={"mm_adj": relation_matrix(relation(ITEM, "mixed"))},
        choices={"weights of the modalities uniform": {"modality_weights": {}}},
        notes=(_SHARES, _NO_BIAS, _FEW, _MEANS, STARTS, STALE),
    ),
    Adapter(
        method="dualgnn",
        code=CODE,
        load=Toolbox(
            "DualGNN",
            _HOMOGENEOUS,
            bits=True,
            patch=_narrow("dualgnn"),
            mend=_few_users,
            before=_forward,
            write=write_user_graph,
        ),
        weights={
            **_channels(*_TWO),
            "preference.logits.table.weight": _log("weight_u"),
        },
        ours={
            "dim": _DIM,
            "hidden": 4 * _DIM,
            "user_k": _K,
            "first_holds_all": True,
            "l2": 0.0,
        },
        own=("preference.logits.table.weight",),
        choices={
            "a share of each modality by itself": {"first_holds_all": False},
        },
        notes=(_SHARES, _NO_BIAS, _FEW, _MEANS, STARTS, STALE),
    ),
    Adapter(
        method="mmgcn",
        code=CODE,
        load=Toolbox(
            "MMGCN",
            {"embedding_size": _DIM, "n_layers": 3, "reg_weight": 0.0},
            patch=_narrow("mmgcn"),
            before=lambda module: module.forward(),
        ),
        weights=_mmgcn_weights(),
        ours={"dim": _DIM, "mean": True, "l2": 0.0},
        own=("user.table.weight", "item.table.weight", "preference.table.weight"),
        choices={"the sum of the modalities": {"mean": False}},
        notes=(
            "features projected to one width; theirs: to 256, or not",
            _DRAWN,
            "penalty: half the squares of a batch; theirs: on what does not learn",
            "maps start as Xavier's, biases as zeros; theirs: some as PyTorch's",
            STALE,
        ),
    ),
    Adapter(
        method="mvgae",
        code=CODE,
        load=Toolbox(
            "MVGAE",
            {"embedding_size": _DIM // 2, "n_layers": 1, "beta": 0.1},
            terms={"divergence": "beta"},
            first="reconstruction",
            sums=("reconstruction", "divergence"),
            bits=True,
            patch=_narrow("mvgae"),
            mend=_own_rows,
            before=lambda module: module.forward(),
        ),
        weights=_mvgae_weights(),
        ours={
            "dim": _DIM // 2,
            "hidden": _DIM,
            "noise": 0.0,
            "squash": True,
            "batch_negatives": True,
            "beta": 0.1 * math.log(2),
        },
        own=("user.table.weight", "item.table.weight"),
        choices={
            "a user's own negatives; theirs: a batch's": {"batch_negatives": False},
            "means as they are; theirs: sigmoids of them": {"squash": False},
        },
        notes=(
            "items looked up in their own rows; theirs: in those of users, mended for "
            "the comparison",
            "means over the batch, in nats; theirs: sums, in bits",
            "samples have noise in both, left out of the comparison",
            _DRAWN,
            STALE,
        ),
    ),
    Adapter(
        method="slmrec",
        code=CODE,
        load=Toolbox(
            "SLMRec",
            {
                "recdim": _DIM,
                "layer_num": 3,
                "ssl_task": "FAC",
                "ssl_alpha": 0.1,
                "ssl_temp": 0.2,
                "temp": 0.2,
                "weight_decay": 0.0,
            },
            terms={"fac": "config.ssl_alpha"},
            first="contrast",
            mend=_two_modalities,
            before=_compute,
        ),
        weights={
            "user.table.weight": "embedding_user.weight",
            "item.table.weight": "embedding_item.weight",
            **_linear("project.linear.image", "v_dense"),
            **_linear("project.linear.text", "t_dense"),
            **_linear("fuse.user", "embedding_user_after_GCN"),
            **_linear("fuse.item", "embedding_item_after_GCN"),
            **_linear("objectives.fac.chain.0", "g_i_iv"),
            **_linear("objectives.fac.modal.0", "g_v_iv"),
            **_linear("objectives.fac.chain.1", "g_iva_ivat"),
            **_linear("objectives.fac.modal.1", "g_t_ivat"),
        },
        ours={
            "dim": _DIM,
            "normalize": "features",
            "cosine": False,
            "task_nodes": "positive",
            "l2": 0.0,
        },
        graphs={"norm_adj": bipartite_matrix(INTERACTS)},
        choices={
            "projections normalised; theirs: features": {"normalize": "projections"},
            "the task compares directions": {"cosine": True},
        },
        notes=(
            "one map into the last space; theirs: two",
            "penalty on a batch's ids; theirs: weight decay",
            "of the tasks fac alone is compared",
            STALE,
        ),
    ),
)
