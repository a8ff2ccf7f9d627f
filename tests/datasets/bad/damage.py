"""A small folder of data in each layout, and ways to damage a file in it."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tests.datasets.files import inter_rows, write_inter

CSV, IMAGE, IDS, TEXT = (
    "interactions.csv",
    "image_feat.npy",
    "image_ids.npy",
    "text.csv",
)
NUM_ITEMS = 12
ITEMS = [f"i{n}" for n in range(NUM_ITEMS)]


class Case(NamedTuple):
    name: str
    damage: Callable[[Path], Any]
    words: str
    options: dict[str, Any] = {}


def shop_rows() -> pd.DataFrame:
    rows = [
        (f"u{u}", f"i{(u + 5 * n) % NUM_ITEMS}", n % 5 + 1, 100 + n)
        for u in range(8)
        for n in range(6)
    ]
    return pd.DataFrame(rows, columns=["user", "item", "rating", "time"])


def shop(folder: Path) -> None:
    """Interactions with rating and time, one modality by table, one by arrays."""
    shop_rows().to_csv(folder / "interactions.csv", index=False)
    x = np.random.default_rng(0).normal(size=(NUM_ITEMS, 3))
    table = pd.DataFrame(x, columns=list("abc"))
    table.insert(0, "item", ITEMS)
    table.to_csv(folder / "text.csv", index=False)
    np.save(folder / "image_feat.npy", x)
    np.save(folder / "image_ids.npy", np.array(ITEMS))


def inter(folder: Path) -> None:
    """The layout of the MMRec toolbox."""
    write_inter(folder)
    np.save(folder / "image_feat.npy", np.random.default_rng(0).normal(size=(5, 3)))


def arrays(folder: Path) -> None:
    """The layout of REARM's release."""
    rows = inter_rows()
    for label, name in enumerate(("train", "valid", "test")):
        pairs = rows[rows.x_label == label][["userID", "itemID"]]
        np.save(folder / f"{name}.npy", pairs.to_numpy().T)
    np.save(folder / "image_feat.npy", np.random.default_rng(0).normal(size=(5, 3)))


def write(name: str, content: str | bytes) -> Callable[[Path], Any]:
    content = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(content)


def edit(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], Any]:
    return lambda f: (f / name).write_bytes(change((f / name).read_bytes()))


def rows(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], Any]:
    """Interactions changed, as CSV."""
    return lambda f: change(shop_rows().astype(object)).to_csv(
        f / "interactions.csv", index=False
    )


def parquet(**columns: Any) -> Callable[[Path], Any]:
    """Interactions as Parquet, some columns others."""

    def damage(folder: Path) -> None:
        (folder / "interactions.csv").unlink()
        table = {name: shop_rows()[name].tolist() for name in ("user", "item")}
        for name, make in columns.items():
            table[name] = make(len(table["user"]))
        pq.write_table(pa.table(table), folder / "interactions.parquet")

    return damage


def vectors(make: Callable[[], Any], ids: Any = None) -> Callable[[Path], Any]:
    """The modality 'text' as Parquet, with vectors of another kind."""

    def damage(folder: Path) -> None:
        (folder / "text.csv").unlink()
        table = pa.table({"item": ITEMS if ids is None else ids, "v": make()})
        pq.write_table(table, folder / "text.parquet")

    return damage


def npy(name: str, make: Callable[[], np.ndarray]) -> Callable[[Path], Any]:
    return lambda f: np.save(f / name, make(), allow_pickle=True)


def header(text: str, version: int = 1, length: int | None = None) -> bytes:
    """A ``.npy`` file of this header, with 96 bytes of values."""
    content = text.encode("utf-8")
    size = len(content) if length is None else length
    width = "<H" if version == 1 else "<I"
    start = b"\x93NUMPY" + bytes([version, 0]) + struct.pack(width, size)
    return start + content + bytes(96)


def claims(shape: str, descr: str = "'<f8'", **options: Any) -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"
    return header(text, **options)


def in_place(name: str, make: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """Something that is no file, in the place of one."""

    def damage(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        make(folder / name)

    return damage


def zipped() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("arr_0.npy", b"nothing")
    return content.getvalue()


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("exit 1",)


def unlink(name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).unlink()


def first(column: str, value: Any) -> Callable[[Path], Any]:
    return rows(lambda r: r.assign(**{column: [value, *r[column][1:]]}))


def at_row(column: str, row: int, value: Any) -> Callable[[Path], Any]:
    def change(r: pd.DataFrame) -> pd.DataFrame:
        r.loc[row, column] = value
        return r

    return rows(change)


def odd_shape(shape: tuple[int, ...]) -> Callable[[], np.ndarray]:
    return lambda: np.ones(shape)


LATIN = "user,item\n" + "café,i1\n" * 3
