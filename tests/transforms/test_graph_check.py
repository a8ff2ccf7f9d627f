"""Graphs made by hand that cannot be trained on: one sentence, no traceback."""

from __future__ import annotations

import pytest
import torch

from pyg_mmrec.contract import make_graph
from pyg_mmrec.datasets import Synthetic
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.assembly import build
from pyg_mmrec.experiments.experiment import run
from pyg_mmrec.graph import INTERACTS, ITEM, USER
from pyg_mmrec.methods import get
from pyg_mmrec.training.trainer import TrainConfig, Trainer
from pyg_mmrec.transforms import KNN

CONFIG = TrainConfig(epochs=1, progress=False, device="cpu")


def bpr(data):
    cls = get("bpr")
    return cls(data, cls.Config(dim=4))


def of(node_type, name, change):
    def damage(data) -> None:
        data[node_type][name] = change(data[node_type][name])

    return damage


def edges(change, key="edge_index"):
    return of(INTERACTS, key, change)


def with_far(pairs):
    return torch.cat([pairs, torch.tensor([[0], [999]])], dim=1)


CASES = [
    (
        of(ITEM, "x_image", torch.Tensor.double),
        "features of torch.float32.*x_image.*float64",
    ),
    (of(ITEM, "x_image", torch.Tensor.long), "x_image is of torch.int64"),
    (of(ITEM, "x_image", lambda x: x[:-1]), r"x_image .got shape \[29, 4\]"),
    (of(ITEM, "x_image", lambda x: x[:, 0]), r"x_image .got shape \[30\]"),
    (of(ITEM, "x_image", torch.Tensor.numpy), "x_image .got ndarray"),
    (of(ITEM, "mask_image", lambda _: torch.ones(30)), "mask_image as .30. bool"),
    (of(USER, "num_nodes", lambda _: None), r"set data\['user'\].num_nodes"),
    (edges(torch.Tensor.int), "int64 .got .*int32"),
    (edges(torch.Tensor.float), "int64 .got .*float32"),
    (edges(lambda e: e.T), "at least one interaction as .2, E. .got shape"),
    (edges(lambda e: e[:, :0]), "at least one interaction"),
    (edges(with_far), "item ids from 0 to 999 in the interactions .edge_index"),
    (edges(lambda e: -e), "user ids from -"),
    (edges(with_far, "test_label_index"), "from 0 to 999 .*test_label_index"),
]


@pytest.mark.parametrize(("damage", "message"), CASES)
def test_what_is_wrong_is_told_before_a_training(damage, message) -> None:
    data = make_graph(num_items=30)
    data[ITEM].mask_image = torch.ones(30, dtype=torch.bool)
    data[ITEM].x_image = data[ITEM].x_image[:, :4]
    model = bpr(data)
    damage(data)
    with pytest.raises(MMRecError, match=message) as caught:
        bpr(data)
    assert "\n" not in str(caught.value)
    with pytest.raises(MMRecError, match=message):
        Trainer(model, data, config=CONFIG)


def test_half_precision_is_well() -> None:
    data = make_graph()
    data[ITEM].x_image = data[ITEM].x_image.half()
    bpr(data)


def test_a_transform_tells_of_features_as_well() -> None:
    data = make_graph()
    data[ITEM].x_image = data[ITEM].x_image[:-1]
    with pytest.raises(MMRecError, match="'KNN' needs features"):
        KNN(k=3)(data)


def test_a_graph_of_another_size_is_none_for_a_method() -> None:
    model = bpr(make_graph(num_items=30))
    with pytest.raises(MMRecError, match="of 40 users and 30 items.* has 40 and 31"):
        Trainer(model, make_graph(num_items=31), config=CONFIG)


def test_what_is_trained_on_is_not_held_out() -> None:
    """All metrics were 0, for what a user has in train is never ranked."""
    data = make_graph()
    train = data[INTERACTS].edge_index
    data[INTERACTS].test_label_index = train[:, :7]
    with pytest.raises(MMRecError, match="7 of 7 'test' interactions are among those"):
        Trainer(bpr(data), data, config=CONFIG)


def test_data_sets_and_graphs_are_not_taken_for_each_other(tmp_path) -> None:
    dataset = Synthetic(num_users=40, num_items=30, degree=8)
    with pytest.raises(MMRecError, match=r"got Synthetic.*dataset\[0\]"):
        bpr(dataset)
    for call in (run, build):
        for given in (dataset[0], str(tmp_path), tmp_path):
            with pytest.raises(MMRecError, match="a data set is needed .got"):
                call(given, "bpr", epochs=1)
