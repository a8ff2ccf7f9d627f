"""Pictures hold what they were given, and are of one look."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from pyg_mmrec import Synthetic, run
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.evaluation.contribution import modality_contribution
from pyg_mmrec.graph import INTERACTS, ITEM, knn_relation, train_edges
from pyg_mmrec.plots import (
    drawn,
    plot_comparison,
    plot_contribution,
    plot_density,
    plot_embeddings,
    plot_graph,
    plot_heat,
    plot_history,
    plot_popularity,
    plot_search,
    plot_sweeps,
    plot_variants,
    save,
)
from pyg_mmrec.plots.contribution import table_of
from pyg_mmrec.plots.density import circle_density
from pyg_mmrec.plots.graph import neighbours
from pyg_mmrec.plots.kinds import looks
from pyg_mmrec.plots.style import shortened
from pyg_mmrec.transforms import KNN

from .conftest import make_graph
from .test_contribution import random_model

pytest.importorskip("matplotlib")

HISTORY = [
    {"epoch": 1.0, "bpr": 0.7, "seconds": 1.0},
    {"epoch": 2.0, "bpr": 0.5, "seconds": 1.0, "recall@20": 0.1},
    {"epoch": 3.0, "bpr": 0.4, "seconds": 1.0},
    {"epoch": 4.0, "bpr": 0.3, "seconds": 1.0, "recall@20": 0.2},
]
ROWS = pd.DataFrame(
    {
        "case": ["a", "a", "b", "b"],
        "seed": [0, 1, 0, 1],
        "recall@20": [0.1, 0.2, 0.5, 0.3],
    }
)


def lines_of(axes) -> list[tuple[list[float], list[float]]]:
    return [tuple(np.asarray(d).tolist() for d in line.get_data())
            for line in axes.get_lines()]  # fmt: skip


def test_a_history_has_a_panel_a_column() -> None:
    figure = plot_history(HISTORY)
    assert [axes.get_title() for axes in figure.axes] == ["recall@20", "bpr"]
    metric, loss = figure.axes
    assert lines_of(metric) == [([2.0, 4.0], [0.1, 0.2])]
    assert lines_of(loss) == [([1.0, 2.0, 3.0, 4.0], [0.7, 0.5, 0.4, 0.3])]


def test_a_cell_that_returns_a_figure_shows_it() -> None:
    """IPython draws matplotlib's own figures only once pyplot is imported."""
    picture = plot_history(HISTORY)._repr_png_()
    assert picture.startswith(b"\x89PNG")


def test_histories_of_several_share_the_panels() -> None:
    other = [{**row, "bpr": 2 * row["bpr"]} for row in HISTORY[:2]]
    figure = plot_history({"one": HISTORY, "two": other}, ["bpr"])
    (axes,) = figure.axes
    assert [len(x) for x, _ in lines_of(axes)] == [4, 2]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["one", "two"]
    colors = {line.get_color() for line in axes.get_lines()}
    assert len(colors) == 2


def test_a_history_says_what_it_lacks() -> None:
    with pytest.raises(MMRecError, match="nothing was trained"):
        plot_history([])
    with pytest.raises(MMRecError, match="did you mean 'recall@20'"):
        plot_history(HISTORY, ["recal@20"])


def test_a_comparison_has_every_run_and_its_mean() -> None:
    (axes,) = plot_comparison(ROWS).axes
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a", "b"]
    mean, _, _ = axes.containers[0]
    assert mean.get_xdata() == pytest.approx([0.15, 0.4])
    runs = next(line for line in axes.get_lines() if line.get_label() == "a seed")
    assert runs.get_xdata().tolist() == [0.1, 0.2, 0.5, 0.3]
    assert runs.get_ydata().tolist() == [0, 0, 1, 1]
    with pytest.raises(MMRecError, match="did you mean 'recall@20'"):
        plot_comparison(ROWS, "recall@2")


def test_a_comparison_of_users_shows_intervals_and_ties() -> None:
    random = np.random.default_rng(0)
    low, high = random.random(400), random.random(400)
    values = {"low": low, "high": 0.5 + high, "same": 0.5 + high}
    users = {n: pd.DataFrame({"recall@20": x}) for n, x in values.items()}
    (axes,) = plot_comparison(users).axes
    assert [t.get_text() for t in axes.get_yticklabels()] == ["low", "high", "same"]
    drawn_as = {bar.get_label(): bar[0].get_ydata().tolist() for bar in axes.containers}
    assert drawn_as == {
        "best": [2], "tie with the best": [1], "worse than the best": [0]
    }  # fmt: skip
    for bar in axes.containers:
        (start, end), *_ = bar[2][0].get_segments()
        assert start[0] < bar[0].get_xdata()[0] < end[0]
    with pytest.raises(MMRecError, match="did you mean 'recall@20'"):
        plot_comparison(users, "recall@2")
    with pytest.raises(MMRecError, match="no runs"):
        plot_comparison({})


