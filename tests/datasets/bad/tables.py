"""Interactions as text: the file, its rows, its values."""

from __future__ import annotations

import gzip
import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd

from tests.datasets.bad.damage import (
    CSV,
    IDS,
    IMAGE,
    LATIN,
    TEXT,
    Case,
    at_row,
    first,
    in_place,
    rows,
    unlink,
    write,
    zipped,
)

RANDOM = np.random.default_rng(0).bytes(999)
PLACES = {
    "folder": (Path.mkdir, "is a folder"),
    "pipe": (os.mkfifo, "is a pipe or a device"),
    "device": (lambda p: p.symlink_to("/dev/zero"), "is a pipe or a device"),
    "terminal": (lambda p: p.symlink_to("/dev/null"), "is a pipe or a device"),
    "empty": (Path.touch, "is empty"),
}

ODD_FILES = [
    Case(f"{kind} as {name}", in_place(name, make), f"{name} {words}|{words}")
    for kind, (make, words) in PLACES.items()
    for name in (CSV, IMAGE, IDS, TEXT, "items.csv")
]

TABLE_TEXT = [
    Case("only a header", write(CSV, "user,item\n"), "has no interactions"),
    Case("header without end", write(CSV, "user,item"), "has no interactions"),
    Case("one blank", write(CSV, " "), "cannot be read as csv"),
    Case("blank lines", write(CSV, "\n\n\n"), "cannot be read as csv"),
    Case("null character", write(CSV, "user,item\nu\0,i1\n"), "line 2 holds a null"),
    Case("all null", write(CSV, bytes(500)), "line 1 holds a null"),
    Case("open quote", write(CSV, 'user,item\n"u1,i1\nu2,i2\n'), "EOF inside string"),
    Case("latin-1", write(CSV, LATIN.encode("latin-1")), "line 2 is not UTF-8"),
    Case("utf-16", write(CSV, LATIN.encode("utf-16")), "is UTF-16, not UTF-8"),
    Case("utf-32", write(CSV, LATIN.encode("utf-32")), "UTF-16, not UTF-8|null"),
    Case("cut in a character", write(CSV, LATIN.encode()[:14]), "within a character"),
    Case("column twice", write(CSV, "user,item,user\na,b,c\n"), "column 'user' twice"),
    Case("rows too long", write(CSV, "user,item\nu,i,1\nu,j,2\n"), "more columns"),
    Case("one row too long", write(CSV, "user,item\nu,i\nu,i,3\n"), "Expected 2 f"),
    Case("rows too short", write(CSV, "user,item\nu1,i1\nu2\n"), "no item id.*last"),
    Case("no names", write(CSV, "u1,i1\nu2,i2\n"), "no user column .found: u1, i1"),
    Case(
        "random bytes",
        write(CSV, RANDOM),
        "cannot be read as csv",
    ),
    Case("an image", write(CSV, b"\x89PNG\r\n\x1a\n" + bytes(99)), "not UTF-8|null"),
    Case("a zip", write(CSV, zipped()), "cannot be read as csv"),
    Case("a pickle", write(CSV, pickle.dumps([1])), "cannot be read as csv"),
    Case("html", write(CSV, "<!DOCTYPE html>\n<html>404</html>\n"), "no user column"),
    Case("json", write(CSV, '{"user": 1, "item": 2}\n'), "has no interactions"),
    Case("no item column", rows(lambda r: r.drop(columns="item")), "no item column"),
    Case("a broken gz", write("interactions.csv.gz", b"no gz"), "keep one of them"),
    Case("two tables", write("interactions.tsv", "user\titem\n"), "keep one of them"),
    Case(
        "unknown column",
        lambda f: None,
        "unknown user column 'usr': did you mean 'user'",
        {"user_column": "usr"},
    ),
    Case("the option is named", unlink(CSV), "put interactions.csv .* there"),
    Case(
        "both spellings of an option",
        write(CSV, "who,item\nu,i\n"),
        "--user-column .in Python: user_column=",
    ),
    Case(
        "no ratings",
        rows(lambda r: r.drop(columns="rating")),
        "leave out --min-rating .in Python: min_rating=",
        {"min_rating": 3},
    ),
    Case(
        "no rating so high",
        lambda f: None,
        "no rating of 9 or more .the highest is 5.*--min-rating",
        {"min_rating": 9},
    ),
]

