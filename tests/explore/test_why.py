from __future__ import annotations

from itertools import permutations

import pytest
import torch

from pyg_mmrec import Synthetic, build
from pyg_mmrec.explore.paths import OTHERS, paths
from pyg_mmrec.explore.why import Attribution, without_ids, without_modalities
from pyg_mmrec.graph import ITEM, strongest, train_edges
from pyg_mmrec.serving.extension import Extension, content_of

DATA = Synthetic(num_users=50, num_items=40)


def trained(method: str, **options):
    trainer = build(DATA, method, epochs=1, progress=False, dim=8, **options)
    trainer.fit()
    return trainer


@pytest.mark.parametrize(
    "method", ["freedom", "mgcn", "vbpr", "lattice", "rearm", "bm3", "lightgcn"]
)
def test_shares_sum_to_the_scores_that_are_served(method) -> None:
    trainer = trained(method)
    model, data = trainer.model, trainer.data
    shares = Attribution(model, DATA[0]).shares(3, range(40))
    rows = model.rows(data)
    torch.testing.assert_close(shares.score, rows.item @ rows.user[3])
    total = shares.rest + torch.stack(list(shares.parts.values())).sum(0)
    torch.testing.assert_close(total, shares.score, atol=1e-5, rtol=1e-4)
    modal = ("image", "text") if model.uses_features else ()
    assert tuple(shares.parts) == ("ids", *modal)
    for name, share in shares.parts.items():
        # BM3 reads features in training alone.
        counts = name == "ids" or method != "bm3"
        assert bool(share.abs().max() > 0) == counts, name


@pytest.mark.parametrize("method", ["freedom", "vbpr", "lightgcn"])
def test_shares_of_somebody_new_sum_to_the_scores_that_are_served(method) -> None:
    trainer = trained(method)
    model, data, history = trainer.model.eval(), trainer.data, torch.tensor([3, 9, 17])
    extension, rows, added = Extension.of(model, data), model.rows(data), None
    items = rows.item
    if model.uses_features:
        generator = torch.Generator().manual_seed(2)
        text = torch.randn(2, data[ITEM].x_text.size(1), generator=generator)
        added = content_of(extension.data, {"text": text}, ["a", "b"])
        extension, new = extension.with_items(added)
        items, history = torch.cat([items, new]), torch.tensor([3, 9, 17, 40])
    expected = items @ extension.user_rows([history])[0]
    attribution = Attribution(model, DATA[0], added)
    shares = attribution.shares_of(history, range(len(items)))
    torch.testing.assert_close(shares.score, expected, atol=1e-5, rtol=1e-4)
    total = shares.rest + torch.stack(list(shares.parts.values())).sum(0)
    torch.testing.assert_close(total, shares.score, atol=1e-5, rtol=1e-4)
    for name, share in shares.parts.items():
        assert float(share.abs().max()) > 0, name
    known = attribution.shares(3, range(len(items)))
    torch.testing.assert_close(known.score, items @ rows.user[3])


def test_shares_are_means_over_the_orders_in_which_sources_come() -> None:
    trainer = trained("mgcn")
    attribution = Attribution(trainer.model, DATA[0])
    shares = attribution.shares(5, [1, 2])
    expected = dict.fromkeys(attribution.names, torch.zeros(2))
    orders = list(permutations(attribution.names))
    for order in orders:
        for place, name in enumerate(order):
            before = frozenset(order[:place])
            with_it, without = (
                attribution._scores(kept, 5, torch.tensor([1, 2]))
                for kept in (before | {name}, before)
            )
            expected[name] = expected[name] + (with_it - without) / len(orders)
    for name, share in shares.parts.items():
        torch.testing.assert_close(share, expected[name], atol=1e-6, rtol=1e-4)


def test_what_is_away_is_away_and_the_rest_untouched() -> None:
    trainer = trained("freedom")
    base = DATA[0]
    before = base[ITEM].x_text.clone()
    data = without_modalities(base, ["text"])
    assert torch.equal(base[ITEM].x_text, before)
    assert not data[ITEM].mask_text.any()
    data = trainer.model.graph(trainer.model.config)(data)
    text = data[ITEM, "knn_text", ITEM].edge_index
    assert bool((text[0] == text[1]).all())  # loops at most
    rows = without_ids(trainer.model).rows(trainer.data)
    assert float(rows.user.abs().max()) == float(rows.item.abs().max()) == 0.0
    assert float(trainer.model.rows(trainer.data).item.abs().max()) > 0.0


def dense(data, edge_type) -> torch.Tensor:
    """Weights of a relation, ``[source, centre]``."""
    store = data[edge_type]
    sizes = [int(data[node].num_nodes) for node in (edge_type[0], edge_type[2])]
    weight = torch.zeros(sizes)
    for (i, j), w in zip(
        store.edge_index.T.tolist(), store.edge_weight.tolist(), strict=True
    ):
        weight[i, j] += w
    return weight


@pytest.mark.parametrize("method", ["freedom", "mgcn"])
def test_paths_weigh_what_they_carry(method) -> None:
    data = trained(method).data
    edges = train_edges(data)
    matrix = torch.zeros(50, 40)
    matrix[edges[0], edges[1]] = 1.0
    of_user, of_item = matrix.sum(1), matrix.sum(0).clamp(min=1)
    norm = matrix / (of_user.clamp(min=1).unsqueeze(1) * of_item).sqrt()
    for user, item in ((0, 7), (3, 11), (20, 0)):
        taken = matrix[user].nonzero().flatten()
        found = paths(data, taken, item, k=40)
        kept = taken[taken != item]
        count = torch.tensor(float(len(kept)))
        first = (count * of_item[kept]).rsqrt()
        expected: dict[tuple[str, int], float] = {}
        for t in data.edge_types:
            if t[0] == t[2] == ITEM:
                for j, w in zip(
                    kept.tolist(), first * dense(data, t)[kept, item], strict=True
                ):
                    expected[t[1], j] = float(w)
        through = (norm.T @ norm)[kept, item]
        for j, w in zip(kept.tolist(), first * through, strict=True):
            expected[OTHERS, j] = float(w)
        expected = {at: w for at, w in expected.items() if w > 0}
        assert {(s.relation, s.item) for s in found} == set(expected)
        for step in found:
            assert step.weight == pytest.approx(expected[step.relation, step.item])
        names = [s.relation for s in found]
        for name in set(names):
            weights = [s.weight for s in found if s.relation == name]
            assert weights == sorted(weights, reverse=True)
            assert len(paths(data, taken, item, k=1)) == len(set(names))


def test_no_path_from_nothing() -> None:
    data = trained("lightgcn").data
    assert paths(data, torch.tensor([], dtype=torch.long), 3) == []
    assert paths(data, torch.tensor([3]), 3) == []


def test_the_strongest_neighbours_come_first_without_the_node() -> None:
    data = trained("freedom").data
    t = (ITEM, "mixed", ITEM)
    others, weights = strongest(data, t, 5, 4)
    column = dense(data, t)[:, 5]
    column[5] = 0.0
    torch.testing.assert_close(weights, column.sort(descending=True).values[:4])
    torch.testing.assert_close(column[others], weights)
