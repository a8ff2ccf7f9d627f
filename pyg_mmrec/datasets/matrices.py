"""Matrices of interactions as SciPy pickles them, read without trusting the pickle."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from pyg_mmrec.datasets.sources import check_file, reason, shown
from pyg_mmrec.errors import MMRecError

# What arrays are made by, in pickles of old and new releases of NumPy.
_ARRAYS = {("numpy", "ndarray"), ("numpy", "dtype")} | {
    (f"numpy.{core}.{module}", name)
    for core in ("core", "_core")
    for module, name in (("multiarray", "_reconstruct"), ("numeric", "_frombuffer"))
}


class _Matrix:
    """Takes what is told of a matrix, whatever SciPy would make of it."""

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns, which newer releases of SciPy keep together."""
        told = vars(self)
        return told["coords"] if "coords" in told else (told["row"], told["col"])


class _Reader(pickle.Unpickler):
    """Makes arrays and nothing else: a pickle may name any code that is to run."""

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("scipy.sparse") and name == "coo_matrix":
            return _Matrix
        if (module, name) in _ARRAYS:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def read_pairs(path: Path) -> np.ndarray:
    """Rows and columns of the entries of a pickled ``scipy.sparse.coo_matrix``.

    Args:
        path: The file.

    Returns:
        Pairs, ``[n, 2]``, by row and then column.

    Raises:
        MMRecError: If it is something else.
    """
    try:
        with open(check_file(path), "rb") as file:
            matrix = _Reader(file).load()
        pairs = np.stack(matrix.places(), axis=1).astype(np.int64)
    except Exception as error:  # a damaged pickle raises whatever it stumbles on
        raise MMRecError(
            f"{shown(path)} cannot be read as a pickled sparse matrix "
            f"({reason(error)}): download it again"
        ) from error
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
