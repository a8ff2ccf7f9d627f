"""Interactions as Parquet: ids and values of types that do not fit."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from tests.datasets.bad.damage import (
    CSV,
    Case,
    parquet,
    write,
)

PARQUET_IDS = [
    Case(f"{name} as {role}", parquet(**{role: make}), words)
    for role in ("user", "item")
    for name, make, words in (
        ("floats of 2^63", lambda n: [2.0**63 + 2048 * i for i in range(n)], "a point"),
        ("floats of 2^53", lambda n: [2.0**53 + 2 * i for i in range(n)], "a point"),
        ("fractions", lambda n: [i + 0.5 for i in range(n)], "0.5 in data row 1, a n"),
        ("infinities", lambda n: [float("inf")] * n, "id inf in data row 1"),
        ("booleans", lambda n: [i % 2 == 0 for i in range(n)], "of type bool"),
        ("moments", lambda n: [pd.Timestamp(i) for i in range(n)], "Timestamp"),
        (
            "days",
            lambda n: [pd.Timestamp(i, unit="D").date() for i in range(n)],
            "date",
        ),
        ("bytes", lambda n: [b"u%d" % i for i in range(n)], "of type bytes"),
        ("lists", lambda n: [[i] for i in range(n)], "ids of type|cannot be read"),
        ("records", lambda n: [{"a": i} for i in range(n)], "ids of type|cannot be re"),
        ("nothing", lambda n: pa.nulls(n), "id in data row 1"),
        ("a gap", lambda n: [*range(n - 1), None], "id in data row 48, the last"),
        (
            "small floats",
            lambda n: pa.array([2.0**24 + 2 * i for i in range(n)], pa.float32()),
            "a point",
        ),
    )
]

PARQUET_TABLES = [
    Case("damaged", write("interactions.parquet", b"PAR1" + bytes(99)), "keep one"),
    *(
        Case(
            f"{name} Parquet",
            lambda f, c=content: (
                (f / CSV).unlink(),
                (f / "interactions.parquet").write_bytes(c),
            ),
            words,
        )
        for name, content, words in (
            ("empty", b"", "is empty"),
            ("only the mark of", b"PAR1", "cannot be read as parquet"),
            ("cut", b"PAR1" + bytes(200), "cannot be read as parquet"),
            (
                "fake end of",
                b"PAR1" + bytes(50) + b"\xff\xff\xff\x7fPAR1",
                "cannot be r",
            ),
            ("text as", b"user,item\nu,i\n", "cannot be read as parquet"),
        )
    ),
    Case("times of lists", parquet(time=lambda n: [[1]] * n), "has the time|no time"),
    Case("ratings of lists", parquet(rating=lambda n: [[1]] * n), "has the rating"),
    Case("ratings of dates", parquet(rating=lambda n: [pd.Timestamp(0)] * n), "rating"),
    Case("ratings of records", parquet(rating=lambda n: [{"a": 1}] * n), "rating"),
    Case("ratings of nothing", parquet(rating=lambda n: pa.nulls(n)), "no rating"),
    Case("ratings with nan", parquet(rating=lambda n: [float("nan")] * n), "no rating"),
    Case("times of bytes", parquet(time=lambda n: [b"1"] * n), "has the time"),
    Case("splits of lists", parquet(split=lambda n: [[0]] * n), "has the split"),
]
