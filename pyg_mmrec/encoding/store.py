"""Vectors that were made once, by the content of what they were made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pyg_mmrec.files import replacing


@dataclass
class Made:
    """What an encoder made.

    Args:
        vectors: By the digest of the input's content.
        broken: Why an input has none, likewise.
    """

    vectors: dict[str, np.ndarray] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    def __contains__(self, key: str) -> bool:
        return key in self.vectors or key in self.broken

    def __len__(self) -> int:
        return len(self.vectors) + len(self.broken)


class Store:
    """Vectors of one encoder in a folder, in parts that are whole or not there.

    A part that is damaged is removed, and what it held made anew.

    Args:
        parent: Folder of the stores of all encoders.
        identity: What tells the encoder from others.
    """

    def __init__(self, parent: Path, identity: Mapping[str, str]) -> None:
        told = json.dumps(identity, sort_keys=True, indent=2)
        self.folder = parent / hashlib.sha256(told.encode()).hexdigest()[:16]
        self._told = told

    def load(self) -> Made:
        """All that was made so far."""
        made = Made()
        for path in self._parts():
            try:
                table = pq.read_table(path, page_checksum_verification=True)
                keys, why = (table[c].to_pylist() for c in ("key", "broken"))
                flat = table["vector"].combine_chunks()
                sizes = flat.value_lengths().to_numpy(zero_copy_only=False)
                values = flat.flatten().to_numpy()
            except (pa.ArrowException, OSError, KeyError, ValueError):
                path.unlink(missing_ok=True)
                continue
            ends = np.cumsum(sizes)
            for key, reason, size, end in zip(keys, why, sizes, ends, strict=True):
                if reason is None:
                    made.vectors[key] = values[end - size : end]
                else:
                    made.broken[key] = reason
        return made

    def add(self, made: Made) -> None:
        """Keep a further part."""
        if not self.folder.exists():
            with replacing(self.folder / "encoder.json") as file:
                file.write(self._told.encode())
        last = max((int(path.stem) for path in self._parts()), default=-1)
        self._write(self.folder / f"{last + 1:06d}.parquet", made)

    def join(self) -> None:
        """Put all parts into one."""
        parts = self._parts()
        if len(parts) > 1:
            # Killed before the others go, what they hold is there twice: no harm.
            self._write(parts[0], self.load())
            for path in parts[1:]:
                path.unlink(missing_ok=True)

    def _parts(self) -> list[Path]:
        found = self.folder.glob("*.parquet")
        return sorted(path for path in found if path.stem.isdigit())

    def _write(self, path: Path, made: Made) -> None:
        vectors = [*made.vectors.values()]
        nothing = np.zeros(0, np.float32)
        sizes = [len(v) for v in vectors] + [0] * len(made.broken)
        values = np.concatenate([nothing, *vectors]).astype(np.float32)
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
        table = pa.table(
            {
                "key": pa.array([*made.vectors, *made.broken], pa.string()),
                "broken": pa.array(
                    [*[None] * len(vectors), *made.broken.values()], pa.string()
                ),
                "vector": pa.LargeListArray.from_arrays(
                    pa.array(offsets, pa.int64()), pa.array(values)
                ),
            }
        )
        with replacing(path) as file:
            pq.write_table(table, file, write_page_checksum=True)