@pytest.fixture(scope="module")
def done():
    data = Synthetic(num_users=50, num_items=40)
    return run(data, "vbpr", epochs=6, eval_every=2, dim=8, progress=False)


def test_a_run_is_drawn_as_what_it_holds(done) -> None:
    told = done.result.history
    figure = plot_history(done)
    lines = [[x for x, _ in lines_of(axes)] for axes in figure.axes]
    assert lines == [[x for x, _ in lines_of(axes)] for axes in plot_history(told).axes]
    table = modality_contribution(done.model, done.data)
    assert table_of(done).equals(table)
    (axes,) = plot_contribution({"a": done, "b": table}).axes
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a", "b"]
    wide = sum(bar.get_width() for bars in axes.containers for bar in bars[:1])
    assert wide == pytest.approx(100 * (1 - table.loc["missed", "share"]))
    with pytest.raises(MMRecError, match="no method with branches"):
        plot_contribution({})
    (axes,) = plot_embeddings(done).axes
    assert sum(len(c.get_offsets()) for c in axes.collections) == 40
    assert {c.get_label() for c in axes.collections} <= {
        "head items", "tail items", "cold items"
    }  # fmt: skip


def test_many_panels_are_drawn_in_lines() -> None:
    rows = [{"epoch": e, **{f"l{i}": 1.0 for i in range(6)}} for e in (1.0, 2.0)]
    figure = plot_history(rows)
    assert [axes.get_title() for axes in figure.axes] == [f"l{i}" for i in range(6)]
    wide, high = figure.get_size_inches()
    assert wide == pytest.approx(4 * 3.1)
    assert high == pytest.approx(2 * 2.7)


def test_popularity_falls_and_adds_up() -> None:
    data = make_graph()
    ranks, shares = plot_popularity(data).axes
    edges = train_edges(data)
    for line, row in zip(ranks.get_lines(), edges, strict=True):
        degrees = np.asarray(line.get_ydata())
        assert (np.diff(degrees) <= 0).all()
        assert degrees.sum() == row.numel()
    held = np.asarray(shares.get_lines()[0].get_ydata())
    assert held[-1] == pytest.approx(100)


def test_a_density_goes_round_and_is_one_in_all() -> None:
    random = np.random.default_rng(0)
    cloud = random.normal(size=(200, 2)) * 0.3 + (-1.0, 0.0)  # around pi
    angles = np.linspace(-np.pi, np.pi, 1001)
    density = circle_density(cloud, angles)
    assert density[1:].mean() * 2 * np.pi == pytest.approx(1, abs=1e-2)
    assert density[0] == pytest.approx(density[-1], rel=1e-6)
    assert density[0] > 5 * density[500]
    turn = np.array([[-1.0, 0.0], [0.0, -1.0]])  # by pi
    turned = circle_density(cloud @ turn, angles)
    assert turned[500] > 5 * turned[0]


def test_densities_are_placed_together() -> None:
    rows = {"generic": torch.randn(30, 4), "unique": torch.randn(30, 4) + 5}
    axes = plot_density(rows, most=20).axes
    points = [a.collections[-1].get_offsets() for a in axes[:2]]
    assert [len(p) for p in points] == [20, 20]
    assert max(np.abs(p).max() for p in points) == pytest.approx(1)
    assert axes[0].get_xlim() == axes[1].get_xlim()
    with pytest.raises(MMRecError, match="one width"):
        plot_density({"a": torch.randn(9, 2), "b": torch.randn(9, 3)})
    with pytest.raises(MMRecError, match="'a' needs three rows"):
        plot_density({"a": torch.randn(2, 2)})


def test_a_heat_map_is_even_about_nothing() -> None:
    table = pd.DataFrame([[0.1, -0.2, 0.0], [0.0, 0.0, 0.05]], ["u", "v"], list("abc"))
    axes, bar = plot_heat(table, [(0, 0)], [(1, 2), (0, 1)], "what").axes
    assert axes.images[0].get_clim() == (-0.2, 0.2)
    assert [patch.get_xy() for patch in axes.patches] == [(-0.46, -0.46)]
    stars, rises = lines_of(axes)
    assert stars == ([2, 1], [1, 0])
    assert rises == (pytest.approx([0.28, 2.28]), pytest.approx([-0.28, 0.72]))
    assert bar.get_ylabel() == "what"


