"""The authors' code beside ours: graphs, scores, losses, gradients, first steps.

An :class:`Adapter` says how a method's code stands beside ours; ``scripts/parity.py``
runs it on a checkout, and from what it recorded come the fixtures of
``tests/parity``, which need none.
"""

from pyg_mmrec.parity.adapter import Adapter, find
from pyg_mmrec.parity.adapters import ADAPTERS
from pyg_mmrec.parity.compare import Difference, compare, worst
from pyg_mmrec.parity.peer import Peer
from pyg_mmrec.parity.record import Record
from pyg_mmrec.parity.run import Comparison, run

__all__ = [
    "ADAPTERS",
    "Adapter",
    "Comparison",
    "Difference",
    "Peer",
    "Record",
    "compare",
    "find",
    "run",
    "worst",
]
