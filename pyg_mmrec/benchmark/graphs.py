"""Building relations among items.

Nearest neighbours by cosine against one dense matrix of all similarities, and items
that share users against a comparison of each pair of items in Python. Both references
run on part of the items where all would take too much memory or time, and are
extrapolated: times grow with the pairs of items.
"""

from __future__ import annotations

from importlib.util import find_spec

import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.benchmark.negatives import taken_items
from pyg_mmrec.benchmark.timing import Case, Row, Settings, side_by_side
from pyg_mmrec.datasets import Dataset
from pyg_mmrec.graph import ITEM, features, modalities, train_edges
from pyg_mmrec.ranking.inverted import near_top_k
from pyg_mmrec.transforms import KNN, CoOccurrence
from pyg_mmrec.transforms.checks import nonzero_rows

PART = "graphs"
K = 10
_DENSE = 16_384  # items whose similarities are held at once: 1 GiB
_PAIRS = 200_000  # pairs of items that the Python loop compares


def measure(dataset: Dataset, settings: Settings) -> list[Row]:
    """Time both relations; the first is left out for items without features."""
    data = dataset[0].to(str(settings.device))
    groups = [_co_occurrence(data)]
    if modalities(data):
        groups.insert(0, _nearest(data))
    return [row for cases in groups for row in side_by_side(PART, cases, settings)]


def _nearest(data: HeteroData) -> list[Case]:
    modality = modalities(data)[0]
    x = features(data, modality)
    part = x[:_DENSE]
    transform = KNN(K, [modality])
    cases = [
        Case("KNN, ours", lambda: transform(data), note=f"{list(x.shape)} {modality}"),
        Case(
            "KNN, dense similarities",
            lambda: dense_neighbours(part, K),
            times=(len(x) / len(part)) ** 2,
            note=_of(len(part), len(x)),
        ),
    ]
    if find_spec("faiss") is not None:
        *_, recall = near_top_k(x, K, among=nonzero_rows(x).nonzero().flatten())
        by_lists = KNN(K, [modality], search="faiss")
        told = f"finds {recall:.3f} of the exact neighbours"
        cases.append(Case("KNN, faiss", lambda: by_lists(data), note=told))
    return cases


def _co_occurrence(data: HeteroData) -> list[Case]:
    num_items = int(data[ITEM].num_nodes)
    count = min(num_items, max(1, _PAIRS // num_items))
    users = users_of_items(data)
    transform = CoOccurrence(K)
    return [
        Case("CoOccurrence, ours", lambda: transform(data)),
        Case(
            "CoOccurrence, loop over pairs",
            lambda: co_occurring(users, count, K),
            times=num_items / count,
            note=_of(count, num_items),
        ),
    ]


def _of(count: int, total: int) -> str:
    return f"extrapolated from {count} of {total} items" if count < total else ""


def dense_neighbours(x: Tensor, k: int) -> Tensor:
    """The ``k`` most similar other rows of each row, ``[n, k]``, by all at once."""
    x = F.normalize(x.float(), dim=-1)
    similarity = x @ x.T
    similarity.fill_diagonal_(float("-inf"))
    return similarity.topk(min(k, len(x) - 1)).indices


def users_of_items(data: HeteroData) -> list[set[int]]:
    """Who took each item."""
    taken = taken_items(train_edges(data).flip(0))
    return [taken.get(item, set()) for item in range(int(data[ITEM].num_nodes))]


def co_occurring(users: list[set[int]], count: int, k: int) -> list[list[int]]:
    """The ``k`` items that share most users with each of the first ``count`` items."""
    found = []
    for item in range(count):
        shared = [len(users[item] & other) for other in users]
        shared[item] = 0
        order = sorted(range(len(users)), key=lambda j: (-shared[j], j))
        found.append([j for j in order[:k] if shared[j]])
    return found
