"""Blocks of rows shared out: graphs of several processes have the bits of one's."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform, Compose

from pyg_mmrec.benchmark import shared_graphs
from pyg_mmrec.contract import make_graph
from pyg_mmrec.datasets import Synthetic
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import USER, set_interactions, train_edges
from pyg_mmrec.parallel.blocks import shared_by, sharers
from pyg_mmrec.parallel.processes import Ranks, here
from pyg_mmrec.ranking import nearest, sparse
from pyg_mmrec.transforms import (
    KNN,
    BlendedKNN,
    CoOccurrence,
    MixEdges,
    UserInterest,
    cached,
)

from ..transforms.order import rank_of
from .ranks import free_port, in_processes
from .test_torchrun import torchrun

Edges = dict[str, tuple[Tensor, Tensor]]

BLENDED = {"semantic": {"image": 1.0, "text": 3.0}, "overlap_weight": 0.4}
# Of 101 items, of which blocks of 16 leave five.
CASES: dict[str, BaseTransform] = {
    "near": KNN(5, chunk_size=16),
    "itself first": KNN(5, loop=True, chunk_size=16, loop_missing=True),
    "a row a block": KNN(3, chunk_size=1),
    "one block": KNN(5, normalize="sym"),
    "all others": KNN(200, chunk_size=16),
    "by interest": Compose([UserInterest(), KNN(4, node_type=USER, chunk_size=7)]),
    "common users": CoOccurrence(4),
    "common items": CoOccurrence(4, USER, "cosine"),
    "counts": CoOccurrence(100, weight="count"),
    "blended": BlendedKNN(4, chunk_size=16, **BLENDED),
    "blended users": Compose([UserInterest(), BlendedKNN(4, USER, chunk_size=16)]),
    "mixed": Compose([KNN(3, chunk_size=9), CoOccurrence(3), MixEdges(co_weight=0.3)]),
}
if find_spec("faiss") is not None:
    CASES["by lists"] = KNN(5, search="faiss", probes=3)


def graph() -> HeteroData:
    """Twins, rows of zeros, items without a modality, and nodes without edges."""
    data = make_graph(num_users=90, num_items=101, missing=0.2)
    item = data["item"]
    item.x_text[50:100] = item.x_text[:50]
    item.mask_text[50:100] = item.mask_text[:50]
    item.x_image[10:14] = 0.0
    item.mask_image[10:14] = True
    item.x_audio = torch.eye(3)[torch.arange(101) % 3]  # equals of equals
    item.mask_audio = torch.arange(101) == 7  # one, who has no neighbour
    edges = train_edges(data)
    set_interactions(data, edges[:, (edges[0] % 9 != 4) & (edges[1] % 8 != 5)])
    return data


def relations(before: HeteroData, after: HeteroData) -> Edges:
    return {
        kind[1]: (after[kind].edge_index, after[kind].edge_weight)
        for kind in after.edge_types
        if kind not in before.edge_types
    }


def built() -> tuple[dict[str, Edges], dict[str, int]]:
    """Edges of all cases, and how many rows this process compared, by the kind."""
    rows = {"products": 0, "counts": 0}
    add, top_k = nearest._Best.add_columns, sparse.top_k

    def add_counted(self: Any, first: int, scores: Tensor, offset: int) -> None:
        rows["products"] += scores.size(0)
        add(self, first, scores, offset)

    def top_k_counted(block: Any, k: int, first: int) -> Any:
        rows["counts"] += block.shape[0]
        return top_k(block, k, first)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse, "_BLOCK_ENTRIES", 500)
        patch.setattr(sparse, "top_k", top_k_counted)
        patch.setattr(nearest._Best, "add_columns", add_counted)
        data, found = graph(), {}
        with shared_by(here()):
            for name, transform in CASES.items():
                found[name] = relations(data, transform(data))
    return found, rows


@pytest.mark.parametrize("size", [1, 2, 3])
def test_graphs_have_the_bits_of_one_process(size, tmp_path) -> None:
    data = graph()
    alone = {name: relations(data, make(data)) for name, make in CASES.items()}
    found, whole = built()
    each = [(found, whole)]
    if size > 1:
        each = in_processes(f"{__name__}:built", tmp_path, size)
    for found, _ in each:
        assert found.keys() == alone.keys()
        for name, edges in alone.items():
            assert found[name].keys() == edges.keys()
            for kind, told in edges.items():
                for x, wanted in zip(found[name][kind], told, strict=True):
                    assert torch.equal(x, wanted), (name, kind)
                    assert x.is_contiguous()
    assert alone["near"]["knn_audio"][0].shape == (2, 0)
    for kind, rows in whole.items():
        shares = [told[kind] for _, told in each]
        assert sum(shares) == rows
        assert max(shares) < 1.2 * rows / size


def test_one_alone_shares_with_nobody() -> None:
    assert sharers() == Ranks()
    with shared_by(Ranks(1, 3)):
        assert sharers() == Ranks(1, 3)
    assert sharers() == Ranks()
    with pytest.raises(MMRecError), shared_by(Ranks(1, 3)):
        raise MMRecError("it ends there as well")
    assert sharers() == Ranks()


@given(count=st.integers(0, 60), size=st.integers(1, 7))
@settings(max_examples=60, deadline=None)
def test_parts_are_dealt_out_whole_and_evenly(count, size) -> None:
    shares = [list(Ranks(rank, size).own(range(count))) for rank in range(size)]
    assert sorted(part for share in shares for part in share) == list(range(count))
    assert all(share == sorted(share) for share in shares)
    # Blocks of later and later rows are compared with fewer and fewer.
    work = [sum(count - part for part in share) for share in shares]
    assert max(work) - min(work) <= count


class Told(Ranks):
    """A process that has been told already what all of them found."""

    found: list[tuple[Tensor, ...]]

    def joined(self, x: Tensor) -> Tensor:
        return torch.cat(self.found.pop(0))


@given(
    seed=st.integers(0, 2**31),
    rows=st.integers(2, 24),
    k=st.integers(1, 6),
    size=st.integers(1, 4),
    kinds=st.integers(1, 5),
)
@settings(max_examples=60, deadline=None)
def test_merged_are_the_best_of_all_in_the_order_of_each_row(
    seed, rows, k, size, kinds
) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(kinds, (rows, rows), generator=generator).float()
    owner = torch.randint(size, (rows, rows), generator=generator)
    best = []
    for rank in range(size):
        part = nearest._Best(rows, min(k, rows), torch.device("cpu"))
        part.add_rows(0, torch.where(owner == rank, scores, -torch.inf), 0)
        best.append(part)
    found = [[x.clone() for x in (b.value, b.column)] for b in best]
    for rank, part in enumerate(best):
        told = Told(rank, size)
        object.__setattr__(told, "found", list(zip(*found, strict=True)))
        part.add_found(told)
    for row in range(rows):
        order = [(-float(scores[row, j]), rank_of(row, j, rows)) for j in range(rows)]
        wanted = sorted(range(rows), key=order.__getitem__)[:k]
        for part in best:
            assert part.column[row].tolist() == wanted
            assert part.value[row].tolist() == scores[row, wanted].tolist()


# What is kept in files


class Counting(BaseTransform):
    """Nearest neighbours, and how often they were looked for; it may do otherwise."""

    def __init__(self, adds: Any = 1) -> None:
        self.calls, self.adds = 0, adds

    def forward(self, data: HeteroData) -> HeteroData:
        self.calls += 1
        data["item"].told = self.adds
        return KNN(5, chunk_size=16)(data)

    def __repr__(self) -> str:
        return f"Counting({self.adds})"


def kept(folder: Path, kind: str) -> tuple[Edges, int, list[str], str]:
    """Edges, how often they were built, files, and what was said instead.

    Each process has a folder of its own, unless the first one's is for all.
    """
    ranks, data = here(), graph()
    mine = folder / (str(ranks.rank) if kind != "shared" else "all")
    transform = Counting({"a"} if kind == "odd" else 1)
    if kind == "nowhere":
        mine = Path("/dev/null/graphs")
    elif kind == ("first" if ranks.first else "others"):
        cached(data, Counting(), mine)
    elif kind == "damaged":
        cached(data, Counting(), mine)
        next(mine.iterdir()).write_bytes(b"no graph")
    elif kind == "other data" and ranks.rank == 1:
        data["item"].x_image[0, 0] += 1.0
    elif kind == "not finite":
        data["item"].x_image[3] = torch.nan
    ranks.told(0)
    found: Edges = {}
    said = ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = relations(data, cached(data, transform, mine, ranks))
        except MMRecError as error:
            said = str(error)
    said = said or " ".join(str(each.message) for each in caught)
    names = [p.suffix for p in mine.iterdir()] if mine.is_dir() else []
    return found, transform.calls, names, said


def all_kept(folder: Path, kinds: Iterable[str]) -> dict[str, Any]:
    """Of all kinds, and what building graphs of planted data took."""
    data = here().in_turn(lambda: Synthetic(num_users=50, num_items=40, root=folder))
    found = {kind: kept(folder / kind, kind) for kind in kinds}
    return {**found, "timed": shared_graphs.measure(data, here())}


# By the kind: calls and files of both, and what each says.
KEPT = {
    "shared": ((1, 1), (1, 1), "", ""),
    "nothing": ((1, 1), (1, 0), "", ""),
    "first": ((0, 0), (1, 0), "", ""),
    "others": ((1, 1), (1, 1), "", ""),
    "damaged": ((1, 1), (1, 1), "is damaged", ""),
    "nowhere": ((1, 1), (0, 0), "is not cached", ""),
    "other data": ((0, 0), (0, 0), "read other data or options", "read other data"),
    "not finite": ((1, 1), (0, 0), "'image' hold NaN", "'image' hold NaN"),
    "odd": ((1, 1), (0, 0), "of type 'set'", "of type 'set'"),
}
REFUSED = ("other data", "not finite", "odd")


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("kept")
    return in_processes(f"{__name__}:all_kept", folder, 2, folder, list(KEPT))


@pytest.mark.parametrize("kind", KEPT)
def test_files_are_the_first_ones_and_what_is_in_none_all_build(kind, two) -> None:
    calls, files, *said = KEPT[kind]
    data = graph()
    wanted = {} if kind in REFUSED else relations(data, Counting()(data))
    for rank, each in enumerate(two):
        found, times, names, told = each[kind]
        assert times == calls[rank]
        assert len(names) == files[rank]
        assert said[rank] in told
        assert bool(told) == bool(said[rank])
        assert "\n" not in told
        assert found.keys() == wanted.keys()
        for name, edges in wanted.items():
            for x, y in zip(found[name], edges, strict=True):
                assert torch.equal(x, y)


def test_graphs_are_timed_beside_one_process(two) -> None:
    rows = two[0]["timed"]
    kinds = ["kNN of image", "kNN of text", "common users", "common items"]
    assert len(rows) == len(kinds)
    for row, kind in zip(rows, kinds, strict=True):
        assert row.graph.startswith(kind)
        assert row.same
        assert min(*row.one, *row.several, row.sent) > 0
    # Ten values and columns of each of 40 rows go to the other process.
    assert [row.sent for row in rows[:2]] == [40 * shared_graphs.K * (4 + 8)] * 2
    lines = shared_graphs.table(rows, 2).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert len(lines) == 6
    with pytest.raises(MMRecError, match="start it by torchrun"):
        shared_graphs.measure(None, Ranks())


@pytest.mark.parametrize("who", ["0", "01"])
def test_who_fails_while_all_build_ends_all_with_one_sentence(who, tmp_path) -> None:
    (tmp_path / "fails.py").write_text(f"""if True:
        import os, sys
        from pyg_mmrec import __main__ as door
        from pyg_mmrec.errors import MMRecError
        from pyg_mmrec.transforms import KNN
        edges = KNN._edges
        def fails(self, *args):
            if os.environ["RANK"] in {who!r}:
                raise MMRecError("the features cannot be read: copy them anew")
            return edges(self, *args)
        KNN._edges = fails
        sys.argv[1:] = ["train", "synthetic", "freedom", "--epochs", "1"]
        sys.argv[1:] += ["--device", "cpu", "--root", {str(tmp_path)!r}]
        door.main()
    """)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--master-port", str(free_port()), "fails.py"]
    done = torchrun(command, tmp_path)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if "pyg-mmrec" in line]
    wanted = "pyg-mmrec train: the features cannot be read: copy them anew"
    assert said == [wanted], done.stderr
