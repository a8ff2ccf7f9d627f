"""What a method keeps when items and users join after the training."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_mmrec.contract.kept import Broken, close, require
from pyg_mmrec.contract.small import make_graph, small
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import ITEM, modalities
from pyg_mmrec.serving.extension import Content, Extension, content_of

_IDS = ["a", "b", "c", "d"]
_HISTORIES = [torch.tensor([1, 2, 5]), torch.tensor([0, 8])]
_PER_NODE = (
    "let parameters with a row per node be NodeEmbedding or another PerNode module, "
    "and read the first num_trained(data, node_type) where all nodes are read at once"
)


def new_nodes(method: str) -> None:
    """Items and users that join move nobody, or are refused in a sentence."""
    model, data, _ = small(method, make_graph(missing=0.3))
    ext = Extension.of(model.eval(), data)
    before = model.rows(data)
    content = _newcomers(ext)
    if content.count:
        _items(ext, content)
    joined = ext.graph(content, torch.tensor([[0, 0, 0, 1, 1], [1, 2, 5, 0, 8]]))
    try:
        after = ext._grown(joined).rows(joined)
    except (RuntimeError, IndexError, ValueError) as error:
        found = f"it cannot run with users who join ({_first(error)}): {_PER_NODE}"
        raise Broken(found) from error
    old = [now[: was.size(0)] for now, was in zip(after, before, strict=True)]
    require(
        _near(old, list(before)),
        f"rows of trained users and items move with those who join: {_PER_NODE}",
    )
    rows = ext.user_rows(_HISTORIES)
    alone = torch.cat([ext.user_rows([history]) for history in _HISTORIES])
    require(
        bool(rows.isfinite().all()) and _near([rows], [alone]),
        f"a user who joins is another one beside others who join: {_PER_NODE}",
    )


def _items(ext: Extension, content: Content) -> None:
    """Items one by one are items at once."""
    _, rows = ext.with_items(content)
    one = torch.empty_like(rows)
    for i in reversed(range(content.count)):
        ext, found = ext.with_items(content.rows(torch.tensor([i])))
        one[i] = found[0]
    require(
        bool(rows.isfinite().all()) and _near([rows], [one]),
        f"an item that joins is another one beside others that join: {_PER_NODE}",
    )


def _newcomers(ext: Extension) -> Content:
    """Items for a method that has a place for some, none for one that refuses them."""
    try:
        ext.model.check_new_items()
    except MMRecError:
        return content_of(ext.data, {}, [])
    generator = torch.Generator().manual_seed(5)
    given = {}
    for place, name in enumerate(modalities(ext.data)):
        width = ext.data[ITEM][f"x_{name}"].size(1)
        rows: list[Tensor | None] = list(
            torch.randn(len(_IDS), width, generator=generator)
        )
        rows[place] = None  # each item has one modality at least
        given[name] = rows
    return content_of(ext.data, given, _IDS)


def _near(a: list[Tensor], b: list[Tensor]) -> bool:
    scale = max(1.0, *(float(x.abs().max()) for x in b))
    return close([x / scale for x in a], [x / scale for x in b], tolerance=1e-5)


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
