"""What of the items has features is told, and warned of where it is little."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from pyg_mmrec.datasets import Folder, Synthetic
from pyg_mmrec.datasets.coverage import check_matches, coverage, coverage_lines
from pyg_mmrec.errors import MMRecError
from tests.conftest import make_graph
from tests.datasets.bad.damage import ITEMS


def features_of(folder, ids) -> None:
    np.save(folder / "image_ids.npy", np.array(ids))
    np.save(folder / "image_feat.npy", 1.0 + np.arange(2 * len(ids)).reshape(-1, 2))


def test_text_of_a_data_set_tells_the_coverage(folder) -> None:
    features_of(folder, ITEMS[:9])
    dataset = Folder(folder)
    lines = str(dataset).splitlines()
    assert lines[0] == repr(dataset)
    assert lines[1:] == [
        "  image: 9 of 12 items (75 %)",
        "  text: 12 of 12 items (100 %)",
    ]
    table = dataset.coverage()
    assert table["share"].tolist() == [0.75, 1.0]
    assert table.columns.tolist() == ["node", "modality", "present", "total", "share"]


def test_features_that_are_the_same_for_all_items_are_told(folder) -> None:
    features_of(folder, ITEMS[:9])
    np.save(folder / "image_feat.npy", np.ones((9, 2)))
    with pytest.warns(UserWarning, match="modality 'image' for all 9 items that have"):
        Folder(folder)
    x = np.ones((9, 2))
    x[8, 1] = 2
    np.save(folder / "image_feat.npy", x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Folder(folder)


def test_synthetic_tells_it_too() -> None:
    text = str(Synthetic(50, 40, missing=0.3, noise=0.0))
    assert "\n  image: " in text
    assert "of 40 items" in text


def test_users_features_count_as_well() -> None:
    data = make_graph()
    data["user"].x_age = torch.ones(40, 1)
    data["user"].mask_age = torch.arange(40) < 10
    assert coverage_lines(data)[-1] == "age: 10 of 40 users (25 %)"
    assert coverage(data)["node"].tolist() == ["item", "item", "user"]


@pytest.mark.parametrize(
    ("present", "total", "text"),
    [
        (3160, 9066, "3,160 of 9,066 items (34 %)"),
        (1, 1000, "1 of 1,000 items (below 1 %)"),
        (999, 1000, "999 of 1,000 items (99 %)"),
        (0, 1000, "0 of 1,000 items (0 %)"),
    ],
)
def test_neither_all_nor_none_unless_it_is(present, total, text) -> None:
    data = make_graph(num_items=total, modalities=("image",))
    data["item"].mask_image = torch.arange(total) < present
    assert coverage_lines(data) == [f"image: {text}"]


def test_few_items_are_a_warning_at_every_load(folder) -> None:
    features_of(folder, ITEMS[:3])
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"few, image: 3 of 12 items \(25 %\)"):
            Folder(folder)
    features_of(folder, ITEMS[:6])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        Folder(folder)


def numbers(start: int, count: int, spelling: str = "{}") -> pd.Index:
    return pd.Index([spelling.format(n) for n in range(start, start + count)])


def test_a_part_and_a_larger_catalogue_are_no_mistake() -> None:
    items = numbers(0, 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_matches(numbers(0, 180), items, "posters")
    with pytest.warns(UserWarning, match="49000 items that have no interactions"):
        check_matches(numbers(0, 50_000), items, "catalogue")


def test_leading_zeros_that_match_by_chance_are_an_error() -> None:
    """182 of 2,502 ids match, for these have six digits anyway."""
    items = pd.Index([31 * n for n in range(1, 2321)] + list(range(100_000, 100_182)))
    ids = pd.Index([f"{n:06}" for n in items])
    with pytest.raises(MMRecError) as caught:
        check_matches(ids, items, "image.csv")
    text = str(caught.value)
    assert "of its 2,502 ids 182 are among the 2,502 items" in text
    assert "such as '000031' (str), theirs such as 31 (int)" in text
    assert "2,502 would match without leading zeros" in text


def test_between_a_few_and_half_is_a_warning_with_the_cause() -> None:
    items = numbers(0, 100, "i{}")
    ids = numbers(0, 30, "i{}").append(numbers(30, 70, "I{}"))
    with pytest.warns(UserWarning, match="may belong .* without capital letters"):
        check_matches(ids, items, "image.csv")
