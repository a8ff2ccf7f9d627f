"""Methods of authors' own repositories beside what their code computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import interaction_graph
from pyg_mmrec.parity import ADAPTERS, compare, fixture, worst
from pyg_mmrec.parity.scripts import check_checkout, check_counts, started
from pyg_mmrec.parity.toolbox import USER_GRAPH, USER_K

from .test_parity import CLOSE, FIXTURES


def read(method: str):
    return fixture.read(FIXTURES[0].with_name(f"{method}.npz"))


def test_denoisers_and_what_they_generate_are_compared() -> None:
    data, theirs = read("diffmm")
    adapter = ADAPTERS["diffmm"]
    found = compare(adapter, data, theirs)
    trained = {x.name: x.value for x in found if x.part == "trained"}
    assert trained["denoisers.image.decode"] < CLOSE
    start = theirs.weights["denoise_image.out_layers.0.weight"]
    after = theirs.trained["denoise_image.out_layers.0.weight"]
    assert not start.equal(after)  # an epoch of theirs trained it
    assert float(theirs.losses["denoising"]) > 0
    # Another graph shows in what ranks.
    assert worst(compare(adapter, data, theirs, {"k": 1}), "forward") > 10 * CLOSE


@pytest.mark.parametrize(
    ("method", "options", "reached", "untouched"),
    [
        ("diffmm", {"contrast_both_ways": True}, ("loss",), ("graph", "forward")),
        ("diffmm", {"contrast_nodes": "distinct"}, ("loss",), ("graph", "forward")),
        ("diffmm", {"contrast": "modalities"}, ("loss",), ("graph", "forward")),
        ("diffmm", {"noise": 0.2}, ("loss", "forward"), ("graph",)),
        ("diffmm", {"leaky": True}, ("loss", "forward"), ("graph",)),
        ("micro", {"contrast_items": "batch"}, ("loss",), ("graph", "forward")),
        ("micro", {"average": False}, ("loss", "forward"), ("graph",)),
        ("mmssl", {"propagation": "light"}, ("loss", "forward"), ("graph",)),
        ("mmssl", {"contrast_with": "mix"}, ("loss",), ("graph", "forward")),
        ("mmssl", {"contrast_own": False}, ("loss",), ("graph", "forward")),
        ("mmssl", {"l2_rows": "ego"}, ("loss",), ("graph", "forward")),
        ("mmssl", {"weight_decay": 0.0}, ("trained",), ("forward", "loss")),
        ("cohesion", {"frozen_ids": False}, ("gradient",), ("forward", "loss")),
        ("cohesion", {"feature_bias": False}, ("loss", "forward"), ("graph",)),
        ("cohesion", {"user_k": 3}, ("graph", "forward"), ()),
        ("mentor", {"own_views": False}, ("loss",), ("graph", "forward")),
        ("mentor", {"ssl_nodes": "batch"}, ("loss",), ("graph", "forward")),
        ("mentor", {"noise": 0.2}, ("loss",), ("graph", "forward")),
        ("mentor", {"l2_shares": False}, ("loss",), ("graph", "forward")),
        ("mentor", {"feature_bias": False}, ("loss", "forward"), ("graph",)),
    ],
)
def test_an_option_changes_the_parts_that_it_reaches(
    method, options, reached, untouched
) -> None:
    found = compare(ADAPTERS[method], *read(method), options)
    for part in reached:
        assert worst(found, part) > 5 * CLOSE, part
    if untouched:
        assert worst(found, *untouched) < CLOSE


@pytest.mark.parametrize("method", ["cohesion", "dragon", "dualgnn"])
def test_their_training_reads_as_many_neighbours_as_their_code_asks_for(
    method, tmp_path
) -> None:
    users, items = torch.arange(60), torch.zeros(60, dtype=torch.long)
    edges, none = torch.stack([users, items]), torch.empty(2, 0, dtype=torch.long)
    loader = ADAPTERS[method].load.with_options({})
    loader.write(interaction_graph(60, 1, edges, none, none), tmp_path)
    found = np.load(tmp_path / USER_GRAPH, allow_pickle=True).item()
    assert {len(neighbours) for neighbours, _ in found.values()} == {USER_K}


def test_another_checkout_is_refused(tmp_path) -> None:
    (tmp_path / "main.py").touch()
    with pytest.raises(MMRecError, match="no checkout of MICRO, for a/b.py"):
        check_checkout(tmp_path, "CRIPAC-DIG/MICRO", ("main.py", "a/b.py"))


def test_a_node_without_interactions_is_refused() -> None:
    data, _ = read("micro")
    check_counts(data)
    data["item"].num_nodes = 31
    with pytest.raises(MMRecError, match="of 31 items 30 have any"):
        check_counts(data)


def test_options_are_read_from_the_command_line(capsys) -> None:
    import sys

    before = list(sys.argv)
    with started(width=[8, 8], debug=True):
        print("loud")
        assert sys.argv[1:] == ["--width=[8, 8]", "--debug"]
    assert sys.argv == before
    assert capsys.readouterr().out == ""
