"""The field's layouts: MMRec's table, REARM's arrays."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.datasets.bad.damage import (
    IMAGE,
    Case,
    edit,
    in_place,
    npy,
    odd_shape,
    unlink,
    write,
    zipped,
)
from tests.datasets.files import inter_rows, write_inter


def in_inter(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], Any]:
    return lambda f: write_inter(f, change(inter_rows().astype(object)))


def first_inter(column: str, value: Any) -> Callable[[Path], Any]:
    return in_inter(lambda r: r.assign(**{column: [value, *r[column][1:]]}))


def inter_name(damage: Callable[[Path, Path], Any]) -> Callable[[Path], Any]:
    return lambda f: damage(f, f / f"{f.name}.inter")


MMREC = [
    Case(
        "cut in the last row",
        inter_name(lambda f, p: p.write_bytes(p.read_bytes()[:-3])),
        "no split in data row 30 .the last: the file may be cut short",
    ),
    Case(
        "cut in the last item",
        inter_name(lambda f, p: p.write_bytes(p.read_bytes().rstrip()[:-3])),
        "data row 30 .the last: the file may be cut short",
    ),
    Case("header alone", in_inter(lambda r: r.iloc[:0]), "has no interactions"),
    Case(
        "latin-1",
        inter_name(
            lambda f, p: p.write_bytes("userID\titemID\né\t1\n".encode("latin-1"))
        ),
        "line 2 is not UTF-8",
    ),
    Case("null", inter_name(lambda f, p: p.write_bytes(bytes(99))), "null character"),
    Case("empty", inter_name(lambda f, p: p.write_bytes(b"")), "is empty"),
    Case("folder", inter_name(lambda f, p: (p.unlink(), p.mkdir())), "is a folder"),
    Case("pipe", inter_name(lambda f, p: (p.unlink(), os.mkfifo(p))), "is a pipe"),
    Case("no item", in_inter(lambda r: r.drop(columns="itemID")), "no column 'itemID'"),
    Case("no user", in_inter(lambda r: r.drop(columns="userID")), "no column 'userID'"),
    Case("negative", first_inter("userID", -1), "-1 and"),
    Case("gap", first_inter("itemID", 10**9), "1000000000"),
    Case("absurd", first_inter("itemID", "9" * 30), "9{30}"),
    Case("fraction", first_inter("itemID", 0.5), "'0.5' in"),
    Case("raw id", first_inter("userID", "B"), "'B' in data"),
    Case("inf", first_inter("userID", "inf"), "'inf' in dat"),
    Case("label 7", first_inter("x_label", 7), "split '7'"),
    Case("no valid", in_inter(lambda r: r[r.x_label != 1]), "no validation"),
    Case("no train", in_inter(lambda r: r[r.x_label != 0]), "no train interactions"),
    Case(
        "torn",
        in_inter(lambda r: pd.concat([r, r.iloc[:1].assign(x_label=2)])),
        "1 interactions in more than one split",
    ),
    Case("zero features", npy(IMAGE, lambda: np.zeros((5, 3))), "is zero throughout"),
    Case("fewer features", npy(IMAGE, odd_shape((4, 3))), "4 rows, but there are 5"),
    Case("more features", npy(IMAGE, odd_shape((6, 3))), "6 rows, but there are 5"),
    Case("items torn", write("items.tsv", "itemID\n0\n0\n"), "must list each itemID"),
    Case("few items", write("items.tsv", "itemID\n0\n1\n"), "lists 2 items"),
    Case(
        "same raw ids",
        write(
            "items.tsv", "itemID\tasin\n" + "".join(f"{i}\tsame\n" for i in range(5))
        ),
        "'same' more than once",
    ),
]


REARM = [
    Case(f"{name}: {what}", damage(name), words)
    for name in ("train.npy", "valid.npy", "test.npy")
    for what, damage, words in (
        ("cut", lambda n: edit(n, lambda b: b[:-9]), "bytes, and there are"),
        ("zip", lambda n: write(n, zipped()), "is an archive"),
        ("empty", lambda n: write(n, b""), "is empty"),
        ("pipe", lambda n: in_place(n, os.mkfifo), "is a pipe"),
        ("floats", lambda n: npy(n, odd_shape((2, 4))), "of float64: integers"),
        ("triples", lambda n: npy(n, lambda: np.ones((3, 4), int)), "shape .3, 4."),
        (
            "a cube",
            lambda n: npy(n, lambda: np.ones((2, 2, 2), int)),
            "shape .2, 2, 2.",
        ),
        ("objects", lambda n: npy(n, lambda: np.full((2, 4), None)), "holds objects"),
        ("gone", unlink, "no interactions in"),
    )
] + [
    Case("negative", npy("train.npy", lambda: np.full((2, 9), -1)), "between -1 and"),
    Case("gap", npy("test.npy", lambda: np.full((2, 9), 10**9)), "and 1000000000"),
    Case("no tests", npy("test.npy", lambda: np.ones((2, 0), int)), "no test interact"),
]
