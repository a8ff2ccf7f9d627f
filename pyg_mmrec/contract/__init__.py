"""What every method has to keep; ``pyg-mmrec check`` and the tests hold it to that."""

from pyg_mmrec.contract.checks import CHECKS, check
from pyg_mmrec.contract.kept import Broken
from pyg_mmrec.contract.small import make_graph, small

__all__ = ["CHECKS", "Broken", "check", "make_graph", "small"]
