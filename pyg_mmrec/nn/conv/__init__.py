"""Message-passing layers."""

from pyg_mmrec.nn.conv.propagate import BipartiteConv, WeightedConv

__all__ = ["BipartiteConv", "WeightedConv"]
