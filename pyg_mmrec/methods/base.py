"""What every method is: a function of a graph, with its losses and its presets."""

from __future__ import annotations

import copy
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform, Compose

from pyg_mmrec.config import checked
from pyg_mmrec.embeddings import Branch, Embeddings
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS, ITEM, USER
from pyg_mmrec.growing import Fill, PerNode
from pyg_mmrec.objectives import Term
from pyg_mmrec.parallel.declared import Alone, Batches, Columns
from pyg_mmrec.transforms import BipartiteNorm
from pyg_mmrec.transforms.graph_check import check_graph

if TYPE_CHECKING:  # of Python 3.11
    from typing import Self

Overrides = Mapping[str, Any]
_RENAMED = "readout is final_rows now; the old name goes with the next version"


@dataclass(frozen=True)
class Source:
    """Where a method comes from.

    Args:
        paper: Title of the paper.
        venue: Where it was published, with the year.
        url: Where to read it.
    """

    paper: str = ""
    venue: str = ""
    url: str = ""


Rows = Callable[..., Tensor]


def _renamed(own: Rows) -> Rows:
    """A method by its old name, of the class that has it by the new one."""

    def readout(self: Any, out: Embeddings, kind: str, index: Tensor) -> Tensor:
        warnings.warn(_RENAMED, DeprecationWarning, stacklevel=2)
        return own(self, out, kind, index)

    return readout


def _answer_to_readout(cls: Any) -> None:
    """Let ``readout`` of version 0.1 be called, and be what a class defines.

    Both names stand in the same classes, so that ``super()`` finds the next by either.
    """
    own = vars(cls)
    if "final_rows" in own:
        cls.readout = _renamed(own["final_rows"])
    elif "readout" in own:
        warnings.warn(f"{cls.__name__}: {_RENAMED}", DeprecationWarning, stacklevel=3)
        cls.final_rows = own["readout"]


