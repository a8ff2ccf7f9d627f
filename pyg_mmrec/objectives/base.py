"""What a loss reads and says of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.objectives.step import Model, Step


class Objective(nn.Module, ABC):
    """A loss: a scalar from a :class:`Step`.

    ``requires`` names what a model has to provide for it, ``"branches"`` being
    served by either of ``"modal"`` and ``"feats"``; ``num_neg`` is how many negatives
    it gets for each positive. An objective may own parameters, which are trained
    with the model's, but for its :meth:`inner_parameters`, which it trains itself in
    :meth:`inner_step`. The trainer keeps the state of ``inner_optimizer``, if there
    is one, in its checkpoints. One that ``reads_rows`` of the embeddings by their index
    alone, and owns no state, is the same whoever has put these together; one that is a
    mean over the batch's interactions (``by_interaction``) that of its parts: see
    :mod:`pyg_mmrec.parallel`.

    Example:
        >>> from pyg_mmrec import Objective, Synthetic, Term, build
        >>> class Short(Objective):
        ...     def forward(self, step):
        ...         return step.out.item[step.items].square().mean()
        ...
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> own = [Term("short", Short(), 0.1)]
        >>> trainer = build(data, "lightgcn", terms=own, epochs=1, progress=False)
        >>> trainer.fit().history[0]["short"] > 0
        True
    """

    requires: frozenset[str] = frozenset()
    num_neg: int = 1
    reads_rows: bool = False
    by_interaction: bool = False
    inner_optimizer: torch.optim.Optimizer | None = None

    def setup(self, model: Model, data: HeteroData) -> None:
        """Called once before training, with the whole graph; it may draw numbers."""

    def on_epoch_start(self, model: Model, data: HeteroData, epoch: int) -> None:
        """Called before each epoch, with the epoch's view of the graph."""

    @abstractmethod
    def forward(self, step: Step) -> Tensor:
        """The loss, a scalar."""

    def inner_parameters(self) -> Iterable[nn.Parameter]:
        """Parameters that the objective trains itself: its inner optimiser's."""
        groups = self.inner_optimizer.param_groups if self.inner_optimizer else ()
        return [p for group in groups for p in group["params"]]

    def inner_step(self, step: Step) -> None:
        """Train the inner parameters, before the losses of the step are computed."""


class Term(NamedTuple):
    """An objective under a name, with its weight in the loss.

    Example:
        >>> from pyg_mmrec import Term
        >>> from pyg_mmrec.objectives import BPR, InfoNCE
        >>> terms = [Term("bpr", BPR()), Term("align", InfoNCE(tau=0.2), weight=0.01)]
        >>> [(term.name, term.weight) for term in terms]
        [('bpr', 1.0), ('align', 0.01)]
    """

    name: str
    objective: Objective
    weight: float = 1.0


def check_terms(model: Model, terms: Iterable[Term]) -> None:
    """Refuse terms that the model cannot serve.

    Raises:
        MMRecError: Naming the term, the model and what is missing.

    Example:
        >>> from pyg_mmrec import Synthetic, Term, build
        >>> from pyg_mmrec.objectives import InfoNCE, check_terms
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> trainer = build(data, "lightgcn")
        >>> check_terms(trainer.model, [Term("align", InfoNCE())])
        Traceback (most recent call last):
            ...
        pyg_mmrec.errors.MMRecError: the term 'align' requires 'modal', which ...
    """
    provided = set(model.provides)
    if provided & {"modal", "feats"}:
        provided.add("branches")
    for term in terms:
        missing = sorted(term.objective.requires - provided)
        if missing:
            raise MMRecError(
                f"the term {term.name!r} requires {', '.join(map(repr, missing))}, "
                f"which the method {model.name!r} does not provide (it provides: "
                f"{', '.join(sorted(model.provides)) or 'nothing beyond embeddings'})"
                f": choose another method or leave the term out"
            )
