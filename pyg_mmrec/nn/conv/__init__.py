"""Message-passing layers."""

from pyg_mmrec.nn.conv.bipartite_conv import BipartiteConv
from pyg_mmrec.nn.conv.weighted_conv import WeightedConv

__all__ = ["BipartiteConv", "WeightedConv"]
