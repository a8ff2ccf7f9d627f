"""What is read though it may not be meant so is told."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pyg_mmrec.datasets import Folder
from pyg_mmrec.datasets.readers import read_raw
from pyg_mmrec.graph import ITEM
from tests.datasets.bad.damage import ITEMS, shop_rows


def given(folder: Path, table: pd.DataFrame) -> Path:
    table.to_csv(folder / "interactions.csv", index=False)
    return folder / "interactions.csv"


@pytest.mark.parametrize("form", ["%d/%m/%Y", "%d.%m.%Y %H:%M", "%m/%d/%Y", "%Y-%m-%d"])
def test_dates_are_in_the_order_of_time_whatever_comes_first(folder, form) -> None:
    """Each was read by itself, day first only where no month could be."""
    days = pd.date_range("2023-01-01", periods=48, freq="9D").to_series()
    table = shop_rows().assign(time=days.sample(frac=1, random_state=0).to_numpy())
    wanted = table["time"].rank().tolist()
    table["time"] = table["time"].dt.strftime(form)
    time = read_raw(given(folder, table)).time
    assert pd.Series(time).rank().tolist() == wanted


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda text: f"{text} ", "spaces around them, such as 'u0 ' beside 'u0'"),
        (lambda text: f"{text}.0", "a decimal point, such as 'u0.0' beside 'u0'"),
        (lambda text: f"0{text}", "leading zeros, such as '0u0' beside 'u0'"),
        (str.upper, "capital letters, such as 'U0' beside 'u0'"),
    ],
)
def test_ids_of_two_spellings_are_told(folder, change, name) -> None:
    table = shop_rows()
    table.loc[::2, "user"] = table["user"][::2].map(change)
    with pytest.warns(UserWarning, match=f"8 user ids that are others but for {name}"):
        assert len(read_raw(given(folder, table)).user_ids) == 16


def test_ids_of_one_spelling_are_not(folder) -> None:
    table = shop_rows().assign(user=lambda r: "0" + r["user"], item=lambda r: r["item"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_raw(given(folder, table))


def test_dislikes_that_count_are_told(folder) -> None:
    table = shop_rows().assign(rating=lambda r: (r["rating"] > 2).astype(int))
    low = int((table["rating"] == 0).sum())
    given(folder, table)
    with pytest.warns(UserWarning, match=f"{low} ratings of 0 or less.*--min-rating"):
        Folder(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Folder(folder, min_rating=1)


def test_items_named_twice_are_told(folder) -> None:
    twice = pd.DataFrame({"item": [*ITEMS, "i3"], "title": "A"})
    twice.to_csv(folder / "items.csv", index=False)
    with pytest.warns(UserWarning, match="has 'i3' and perhaps other items more than"):
        Folder(folder)


def test_a_table_of_items_without_words_is_told(folder, caplog) -> None:
    (folder / "text.csv").unlink()
    table = pd.DataFrame({"item": ITEMS, "titel": "A", "price": 1})
    table.to_csv(folder / "items.csv", index=False)
    with caplog.at_level("INFO"):
        Folder(folder)
    assert "items.csv has no column of a usual name" in caplog.text
    caplog.clear()
    with caplog.at_level("INFO"):
        Folder(folder, text_columns=["titel"])
        Folder(folder, text_encoder="none")
    assert "usual name" not in caplog.text


def test_ids_may_be_the_index_of_a_table_of_parquet(folder) -> None:
    """They were lost: the table had "no item column"."""
    x = np.random.default_rng(0).normal(size=(len(ITEMS), 2)).astype(np.float32)
    table = pd.DataFrame(x, pd.Index(ITEMS, name="item"), ["a", "b"])
    (folder / "text.csv").unlink()
    table.to_parquet(folder / "text.parquet")
    dataset = Folder(folder)
    rows = [dataset.item_ids.get_loc(item) for item in ITEMS]
    assert np.array_equal(dataset[0][ITEM].x_text.numpy()[rows], x)
