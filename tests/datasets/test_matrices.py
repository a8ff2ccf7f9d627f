"""Pickled matrices, which are read without running what they name."""

from __future__ import annotations

import os
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.sparse import coo_matrix, csr_matrix

from pyg_mmrec.datasets.matrices import read_pairs
from pyg_mmrec.errors import MMRecError


@given(
    arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=6)),
    st.sampled_from([3, 4, 5]),
)
def test_entries_are_those_that_scipy_reads(tmp_path_factory, dense, protocol) -> None:
    path = tmp_path_factory.mktemp("a") / "m.pkl"
    path.write_bytes(pickle.dumps(coo_matrix(dense), protocol))
    assert read_pairs(path).tolist() == np.argwhere(dense).tolist()


def test_older_names_of_scipy_and_numpy_are_read(tmp_path) -> None:
    path = tmp_path / "m.pkl"
    matrix = coo_matrix(np.eye(3))
    # As SciPy kept it until 1.12.
    matrix.__dict__ = {"_shape": (3, 3), "row": matrix.row, "col": matrix.col}
    told = pickle.dumps(matrix, 3)
    for new in (b"scipy.sparse._coo", b"numpy._core"):
        told = told.replace(new, new.replace(b"_", b""))
    assert b"scipy.sparse.coo\n" in told
    path.write_bytes(told)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_pairs(path).tolist() == [[0, 0], [1, 1], [2, 2]]


class Harm:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_a_pickle_that_names_code_is_refused_and_not_run(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(MMRecError, match=r"as a pickled sparse matrix \(it asks for"):
        read_pairs(tmp_path / "m.pkl")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "content", [b"", b"PK", pickle.dumps([1]), pickle.dumps(csr_matrix(np.eye(2)))]
)
def test_what_is_no_matrix_of_entries_is_one_sentence(tmp_path, content) -> None:
    (tmp_path / "m.pkl").write_bytes(content)
    with pytest.raises(MMRecError, match="m.pkl cannot be read.*download it again"):
        read_pairs(tmp_path / "m.pkl")
