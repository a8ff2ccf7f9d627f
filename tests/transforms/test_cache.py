from __future__ import annotations

import copy
import os
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform, Compose

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS
from pyg_mmrec.transforms import KNN, BipartiteNorm, DropEdge, Impute, KCore, cached

from ..conftest import make_graph


class Counting(BaseTransform):
    """Says how often it was applied."""

    def __init__(self, inner: BaseTransform) -> None:
        self.inner, self.calls = inner, 0

    def forward(self, data: HeteroData) -> HeteroData:
        self.calls += 1
        return self.inner(data)

    def __repr__(self) -> str:
        return repr(self.inner)


def assert_equal(a: HeteroData, b: HeteroData) -> None:
    def contents(data):
        return {(s._key, k): v for s in data.stores for k, v in s.items()}

    a, b = contents(a), contents(b)
    assert a.keys() == b.keys()
    for place, value in a.items():
        if isinstance(value, torch.Tensor):
            assert value.dtype == b[place].dtype
            assert torch.equal(value, b[place])
        else:
            assert value == b[place]


@pytest.fixture
def masked():
    return make_graph(missing=0.3)


@pytest.mark.parametrize(
    "inner", [Compose([KNN(3), BipartiteNorm()]), Impute(), Compose([Impute(), KNN(2)])]
)
def test_second_call_loads_the_same(masked, inner, tmp_path) -> None:
    transform = Counting(inner)
    first, second = (cached(masked, transform, tmp_path) for _ in range(2))
    assert transform.calls == 1
    assert_equal(first, inner(masked))
    assert_equal(second, first)
    assert second[INTERACTS].edge_index is masked[INTERACTS].edge_index  # shared
    assert len(list(tmp_path.iterdir())) == 1


def test_replaced_sizes_are_kept(tmp_path) -> None:
    data = make_graph()
    del data[INTERACTS].val_label_index, data[INTERACTS].test_label_index
    first, second = (cached(data, KCore(2), tmp_path) for _ in range(2))
    assert_equal(first, second)


@pytest.mark.parametrize(
    "damage", ["truncated", "garbage", "flipped", "empty", "other"]
)
def test_damaged_file_is_built_anew(masked, damage, tmp_path) -> None:
    transform = Counting(KNN(3))
    first = cached(masked, transform, tmp_path)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "garbage":
        content = bytearray(b"not a graph" * 50)
    elif damage == "flipped":
        weight = first["item", "knn_image", "item"].edge_weight
        at = bytes(content).index(weight.numpy().tobytes()[:64])
        content[at] ^= 1
    elif damage == "empty":
        content = bytearray()
    path.write_bytes(content)
    if damage == "other":
        torch.save({"something": 1}, path)
    with pytest.warns(UserWarning, match="is damaged .*: it is built anew") as caught:
        second = cached(masked, transform, tmp_path)
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    assert transform.calls == 2
    assert_equal(first, second)
    assert_equal(cached(masked, transform, tmp_path), first)  # whole again
    assert transform.calls == 2


def test_unwritable_folder_costs_only_the_cache(masked, tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(UserWarning, match="not cached"):
        out = cached(masked, KNN(3), tmp_path / "file" / "graphs")
    assert_equal(out, KNN(3)(masked))


def test_refuses_what_cannot_be_told_apart(masked, tmp_path) -> None:
    draw = DropEdge(0.5, generator=torch.Generator())
    with pytest.raises(MMRecError, match="memory address"):
        cached(masked, Compose([BipartiteNorm(), draw]), tmp_path)

    class Odd(BaseTransform):
        def forward(self, data: HeteroData) -> HeteroData:
            data["item"].names = {"a"}
            return data

    with pytest.raises(MMRecError, match="'names' of type 'set'"):
        cached(masked, Odd(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_cache_in_anothers_place_is_not_used(masked, tmp_path) -> None:
    transform = Counting(KNN(3))
    first = cached(masked, transform, tmp_path)
    (mine,) = tmp_path.iterdir()
    other = copy.copy(masked)
    other["item"].x_text = other["item"].x_text + 1e-6
    other["item"].x_image = -other["item"].x_image.flip(0)
    expected = cached(other, transform, tmp_path)
    (theirs,) = set(tmp_path.iterdir()) - {mine}
    shutil.copy(mine, theirs)
    with pytest.warns(UserWarning, match="of another graph .*: it is built anew"):
        again = cached(other, transform, tmp_path)
    assert_equal(again, expected)
    assert_equal(cached(masked, transform, tmp_path), first)
    assert transform.calls == 3


def test_a_cache_that_may_not_be_read_costs_only_the_cache(
    masked, tmp_path, monkeypatch
) -> None:
    def refuse(*_: object, **__: object) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.warns(UserWarning, match="it is built anew"):
        out = cached(masked, KNN(3), tmp_path)
    assert_equal(out, KNN(3)(masked))


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir])
def test_what_is_no_file_is_not_waited_for(masked, tmp_path, make) -> None:
    cached(masked, KNN(3), tmp_path)
    (path,) = tmp_path.iterdir()
    path.unlink()
    make(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a folder stays in the place of the cache
        assert_equal(cached(masked, KNN(3), tmp_path), KNN(3)(masked))
