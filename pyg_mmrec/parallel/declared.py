"""What a method declares of how several processes may train it together.

:func:`pyg_mmrec.parallel.shares.way` tells which of these a training goes by.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Columns:
    """Declares that processes can share out the columns of a method's embeddings.

    Args:
        whole: Names of its parts that work on whole rows, after propagation, and of
            what it puts into :attr:`Embeddings.aux <pyg_mmrec.Embeddings>` whole.
        width: The option with the number of columns of a block.
    """

    whole: tuple[str, ...] = ()
    width: str = "dim"


@dataclass(frozen=True)
class Batches:
    """Declares that processes can share out the batches of a method.

    On the whole graph, nothing but :meth:`forward <pyg_mmrec.Recommender.forward>`,
    which all of them call alike, draws random numbers. On subgraphs each draws its own.
    """


@dataclass(frozen=True)
class Alone:
    """Declares that a method is trained by one process.

    Args:
        reason: Why, as it reads after a colon.
    """

    reason: str
