"""Transforms that add relations and features to the graph."""

from pyg_mmrec.transforms.bipartite_norm import BipartiteNorm
from pyg_mmrec.transforms.blended_knn import BlendedKNN
from pyg_mmrec.transforms.cache import cached
from pyg_mmrec.transforms.co_occurrence import CoOccurrence
from pyg_mmrec.transforms.degree import Degree
from pyg_mmrec.transforms.drop_edge import DropEdge, pruned
from pyg_mmrec.transforms.impute import Impute
from pyg_mmrec.transforms.k_core import KCore
from pyg_mmrec.transforms.knn import KNN
from pyg_mmrec.transforms.mix_edges import MixEdges, mixed_graph
from pyg_mmrec.transforms.split import Split, split_from
from pyg_mmrec.transforms.user_interest import UserInterest

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
    "mixed_graph",
    "pruned",
    "split_from",
]
