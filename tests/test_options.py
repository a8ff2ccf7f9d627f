"""Every option of every method has a range, which holds wherever it is set."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, get_args, get_origin, get_type_hints

import pytest
import torch
from torch import nn

from pyg_mmrec.config import Range, override, range_of
from pyg_mmrec.datasets import Synthetic
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.experiments.assembly import check_options, configure
from pyg_mmrec.experiments.experiment import run
from pyg_mmrec.methods import available, get
from pyg_mmrec.nn.conv.propagate import build_conv
from pyg_mmrec.training.trainer import TrainConfig

CONFIGS = {"train": TrainConfig, **{name: get(name).Config for name in available()}}


def numeric() -> Iterator[tuple[str, str, type, Any]]:
    """Configuration, field, kind of number, and how to put one into the field."""
    for owner, cls in CONFIGS.items():
        for name, hint in get_type_hints(cls).items():
            origin, args = get_origin(hint), get_args(hint)
            if hint in (int, float):
                yield owner, name, hint, lambda x: x
            elif origin is tuple and args[0] in (int, float):
                yield owner, name, args[0], lambda x: (x,)
            elif origin is dict:
                yield owner, name, args[1], lambda x: {"image": x}


NUMERIC = list(numeric())


def beyond(within: Range, kind: type) -> list[Any]:
    """Values just outside a range, and those that no number option takes."""
    step: Any = 1 if kind is int else 1e-6
    least, greatest = within.min, within.max
    found = [math.nan, math.inf, -math.inf, 1e308, 10**400, True, "1", None, [1], 1j]
    found += [] if least is None else [kind(least) - step]
    found += [] if greatest is None else [kind(greatest) + step]
    found += [] if within.above is None else [kind(within.above)]
    found += [] if within.below is None else [kind(within.below)]
    return [*found, *([0.5] if kind is int else [])]


@pytest.mark.parametrize(
    ("owner", "name", "kind", "wrap"), NUMERIC, ids=[f"{o}-{n}" for o, n, *_ in NUMERIC]
)
def test_a_number_out_of_range_is_refused(owner, name, kind, wrap) -> None:
    cls = CONFIGS[owner]
    within = range_of(cls, name)
    assert within.min is not None or within.above is not None
    assert within.max is not None or within.below is not None
    for value in beyond(within, kind):
        with pytest.raises(MMRecError, match=f"'{name}' needs") as error:
            cls(**{name: wrap(value)})
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 250
    config = cls()
    with pytest.raises(MMRecError, match=f"'{name}' needs"):
        setattr(config, name, wrap(-2))
    assert getattr(config, name) == getattr(cls(), name)
    for end in (within.min, within.max):
        if end is not None and name != "num_neighbors":
            assert cls(**{name: wrap(kind(end))})


@pytest.mark.parametrize("method", available())
def test_presets_and_ablations_are_in_range(method) -> None:
    cls = get(method)
    for dataset in ("none", *cls.presets):
        for ablate in ([], *([a] for a in cls.ablations)):
            config, train = configure(method, dataset, {}, ablate)
            assert override(config) == config
            assert override(train) == train


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"monitor": "recall"}, "'monitor' needs a metric with a cut-off"),
        ({"monitor": "recall@"}, "'recall@'"),
        ({"monitor": "recall@x"}, "'recall@x'"),
        ({"monitor": "recall@0"}, "from 1 to"),
        ({"monitor": "recall@-1"}, "'recall@-1'"),
        ({"monitor": "recall@1@2"}, "'recall@1@2'"),
        ({"monitor": "recll@20"}, "'recll': did you mean 'recall'"),
        ({"monitor": ""}, "metric in 'monitor'"),
        ({"ks": ()}, "at least one value"),
        ({"ks": (5, 5)}, "none twice"),
        ({"ks": (0,)}, "from 1 to 100,000"),
        ({"exclude": ()}, "at least one value"),
        ({"exclude": ("trian",)}, "'trian': did you mean 'train'"),
        ({"num_neighbors": (5, 0)}, "for each hop"),
        ({"num_neighbors": (-2,)}, "'num_neighbors'"),
        ({"seed": 2**63}, "from 0 to 2,147,483,647"),
        ({"seed": -1}, "from 0 to 2,147,483,647"),
        ({"device": "meta"}, "unknown device 'meta'"),
        ({"device": "mps"}, "unknown device 'mps'"),
        ({"device": "xla"}, "unknown device 'xla'"),
        ({"device": ""}, "unknown device ''"),
        ({"device": "cuda:-1"}, "unknown device"),
        ({"optimizer": "sgd"}, "'sgd'"),
        ({"amp": 1}, "true or false"),
    ],
)  # fmt: skip
def test_training_options_of_no_use(values, words) -> None:
    with pytest.raises(MMRecError, match=words):
        TrainConfig(**values)


def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(MMRecError, match="'cuda:99' was asked for"):
        check_options("bpr", "none", device="cuda:99")


def test_extras_that_are_not_installed(monkeypatch) -> None:
    monkeypatch.setattr("pyg_mmrec.sampling.sampler.WITH_TORCH_SPARSE", False)
    monkeypatch.setattr("pyg_mmrec.sampling.sampler.WITH_PYG_LIB", False)
    monkeypatch.setattr("pyg_mmrec.extras.find_spec", lambda name: None)
    with pytest.raises(MMRecError, match="needs torch-sparse"):
        check_options("bpr", "none", num_neighbors=(5,), neighbor_sampler="pyg")
    check_options("bpr", "none", num_neighbors=(5,))
    with pytest.raises(MMRecError, match="'diffmm', which denoises users' rows"):
        check_options("diffmm", "none", num_neighbors=(5,))
    with pytest.raises(MMRecError, match="'tensorboard' is not installed"):
        check_options("bpr", "none", track=["tensorboard"])


class Halving(nn.Module):
    def forward(self, x, edge_index):
        return x[:, : x.size(1) // 2]


@pytest.mark.parametrize(
    ("conv", "words"),
    [
        ("GINConv", "'GINConv' cannot be made from its width alone"),
        ("RGCNConv", "num_relations"),
        ("Gatconv", "did you mean 'GATConv'"),
        ("MessagePassing", "unknown layer"),
        ("", "unknown layer"),
        ("MixHopConv", r"makes \[2, 24\] of \[2, 8\]"),
        ("PointNetConv", "does not take 8 columns and edges alone"),
        (Halving, r"makes \[2, 4\] of \[2, 8\]"),
        (lambda: nn.Linear(8, 8), "does not take 8 columns"),
    ],
)
def test_layers_that_do_not_fit(conv, words) -> None:
    with pytest.raises(MMRecError, match=words):
        build_conv(conv, 8)


def test_trying_a_layer_leaves_it_and_the_random_numbers_alone() -> None:
    torch.manual_seed(0)
    build_conv("GATConv", 8)
    drawn = torch.rand(3)
    torch.manual_seed(0)
    from torch_geometric.nn import GATConv

    GATConv(8, 8, add_self_loops=False)
    assert torch.equal(torch.rand(3), drawn)


def test_a_misspelt_modality_is_named() -> None:
    data = Synthetic(num_users=40, num_items=30)
    with pytest.raises(MMRecError, match="'imge': did you mean 'image'"):
        run(data, "freedom", modality_weights={"imge": 1.0}, device="cpu")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("learning-rate", "lr"), ("batch", "batch-size"), ("epoch", "epochs"),
        ("l2-reg", "l2"), ("wd", "weight-decay"), ("embedding-dim", "dim"),
        ("embedding-size", "dim"), ("layers", "num-layers"), ("model", "method"),
        ("temperature", "tau"), ("bs", "batch-size"), ("gpu", "device"),
    ],
)  # fmt: skip
def test_names_of_elsewhere_are_understood(given, meant) -> None:
    names = [f.name.replace("_", "-") for f in fields(TrainConfig)]
    names += ["method", "l2", "dim", "num-layers", "num-user-layers", "tau"]
    names += ["min-rating", "root", "output", "modalities"]
    error = unknown("option", f"--{given}", [f"--{n}" for n in names])
    assert f"did you mean '--{meant}'" in str(error)


def test_a_plug_with_options_is_still_that_plug() -> None:
    plugs = ["sand", "sand:tau=0.1"]
    with pytest.raises(MMRecError, match="the plug 'sand' is named twice"):
        check_options("vbpr", "tiktok", plugs=plugs)


def test_a_choice_among_thousands_is_not_answered_with_all() -> None:
    told = str(unknown("value", "zzz", [f"title {i:05}" for i in range(5000)]))
    assert "title 00059 and 4,940 more" in told
    assert len(told) < 1000