PACKED = [
    Case(
        f"{name} packed",
        lambda f, content=content: (
            (f / CSV).unlink(),
            (f / "interactions.csv.gz").write_bytes(content),
        ),
        words,
    )
    for name, content, words in (
        ("nothing", b"", "is empty"),
        ("text as if", b"user,item\nu,i\n", "cannot be read as csv.gz"),
        (
            "cut",
            gzip.compress(b"user,item\n" + RANDOM)[:-20],
            "cannot be read",
        ),
        ("latin", gzip.compress(LATIN.encode("latin-1")), "line 2 is not UTF-8"),
    )
]

VALUES = [
    Case("user missing", first("user", None), "no user id in data row 1:"),
    Case("item missing", first("item", None), "no item id in data row 1:"),
    Case("item missing last", at_row("item", 47, None), "data row 48, the last"),
    Case("rating missing", at_row("rating", 3, None), "no rating in data row 4"),
    Case("rating is text", at_row("rating", 3, "good"), "rating 'good' in data row 4"),
    Case("rating is nan", at_row("rating", 3, "nan"), "rating 'nan' in data row 4"),
    Case("rating is inf", at_row("rating", 3, "inf"), "rating 'inf' in data row 4"),
    Case("rating is -inf", at_row("rating", 3, "-inf"), "rating '-inf' in data row 4"),
    Case("rating is 1e999", at_row("rating", 3, "1e999"), "rating '1e999' in data r"),
    Case("rating with a comma", at_row("rating", 3, "4,5"), "rating '4,5' in data row"),
    Case("time missing", at_row("time", 6, None), "has no time in data row 7"),
    Case("time missing last", at_row("time", 47, None), "no time in data row 48"),
    Case("time is text", at_row("time", 6, "soon"), "time 'soon' in data row 7"),
    Case("time is a date", at_row("time", 6, "2024-01-01"), "time '2024-01-01' in da"),
    Case(
        "times of a day",
        rows(lambda r: r.assign(time=["2024-01-01"] * 20 + ["12:30 pm"] * 28)),
        "time '12:30 pm' in data row 21: a date",
    ),
    Case(
        "times of days alone", rows(lambda r: r.assign(time="7:05:01")), "data row 1: a"
    ),
    Case("time is inf", at_row("time", 6, "inf"), "time 'inf' in data row 7"),
    Case("time is nan", at_row("time", 6, "nan"), "time 'nan' in data row 7"),
    Case(
        "one date is no date",
        rows(lambda r: r.assign(time=["2024-01-01"] * 9 + ["2024-13-77"] + ["1"] * 38)),
        "in data row 1:",
    ),
    Case(
        "a date is missing",
        rows(lambda r: r.assign(time=["2024-01-01"] * 9 + [""] + ["2024-01-02"] * 38)),
        "has no time in data row 10",
    ),
    Case(
        "a date of month 13",
        rows(lambda r: r.assign(time=["2024-01-01"] * 47 + ["2024-13-01"])),
        "time '2024-13-01' in data row 48",
    ),
    Case(
        "day or month first",
        rows(lambda r: r.assign(time="05/03/2024")),
        "'05/03/2024', which do not tell whether day or month comes first",
    ),
    Case(
        "day and month first",
        rows(lambda r: r.assign(time=["31/01/2024"] * 24 + ["01/31/2024"] * 24)),
        "whether day or month comes first",
    ),
    Case("split unknown", rows(lambda r: r.assign(split="later")), "split 'later' in"),
    Case("split 3", rows(lambda r: r.assign(split=3)), "split '3' in data row 1"),
    Case("split 0.0", rows(lambda r: r.assign(split="0.0")), "split '0.0' in data row"),
    Case("all train", rows(lambda r: r.assign(split=0)), "no validation interactions"),
    Case(
        "split missing last",
        rows(lambda r: r.assign(split=["0"] * 47 + [None])),
        "has no split in data row 48 .the last: the file may be cut short",
    ),
    Case(
        "in two splits",
        rows(lambda r: pd.concat([r.assign(split=0), r.assign(split=1)])),
        "in more than one split",
    ),
    Case("line break in an id", first("user", "u\n0"), "may hold no line break"),
    Case("return in an id", write(CSV, 'user,item\nu,"i\r0"\n'), "no line break"),
    Case("long bad value", at_row("rating", 3, "x" * 9999), r"x{9}\.\.\. in data row"),
]
