"""Features as arrays: headers of .npy, shapes and types."""

from __future__ import annotations

import pickle

import numpy as np

from tests.datasets.bad.damage import (
    IMAGE,
    Case,
    Hostile,
    claims,
    header,
    npy,
    odd_shape,
    write,
    zipped,
)

HEADERS = [
    Case(f"header: {name}", write(IMAGE, content), f"{IMAGE} cannot be read.*{words}")
    for name, content, words in (
        ("terabytes", claims("(1000000000, 1000)"), "claims 8000000000000 bytes"),
        (
            "exabytes",
            claims("(" + "9" * 18 + ", 999)"),
            "more bytes than exist, and there are 96",
        ),
        ("overflowing", claims("(2**62, 4)"), "cannot be understood"),
        ("of 400 digits", claims("(" + "9" * 400 + ", 1)"), "more bytes than exist"),
        ("of 5000 digits", claims("(" + "9" * 5000 + ", 1)"), "cannot be understood"),
        ("negative", claims("(-1, 3)"), "cannot be understood"),
        ("negative twice", claims("(-4, -3)"), "cannot be understood"),
        ("a list", claims("[4, 3]"), "cannot be understood"),
        ("a number", claims("12"), "cannot be understood"),
        ("floats", claims("(4.0, 3.0)"), "cannot be understood"),
        ("booleans", claims("(True, 12)"), "cannot be understood"),
        ("text", claims("('4', 3)"), "cannot be understood"),
        ("nothing", claims("None"), "cannot be understood"),
        ("a call", claims("(__import__('os').getpid(), 3)"), "cannot be understood"),
        ("a comprehension", claims("tuple(i for i in (4, 3))"), "cannot be underst"),
        ("nested", header("(" * 3000), "cannot be understood"),
        ("nested lists", header("[" * 9000), "cannot be understood"),
        ("nested minus", header("-" * 9000 + "1"), "cannot be understood"),
        ("open", header("{'descr': '<f8', 'fortran_order': Fal"), "cannot be underst"),
        ("no dict", header("[1, 2]"), "cannot be understood"),
        ("an empty dict", header("{}"), "cannot be understood"),
        ("empty", header(""), "cannot be understood"),
        ("spaces", header(" " * 99), "cannot be understood"),
        ("no text", b"\x93NUMPY\x01\x00\x08\x00" + b"\xff" * 104, "cannot be underst"),
        ("cut", claims("(4, 3)")[:40], "its header claims"),
        ("cut at once", b"\x93NUMPY", "does not begin"),
        ("cut after its version", b"\x93NUMPY\x01\x00", "cannot be understood"),
        ("longer than the file", claims("(4, 3)", length=60000), "header claims 60000"),
        ("of 4 GB", claims("(4, 3)", version=2, length=2**32 - 1), "claims 4294967295"),
        ("of version 9", claims("(4, 3)", version=9), "format version is 9"),
        ("too long", claims("(4, 3)" + " " * 20000), "header claims 20"),
        ("objects", claims("(4, 3)", descr="'|O'"), "it holds objects"),
        ("unknown type", claims("(4, 3)", descr="'<q9'"), "cannot be understood"),
        ("no type", claims("(4, 3)", descr="None"), "cannot be understood"),
        ("records", claims("(12,)", descr="[('a', '<f8')]"), "values are of type"),
        ("object records", claims("(12,)", descr="[('a', '|O')]"), "holds objects"),
        ("bad records", claims("(12,)", descr="[1, 2]"), "cannot be understood"),
        ("types of no size", claims("(99999999999,)", descr="'|V0'"), "of type"),
        ("text of no size", claims("(99999999999,)", descr="'<U0'"), "of type"),
        ("sub-arrays", claims("(4,)", descr="('<f8', (3,))"), "cannot be understood"),
        ("too few values", claims("(4, 4)"), "claims 128 bytes, and there are 96"),
        ("too many values", claims("(2, 3)"), "claims 48 bytes, and there are 96"),
        ("a zip", zipped(), "is an archive such as .npz"),
        ("a pickle", pickle.dumps(np.ones((4, 3))), "does not begin"),
        ("a hostile pickle", pickle.dumps(Hostile()), "does not begin"),
        ("text instead", b"item,a\ni0,1\n", "does not begin"),
        ("one byte", b"\x93", "does not begin"),
        ("random", b"\x00" + np.random.default_rng(0).bytes(500), "does not begin"),
    )
]

ARRAYS = [
    Case(f"features: {name}", npy(IMAGE, make), f"{IMAGE} .*{words}")
    for name, make, words in (
        ("0-d", lambda: np.array(1.0), r"shape \(\) of float64"),
        ("1-d", odd_shape((12,)), r"shape \(12,\)"),
        ("3-d", odd_shape((12, 3, 2)), r"shape \(12, 3, 2\)"),
        ("no columns", odd_shape((12, 0)), r"shape \(12, 0\)"),
        ("no rows", odd_shape((0, 3)), "0 rows, but 12 ids"),
        ("fewer rows", odd_shape((11, 3)), "11 rows, but 12 ids"),
        ("more rows", odd_shape((13, 3)), "13 rows, but 12 ids"),
        ("text", lambda: np.full((12, 3), "a"), "of <U1"),
        ("bytes", lambda: np.full((12, 3), b"a"), "of |S1"),
        ("complex", lambda: np.ones((12, 3), complex), "of complex128"),
        ("dates", lambda: np.zeros((12, 3), "datetime64[D]"), "datetime64|understood"),
        ("objects", lambda: np.full((12, 3), None), "it holds objects"),
        ("nan", lambda: np.full((12, 3), np.nan), "nan in row 0 .12 rows"),
        ("inf", lambda: np.eye(12, 3) * 0 + np.inf, "inf in row 0"),
        ("beyond float32", lambda: np.full((12, 3), 1e300), "inf in row 0"),
    )
]
