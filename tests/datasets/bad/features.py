"""Features: their ids, their tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.datasets.bad.damage import (
    CSV,
    IDS,
    ITEMS,
    NUM_ITEMS,
    TEXT,
    Case,
    npy,
    shop_rows,
    unlink,
    vectors,
    write,
)

FEATURE_IDS = [
    Case("no ids", unlink(IDS), "has no item ids, and features are never aligned"),
    *(
        Case(f"ids: {name}", npy(IDS, make), words)
        for name, make, words in (
            ("twice", lambda: np.array([*ITEMS[:-1], "i0"]), "'i0' more than once"),
            ("of others", lambda: np.array([f"x{i}" for i in ITEMS]), "0 are among"),
            ("numbers", lambda: np.arange(12), r"as 0 \(int\), theirs such as 'i0'"),
            ("floats", lambda: np.arange(12) + 0.5, "0.5 in data row 1"),
            ("nan", lambda: np.full(12, np.nan), "no item id in data row 1"),
            ("bytes", lambda: np.array(ITEMS, "S4"), "ids of type bytes"),
            ("booleans", lambda: np.ones(12, bool), "ids of type bool"),
            ("complex", lambda: np.ones(12, complex), "ids of type complex"),
            ("dates", lambda: np.arange(12).astype("datetime64[D]"), "of type|unders"),
            ("objects", lambda: np.array(ITEMS, object), "it holds objects"),
            ("pairs", lambda: np.array([[i, i] for i in ITEMS]), "but 24 ids belong"),
            ("none", lambda: np.array([], "U4"), "but 0 ids belong|empty"),
            ("one", lambda: np.array("i0"), "but 1 ids belong"),
        )
    ),
    *(
        Case(
            f"ids as text: {name}",
            lambda f, c=c: ((f / IDS).unlink(), (f / "image_ids.txt").write_bytes(c)),
            words,
        )
        for name, c, words in (
            ("latin-1", "\n".join(["é", *ITEMS[1:]]).encode("latin-1"), "not UTF-8"),
            ("null", b"\0\n" * 12, "null character"),
            ("empty", b"", "is empty"),
            ("header alone", b"item_id\n", "but 0 ids belong"),
            ("fewer", "\n".join(ITEMS[:-1]).encode(), "12 rows, but 11 ids"),
            ("more", "\n".join([*ITEMS, "j"]).encode(), "12 rows, but 13 ids"),
            ("twice", "\n".join([*ITEMS[:-1], "i1"]).encode(), "'i1' more than once"),
        )
    ),
]


def zeros_led(folder: Path) -> None:
    """Ids 0, 1, ... in the interactions, 000000, 000001, ... in the features."""
    numbers = shop_rows().assign(item=lambda r: r["item"].str[1:])
    numbers.to_csv(folder / CSV, index=False)
    ids = [f"{n:06}" for n in range(NUM_ITEMS)]
    np.save(folder / IDS, np.array(ids))
    (folder / TEXT).unlink()


def respelled(change: Callable[[str], str]) -> Callable[[Path], Any]:
    return npy(IDS, lambda: np.array([change(i) for i in ITEMS]))


MATCHES = [
    Case("leading zeros", zeros_led, "12 would match without leading zeros"),
    Case("a prefix", respelled(lambda i: f"item-{i[1:]}"), "match without a prefix"),
    Case("capitals", respelled(str.upper), "match without capital letters"),
    Case("spaces", respelled(lambda i: f" {i}"), "match without spaces around"),
    Case("endings", respelled(lambda i: f"{i}.jpg"), "match without a file ending"),
    Case("points", respelled(lambda i: f"{i}.0"), "match without a decimal point"),
]

TABLES_OF_FEATURES = [
    *(
        Case(f"table: {name}", write(TEXT, content), words)
        for name, content, words in (
            ("text in it", "item,a\ni0,big\n", r"not numeric: a\)"),
            ("a gap", "item,a\ni0,\n", "nan in row 0"),
            ("inf", "item,a\ni0,inf\n", "inf in row 0"),
            ("no ids", "shop,a\ni0,1\n", r"no item column \(found: shop, a\)"),
            ("no columns", "item\ni0\n", "no column"),
            ("header alone", "item,a\n", "has no rows"),
            ("twice", "item,a\ni0,1\ni0,2\n", "'i0' more than once"),
            ("others", "item,a\nx0,1\n", "belongs to other items"),
            ("short rows", "item,a,b\ni0,1\n", "nan in row 0"),
            ("long rows", "item,a\ni0,1,2\ni1,1,2\n", "more columns"),
            ("two equal columns", "item,a,a\ni0,1,2\n", "column 'a' twice"),
            ("latin-1", "item,a\né,1\n".encode("latin-1"), "not UTF-8"),
            ("null", "item,a\ni\0,1\n", "null character"),
            ("no id", "item,a\n,1\ni1,1\n", "no item id in data row 1"),
            ("open quote", 'item,a\n"i0,1\n', "EOF inside string"),
            ("row numbers", ",item,a\n0,i0,1\n1,i1,2\n", "column 'Unnamed: 0' beside"),
            ("two ids", "item,item_id,a\ni0,7,1\ni1,8,2\n", "'item_id' beside.*'item'"),
            ("users", "item,user,a\ni0,7,1\ni1,8,2\n", "'user' beside the item ids"),
        )
    ),
    Case(
        "two columns of vectors",
        lambda f: (
            (f / TEXT).unlink(),
            pd.DataFrame(
                {"item": ITEMS, "v": [[1.0]] * 12, "w": [[2.0]] * 12}
            ).to_parquet(f / "text.parquet"),
        ),
        "vectors in the columns 'v' and 'w'",
    ),
    *(
        Case(f"vectors: {name}", vectors(make), words)
        for name, make, words in (
            ("lengths", lambda: [[1.0]] * 11 + [[1.0, 2.0]], r"lengths \(\[1, 2\]"),
            ("nothing", lambda: [[1.0]] * 11 + [None], r"different lengths \(\[-1, 1"),
            ("empty", lambda: [[]] * 12, r"shape \(12, 0\)"),
            ("text", lambda: [["a"]] * 12, "of <U1|of object|str"),
            ("nested", lambda: [[[1.0], [2.0]]] * 12, "shape|of object"),
            ("ragged", lambda: [[[1.0], [2.0, 3.0]]] * 12, "different lengths|object"),
            ("records", lambda: [{"a": 1.0}] * 12, "not numeric: v"),
            ("gaps", lambda: [[1.0, None]] * 12, "nan in row 0|of object"),
            ("nan", lambda: [[float("nan")]] * 12, "nan in row 0"),
            ("dates", lambda: [pd.Timestamp(0)] * 12, "not numeric: v"),
            ("bytes", lambda: [b"abc"] * 12, "not numeric: v"),
            ("strings", lambda: ["abc"] * 12, "not numeric: v"),
            ("lists of nothing", lambda: [[None]] * 12, "of object|nan in"),
        )
    ),
    Case("vectors without ids", vectors(lambda: [[1.0]] * 12, [[1]] * 12), "of type"),
    Case("vectors of floats", vectors(lambda: [[1.0]] * 12, [0.5] * 12), "0.5 in data"),
    Case(
        "damaged vectors",
        lambda f: ((f / TEXT).unlink(), (f / "text.parquet").write_bytes(b"PAR1" * 20)),
        "text.parquet cannot be read as parquet",
    ),
    Case("two files", write("text.tsv", "item\ta\ni0\t1\n"), "for modality 'text'"),
    Case("array and table", write("image.csv", "item,a\ni0,1\n"), "modality 'image'"),
]
