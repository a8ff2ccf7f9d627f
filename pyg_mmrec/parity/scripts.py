"""What the scripts of a repository take for granted: a folder and arguments."""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from scipy import sparse
from torch_geometric.data import HeteroData

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS, ITEM, USER, features, modalities

NAME = "graph"  # of the data set that is written for them
PARTS = ("train", "val", "test")


def check_checkout(checkout: Path, code: str, files: Collection[str]) -> Path:
    """The checkout's absolute folder.

    Args:
        checkout: A folder.
        code: Where the code is, as ``owner/name`` on GitHub.
        files: What a checkout of it holds.

    Raises:
        MMRecError: If one of the files is missing.
    """
    for name in files:
        if not (checkout / name).is_file():
            raise MMRecError(
                f"{checkout} is no checkout of {code.partition('/')[2]}, for {name} is "
                f"not in it: clone https://github.com/{code} and name its folder"
            )
    return checkout.absolute()


def check_counts(data: HeteroData) -> None:
    """Refuse a graph that theirs would count fewer nodes of.

    Raises:
        MMRecError: If a user or an item has no interaction.
    """
    store = data[INTERACTS]
    parts = (store.edge_index, store.val_label_index, store.test_label_index)
    for row, kind in enumerate((USER, ITEM)):
        found = torch.cat([part[row] for part in parts]).unique().numel()
        if found != data[kind].num_nodes:
            raise MMRecError(
                f"the authors' code counts only nodes with interactions, and of "
                f"{data[kind].num_nodes} {kind}s {found} have any: choose another graph"
            )


@contextmanager
def working_folder(inner: str = ".") -> Iterator[Path]:
    """A temporary folder, with a folder in it as the one to work in."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / inner).mkdir(exist_ok=True)
        os.chdir(folder / inner)
        try:
            yield folder
        finally:
            os.chdir(before)


@contextmanager
def started(**options: object) -> Iterator[None]:
    """Let modules read these options from the command line, and print nothing.

    Args:
        options: By name; ``True`` for one without a value.
    """
    words = [f"--{k}" if v is True else f"--{k}={v}" for k, v in options.items()]
    arguments = mock.patch.object(sys, "argv", ["main.py", *words])
    with arguments, redirect_stdout(io.StringIO()):
        yield


def write_json(data: HeteroData, folder: Path) -> None:
    """Write what each user took in each part, as LATTICE's code reads it."""
    store = data[INTERACTS]
    parts = (store.edge_index, store.val_label_index, store.test_label_index)
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in zip(PARTS, parts, strict=True):
        taken: dict[int, list[int]] = {}
        for user, item in part.T.tolist():
            taken.setdefault(user, []).append(item)
        (folder / f"{name}.json").write_text(json.dumps(taken))


def write_features(data: HeteroData, folder: Path) -> None:
    """Write the features of two modalities."""
    for name, ours in zip(("image", "text"), modalities(data), strict=False):
        np.save(folder / f"{name}_feat.npy", features(data, ours).cpu().numpy())


def train_matrix(data: HeteroData) -> sparse.csr_matrix:
    """The interactions, ``U x I``."""
    user, item = data[INTERACTS].edge_index.cpu().numpy()
    size = int(data[USER].num_nodes), int(data[ITEM].num_nodes)
    ones = np.ones(user.size, dtype=np.float32)
    return sparse.csr_matrix((ones, (user, item)), shape=size)