class Recommender(nn.Module, ABC):
    """A method of recommendation.

    It is built from a graph, of which it reads sizes alone, and owns no graph,
    feature, device, batch or loss. Given a sampled subgraph with PyG's ``n_id`` it
    returns the embeddings of the sampled nodes.

    Class attributes:
        Config: Dataclass of its hyper-parameters.
        provides: What objectives can rely on beyond ``user`` and ``item``:
            ``"ego"`` (``aux['ego_user']``, ``aux['ego_item']``), ``"feats"``,
            ``"modal"``.
        presets: Overrides of ``Config`` and ``TrainConfig`` per data set;
            ``"default"`` holds for any.
        ablations: Overrides that switch a part off, by name.
        uses_features: Whether it reads modality features.
        reads: Names of the relations that it reads beside the interactions, so that a
            sampled subgraph needs no other; all that there are if ``None``.
        whole_graph: Why it cannot be trained on sampled subgraphs, as a sentence goes
            on after its name; empty if it can.
        renamed: New names of options by their old ones, which runs of before tell.
        before: What runs did that are older than an option, where that is not its
            default: values by the option's name.
        parallel: Whether several processes can train it on the whole graph, and how,
            see :mod:`pyg_mmrec.parallel.declared`.

    Example:
        >>> from pyg_mmrec import Embeddings, Recommender, Synthetic
        >>> from pyg_mmrec.nn import NodeEmbedding
        >>> class Factors(Recommender):
        ...     def __init__(self, data, config):
        ...         super().__init__(data, config)
        ...         self.user = NodeEmbedding(self.num_users, 8, "user")
        ...         self.item = NodeEmbedding(self.num_items, 8, "item")
        ...     def forward(self, data):
        ...         return Embeddings(self.user(data), self.item(data))
        ...
        >>> data = Synthetic(num_users=50, num_items=40)[0]
        >>> [tuple(x.shape) for x in Factors(data, Factors.Config()).rows(data)]
        [(50, 8), (40, 8)]
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

    name: ClassVar[str] = "unnamed"
    source: ClassVar[Source] = Source()
    provides: ClassVar[frozenset[str]] = frozenset()
    presets: ClassVar[Mapping[str, Overrides]] = {}
    ablations: ClassVar[Mapping[str, Overrides]] = {}
    uses_features: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...] | None] = None
    whole_graph: ClassVar[str] = ""
    renamed: ClassVar[Mapping[str, str]] = {}
    before: ClassVar[Mapping[str, Any]] = {}
    parallel: ClassVar[Columns | Batches | Alone] = Alone(
        "it does not say that each column of its embeddings can be had by itself"
    )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "Config" in vars(cls):
            checked(cls.Config)
        _answer_to_readout(cls)

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__()
        check_graph(self.name, data)
        if not hasattr(config, "__dataclass_fields__"):
            raise MMRecError(
                f"'config' of {self.name} is its Config (got {type(config).__name__}): "
                f"write {type(self).__name__}.Config(...)"
            )
        _check_weighted(self.name, data, self.graph(config))
        self.config = config
        self.num_users = int(data[USER].num_nodes)
        self.num_items = int(data[ITEM].num_nodes)

    @classmethod
    def graph(cls, config: Any) -> BaseTransform | None:
        """Transform that adds the static relations it propagates over."""
        return None

    @classmethod
    def epoch_graph(cls, config: Any) -> BaseTransform | None:
        """Transform that makes the view of the graph which one epoch trains on."""
        return None

    @classmethod
    def current_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Options of ``Config`` that a run tells of, by the names of today.

        Those that are younger than the run are as :attr:`before` tells, if it does.
        """
        today = {cls.renamed.get(name, name): v for name, v in options.items()}
        return {**cls.before, **today}

    @abstractmethod
    def forward(self, data: HeteroData) -> Embeddings:
        """What must be computed on the whole graph at hand."""

    def final_rows(self, out: Embeddings, kind: str, index: Tensor) -> Tensor:
        """Row-wise rest of the computation, for the rows asked for.

        Args:
            out: What :meth:`forward` returned.
            kind: ``"user"`` or ``"item"``.
            index: Rows, ``[n]``.

        Returns:
            Final embeddings, ``[n, d_final]``; scores are their inner products.
        """
        return out.read(out.of(kind), index)

    def check_new_items(self) -> None:
        """Refuse items that join after the training, if it has no place for them.

        Raises:
            MMRecError: For a method that reads ids alone.
        """
        if not self.uses_features:
            raise MMRecError(
                f"the method {self.name!r} reads no item features, so it cannot place "
                f"an item that nobody took: use one that does, such as 'freedom', or "
                f"train again once the item has interactions"
            )

    def grown(self, fills: Mapping[str, Fill]) -> Self:
        """A copy with parameters for nodes that join the graph after the training.

        Every module that is a :class:`~pyg_mmrec.growing.PerNode`, as all that have a
        row per node here, gets rows of the new nodes: what ids, offsets and preferences
        of nodes like them learned, unless it says otherwise. A method that keeps such
        parameters in another way overrides this.

        Args:
            fills: What makes new rows of those there are, by the type of the nodes.
        """
        model = copy.deepcopy(self)
        for module in model.modules():
            if isinstance(module, PerNode):
                module.grow(fills)
        return model

    def objectives(self) -> list[Term]:
        """Terms of the loss; empty for a method that is not trained."""
        return []

    @torch.no_grad()
    def rows(self, data: HeteroData, chunk_size: int = 16384) -> Branch:
        """Final embeddings of all users and items, in evaluation mode.

        Args:
            data: The whole graph.
            chunk_size: Rows that are read out at a time.
        """
        training = self.training
        self.eval()
        out = self(data)
        if not isinstance(out, Embeddings):
            raise MMRecError(
                f"'forward' of {type(self).__name__} needs to return Embeddings(user, "
                f"item) (got {type(out).__name__})"
            )
        sides = []
        for kind in (USER, ITEM):
            index = torch.arange(out.of(kind).size(0), device=out.user.device)
            parts = [self.final_rows(out, kind, i) for i in index.split(chunk_size)]
            sides.append(torch.cat(parts))
        self.train(training)
        return Branch(*sides)


_answer_to_readout(Recommender)


def _check_weighted(
    name: str, data: HeteroData, transform: BaseTransform | None
) -> None:
    """Refuse a graph that lacks the weights which a method's transform would add.

    A relation that is not there is missed where it is read; interactions are there
    without weights as well, and would count as ones.

    Raises:
        MMRecError: If interactions have no weights.
    """
    parts = transform.transforms if isinstance(transform, Compose) else [transform]
    weighs = any(isinstance(part, BipartiteNorm) for part in parts)
    if weighs and "edge_weight" not in data[INTERACTS]:
        raise MMRecError(
            f"the graph has no weights of the interactions, which {name!r} propagates "
            f"by: apply the method's graph(config) transform to the data first"
        )


def check_fits(model: Recommender, data: HeteroData) -> None:
    """Refuse a graph that is none for a method that was made of another.

    Raises:
        MMRecError: If it has other numbers of users or items.
    """
    check_graph(model.name, data)
    sizes = [int(data[node_type].num_nodes) for node_type in (USER, ITEM)]
    if sizes != [model.num_users, model.num_items]:
        raise MMRecError(
            f"the method {model.name!r} was made of a graph of {model.num_users} users "
            f"and {model.num_items} items, and this one has {sizes[0]} and {sizes[1]}: "
            f"make it of the graph that it is to be trained on"
        )