def test_contribution_leaves_missed_users_to_the_title() -> None:
    table = modality_contribution(random_model(3), make_graph(), 8)
    (axes,) = plot_contribution(table).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[-1] == "unique image"
    assert "unique audio + fusion" in labels
    assert "missed" not in labels
    missed = table.loc["missed", "users"]
    assert f"{40 - missed} of 40 users" in axes.get_title()


def test_contributions_stand_by_who_is_served_or_as_given() -> None:
    def table(share: float) -> pd.DataFrame:
        return pd.DataFrame({"share": [share, 1 - share]}, ["synergy", "missed"])

    tables = {"b": table(0.2), "c": table(0.5), "a": table(0.4)}

    def down(sort: bool) -> list[str]:
        (axes,) = plot_contribution(tables, sort).axes
        return [label.get_text() for label in axes.get_yticklabels()][::-1]

    assert down(sort=True) == ["c", "a", "b"]
    assert down(sort=False) == ["b", "c", "a"]


def test_a_map_has_a_cloud_a_kind() -> None:
    rows = {"image": torch.randn(60, 5), "text": torch.randn(20, 5)}
    (axes,) = plot_embeddings(rows, most=30).axes
    assert [len(c.get_offsets()) for c in axes.collections] == [30, 20]
    with pytest.raises(MMRecError, match="one width"):
        plot_embeddings({"a": torch.randn(9, 2), "b": torch.randn(9, 3)})
    with pytest.raises(MMRecError, match="three embeddings"):
        plot_embeddings({"a": torch.randn(2, 2)})


def test_neighbours_are_those_of_largest_weight() -> None:
    data = KNN(k=5)(make_graph())
    edge_type = knn_relation(ITEM, "image")
    source, centre = data[edge_type].edge_index
    weight = data[edge_type].edge_weight
    edges = [(float(w), int(s)) for w, s, c in zip(weight, source, centre, strict=True)
             if c == 3 and s != 3]  # fmt: skip
    want = [f"t{s}" for _, s in sorted(edges, reverse=True)[:3]]
    titles = [f"t{i}" for i in range(30)]
    assert [n.label for n in neighbours(data, edge_type, 3, titles, 3)] == want
    users = [int(u) for u, i in zip(*train_edges(data), strict=True) if i == 3]
    found = neighbours(data, INTERACTS, 3, titles, 99)
    assert [n.label for n in found] == [f"user {u}" for u in users]


def test_a_graph_has_a_panel_a_relation() -> None:
    data = KNN(k=5)(make_graph())
    figure = plot_graph(data, 3, k=4)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["users who took it", "knn_image", "knn_text"]
    only = plot_graph(data, 3, relations=[knn_relation(ITEM, "text")])
    assert [axes.get_title() for axes in only.axes] == ["knn_text"]
    with pytest.raises(MMRecError, match="items 0 to 29"):
        plot_graph(data, 30)
    with pytest.raises(MMRecError, match="no relation"):
        plot_graph(data, 3, relations=[knn_relation(ITEM, "audio")])


def test_long_titles_are_broken_and_then_cut() -> None:
    assert shortened("Star Wars (1977)") == "Star Wars (1977)"
    title = "Star Trek: The Wrath of Khan (1982)"
    assert shortened(title) == "Star Trek: The Wrath of\nKhan (1982)"
    assert shortened(title, lines=1) == "Star Trek: The Wrath …"
    assert max(map(len, shortened("word " * 99).splitlines())) <= 24


def test_an_item_without_neighbours_is_drawn_alone() -> None:
    data = KNN(k=5)(make_graph())
    store = data[knn_relation(ITEM, "text")]
    kept = store.edge_index[1] != 3
    store.edge_index, store.edge_weight = (
        store.edge_index[:, kept],
        store.edge_weight[kept],
    )
    (axes,) = plot_graph(data, 3, relations=[knn_relation(ITEM, "text")]).axes
    assert any("no neighbours" in text.get_text() for text in axes.texts)


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_pictures_are_written_whole(tmp_path, suffix) -> None:
    path = tmp_path / f"a.{suffix}"
    save(plot_history(HISTORY), path)
    assert path.stat().st_size > 1000
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_another_kind_of_picture_is_refused(tmp_path) -> None:
    with pytest.raises(MMRecError, match=r"\.png, \.pdf or \.svg"):
        save(plot_history(HISTORY), tmp_path / "a.gif")


