"""Message-passing layers."""

from pyg_mmrec.nn.conv.light import BipartiteConv, WeightedConv

__all__ = ["BipartiteConv", "WeightedConv"]
