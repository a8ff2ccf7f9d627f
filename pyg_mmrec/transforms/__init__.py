"""Transforms that add relations and features to the graph."""

from pyg_mmrec.moved import moved
from pyg_mmrec.transforms.blended_knn import BlendedKNN
from pyg_mmrec.transforms.cache import cached
from pyg_mmrec.transforms.impute import Impute
from pyg_mmrec.transforms.interactions import (
    CoOccurrence,
    Degree,
    MixEdges,
    UserInterest,
    similar_items,
)
from pyg_mmrec.transforms.k_core import KCore
from pyg_mmrec.transforms.relations import KNN, BipartiteNorm, DropEdge, pruned
from pyg_mmrec.transforms.split import Split, split_from

__all__ = [
    "KNN",
    "BipartiteNorm",
    "BlendedKNN",
    "CoOccurrence",
    "Degree",
    "DropEdge",
    "Impute",
    "KCore",
    "MixEdges",
    "Split",
    "UserInterest",
    "cached",
    "pruned",
    "similar_items",
    "split_from",
]

MOVED = {"mixed_graph": "methods.parts.rearm"}
__getattr__ = moved(__name__, MOVED)
