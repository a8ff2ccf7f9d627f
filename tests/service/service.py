"""Indexes to serve, and a real server."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import torch

from pyg_mmrec.embeddings import Branch
from pyg_mmrec.serving.index import Index
from pyg_mmrec.training import checkpoint


def make_index(seed: int = 0, users: int = 20, items: int = 60, dim: int = 8) -> Index:
    generator = torch.Generator().manual_seed(seed)
    rows = Branch(
        torch.randn(users, dim, generator=generator),
        torch.randn(items, dim, generator=generator),
    )
    pairs = torch.stack(
        [torch.arange(users).repeat(5), torch.arange(5 * users) * 7 % items]
    )
    return Index(
        rows,
        pairs[:, : 4 * users],
        pd.Index([f"u{i}" for i in range(users)]),
        pd.Index(range(100, 100 + items)),
        [f"title {i}" for i in range(items)],
        pairs[:, 4 * users :],
    )


def write(index: Index, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    checkpoint.save(folder / "checkpoint.pt", {"index": index.to_tensors()})
    return folder


@contextmanager
def server(run: Path, *words: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A real server at a free port: its address, and its first process."""
    line = [sys.executable, "-m", "pyg_mmrec", "serve", str(run), "--port", "0"]
    line += ["--index-only", "--watch", "0.1", *words]
    process = subprocess.Popen(
        [*line, "--index-only", "--watch", "0.1", *words],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        told = process.stdout.readline()
        found = re.search(r"http://[\d.]+:\d+", told)
        assert found, told
        yield found[0], process
    finally:
        process.terminate()
        try:
            process.wait(120)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