def test_without_matplotlib_it_is_one_sentence(monkeypatch, tmp_path) -> None:
    for place in ("extras", "plots.style"):
        monkeypatch.setattr(f"pyg_mmrec.{place}.find_spec", lambda name: None)
    with pytest.raises(MMRecError, match=r"pip install 'pyg_mmrec\[plot\]'"):
        plot_history(HISTORY)
    assert not drawn(lambda: plot_history(HISTORY), tmp_path / "a.png")


def test_a_search_goes_up_in_steps() -> None:
    rows = pd.DataFrame(
        {
            "case": ["a", "a", "b"],
            "trial": [0, 1, 0],
            "best": [0.1, 0.2, 0.15],
            "spent": [2.0, 3.0, 4.0],
        }
    )
    trials, seconds = plot_search(rows).axes
    assert lines_of(trials)[0] == ([1, 2], [0.1, 0.2])
    assert lines_of(seconds)[1] == ([4.0], [0.15])
    with pytest.raises(MMRecError, match="nothing was searched"):
        plot_search(rows[:0])


def test_variants_share_their_names() -> None:
    ours = pd.Series([0.1, 0.3, 0.5], ["a", "a", "b"])
    figure = plot_variants({"ours": ours, "printed": pd.Series([0.4], ["c"])})
    left, right = figure.axes
    assert [t.get_text() for t in left.get_yticklabels()] == ["c", "b", "a"]
    x, y = lines_of(left)[0]
    assert (x, y) == (pytest.approx([0.2, 0.5]), [2, 1])
    assert lines_of(right)[0] == ([0.4], [0])
    empty = {axes: [(t.get_text(), t.get_position()[1]) for t in axes.texts]
             for axes in (left, right)}  # fmt: skip
    assert empty == {left: [("no figure", 0)],
                     right: [("no figure", 1), ("no figure", 2)]}  # fmt: skip
    with pytest.raises(MMRecError, match="no figures"):
        plot_variants({})


def test_sweeps_keep_the_order_of_the_values() -> None:
    values = pd.Series([0.3, 0.1, 0.2], [0.1, 1e-5, 0.01])
    figure = plot_sweeps(
        {"beta": values, "delta": values},
        levels={"delta": {"B": 0.25}},
        marked={"beta": 0.01},
    )
    beta, delta = figure.axes
    assert [t.get_text() for t in beta.get_xticklabels()] == ["0.1", "1e-05", "0.01"]
    assert ([2], [0.2]) in lines_of(beta)
    assert [0.25, 0.25] in [y for _, y in lines_of(delta)]
    assert len(figure.legends) == 1


def test_short_bars_of_users_fill_the_picture() -> None:
    table = pd.DataFrame(
        {"share": [0.1, 0.05, 0.85]}, ["synergy", "unique_a", "missed"]
    )
    other = pd.DataFrame({"share": [0.12, 0.88]}, ["synergy", "missed"])
    (axes,) = plot_contribution({"a": table, "b": other}).axes
    assert axes.get_xlim() == pytest.approx((0, 1.05 * 15))
    nothing = pd.DataFrame({"share": [0.0, 1.0]}, ["synergy", "missed"])
    (axes,) = plot_contribution({"a": nothing}).axes
    assert axes.get_xlim() == (0, 100)


def test_no_two_kinds_of_users_look_alike_in_grey() -> None:
    names = ("text", "image", "audio", "genre")
    kinds = [f"unique_{m}{end}" for end in ("", "_fused") for m in names]
    kinds += ["synergy", "redundant", "degradation", "partial", "partial_fused"]
    table = pd.DataFrame({"share": 1 / 14}, [*kinds, "missed"])
    (axes,) = plot_contribution({"a": table}).axes
    assert axes.get_xlim() == (0, 100)
    assert len({bar.get_facecolor() for bar in axes.patches}) == 13
    greys: dict[str, list[float]] = {}
    for bar in axes.patches:
        grey = np.array(bar.get_facecolor()[:3]) @ (0.299, 0.587, 0.114)
        greys.setdefault(bar.get_hatch() or "", []).append(grey)
    assert [len(of_hatch) for of_hatch in greys.values()] == [2, 2, 2, 2, 5]
    for of_hatch in greys.values():
        assert np.diff(sorted(of_hatch)).min() > 0.12


def test_a_kind_of_users_looks_the_same_in_every_picture() -> None:
    alone = looks(["unique_image", "synergy", "unique_image_fused"])
    beside = looks(["unique_audio", "unique_genre", "unique_text", *alone])
    assert {kind: beside[kind] for kind in alone} == alone
    many = looks([f"unique_m{i}" for i in range(7)])  # some fall on one hatch
    assert len({look.hatch for look in many.values()}) == 7
    assert len(looks([f"unique_m{i}" for i in range(9)])) == 9
