"""Digests of graphs: every change of what one holds is another digest."""

from __future__ import annotations

import copy
import time

import numpy as np
import pytest
import torch

from pyg_mmrec.digest import graph_digest
from pyg_mmrec.graph import INTERACTS

from .conftest import make_graph


@pytest.fixture
def masked():
    return make_graph(missing=0.3)


def change_feature(d):
    d["item"].x_text = d["item"].x_text.clone()
    d["item"].x_text[0, 0] += 1e-6


def change_mask(d):
    d["item"].mask_text = ~d["item"].mask_text


def change_edge(d):
    d[INTERACTS].edge_index = d[INTERACTS].edge_index.flip(1)


def change_shape(d):
    d["item"].x_text = d["item"].x_text.reshape(15, -1)


def change_dtype(d):
    d["item"].x_text = d["item"].x_text.view(torch.int32)


def change_name(d):
    d["item"].x_words = d["item"].pop("x_text")


def change_size(d):
    d["user"].num_nodes = 41


def change_array(d):
    d["item"].extra = np.arange(2000)


@pytest.mark.parametrize(
    "change",
    [
        change_feature,
        change_mask,
        change_edge,
        change_shape,
        change_dtype,
        change_name,
        change_size,
        change_array,
    ],
)
def test_other_content_is_another_key(masked, change) -> None:
    other = copy.copy(masked)
    change(other)
    assert graph_digest(other) != graph_digest(masked)
    assert graph_digest(masked, "a") != graph_digest(masked, "b")
    assert graph_digest(copy.deepcopy(masked)) == graph_digest(masked)


def test_hashing_is_fast() -> None:
    data = make_graph()
    data["item"].x_image = torch.zeros(30, 500_000)  # 60 MB
    start = time.perf_counter()
    graph_digest(data)
    assert time.perf_counter() - start < 2.0
