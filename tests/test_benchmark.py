"""The benchmark, and what may not get slower: by ratios and counts, never by times."""

from __future__ import annotations

import itertools
import math
import random
import re
import runpy
import time
import warnings
import wave
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from pyg_mmrec import adjacency as adjacency_module
from pyg_mmrec.benchmark import (
    Case,
    Row,
    Settings,
    encoders,
    layouts,
    peer,
    peer_models,
    report,
    side_by_side,
    timing,
)
from pyg_mmrec.benchmark import drawn as drawing
from pyg_mmrec.benchmark import epochs as epoch_rows
from pyg_mmrec.benchmark import growth as growing
from pyg_mmrec.benchmark.epochs import chosen, make_trainer
from pyg_mmrec.benchmark.evaluation import dense_metrics
from pyg_mmrec.benchmark.first_steps import PHASES, Stopwatch, Training
from pyg_mmrec.benchmark.floors import Work, counted, measure
from pyg_mmrec.benchmark.graphs import co_occurring, dense_neighbours, users_of_items
from pyg_mmrec.benchmark.memory import peak_bytes
from pyg_mmrec.benchmark.negatives import draw_in_loop, taken_items
from pyg_mmrec.benchmark.propagation import (
    check_equal,
    embedding,
    forward_backward,
    forwards,
    moved_bytes,
    normalized,
)
from pyg_mmrec.benchmark.ways import NONE, ways_table
from pyg_mmrec.commands import benchmark
from pyg_mmrec.datasets import Folder, Synthetic
from pyg_mmrec.datasets.planted import Planted
from pyg_mmrec.embeddings import Branch
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.evaluation.evaluator import METRICS, Evaluator
from pyg_mmrec.graph import INTERACTS, interaction_graph, knn_relation, train_edges
from pyg_mmrec.methods import get
from pyg_mmrec.nn import Propagate
from pyg_mmrec.parity import toolbox
from pyg_mmrec.transforms import KNN, CoOccurrence

from .conftest import make_graph
from .test_cli import ROOT, assert_one_sentence, in_process, script

CPU = torch.device("cpu")
QUICK = Settings(repeats=2, steps=4)
PARTS = ["propagation", "epochs", "negatives", "graphs", "evaluation", "growth"]
TINY = ["--users", "60", "--items", "40", "--methods", "lightgcn", "freedom",
        "--edges", "1000", "2000", "--hops", "3-2", "--repeats", "1", "--steps", "2",
        "--ways", "plain", "amp", "--device", "cpu"]  # fmt: skip


@pytest.fixture
def dataset(tmp_path) -> Synthetic:
    return Synthetic(200, 60, degree=10, root=tmp_path)


def trained(dataset, method="lightgcn", **options) -> Training:
    trainer = make_trainer(dataset, method, QUICK, batch_size=256, **options)
    return Training(trainer, QUICK.steps)


def test_the_whole_benchmark(tmp_path) -> None:
    kept = tmp_path / "kept.md"
    done = script("benchmark", *TINY, "--output", str(tmp_path), "--record", str(kept))
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "benchmark.csv")
    assert list(table["part"].unique()) == PARTS
    assert (table["ratio"] > 0).all()
    assert table["device"].str.contains("threads").all()
    assert "freedom, amp" in set(table["case"])
    assert (table["seconds_min"] <= table["seconds"]).all()
    assert (table["seconds"] <= table["seconds_max"]).all()
    text = (tmp_path / "benchmark.md").read_text()
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == PARTS
    assert "torch" in text.splitlines()[0]
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
    growth = table[table["part"] == "growth"]
    assert growth["ratio"].iloc[0] == 1
    ways = {case.split(",")[0] for case in growth["case"]}
    once = {"write", "read", "open", "open again", "co-occurrence"}
    trained = {"lightgcn", "lightgcn 3-2"}
    assert once | trained | {f"build: {way}" for way in trained} <= ways
    steps = growth[growth["case"].str.split(",").str[0].isin(trained)]
    assert steps["note"].str.contains("a step").all()
    assert "![kept](kept.png)" in kept.read_text()
    assert (tmp_path / "kept.png").read_bytes().startswith(b"\x89PNG")
    assert kept.read_text().startswith("# Kept\n\n```bash\npython scripts/benchmark.py")
    assert "; commit " in kept.read_text()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--only", "propagatoin"], "did you mean 'propagation'"),
        (["--methods", "sand:distence=l2"], "did you mean '--distance'"),
        (["--peer", "nowhere"], "nowhere is no checkout of MMRec"),
    ],
)
def test_a_mistake_is_one_sentence(args, words, tmp_path) -> None:
    done = in_process("benchmark", *args, "--output", str(tmp_path))
    assert_one_sentence(done, words)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--data", "babby"], "did you mean 'baby'"),
        (["--methods", "lihgtgcn"], "did you mean 'lightgcn'"),
        (["--growth-methods", "lihgtgcn"], "did you mean 'lightgcn'"),
        (["--only", "peer"], "needs a checkout of MMRec"),
        (["--repeats", "0"], "'repeats' needs to be at least 1"),
        (["--threads", "0"], "'threads' needs to be at least 1"),
        (["--edges", "3"], "'edges' needs to be at least"),
        (["--hops", "10-x"], "'hops' needs neighbours for each hop"),
        (["--hops", "10-0"], "'hops' needs neighbours for each hop"),
        (["--whole-to", "5e4"], "10000000 interactions are more than whole graphs"),
        (["--beside", "nowhere.csv"], "no file nowhere.csv"),
        (["--encoders", "image=clipp"], "did you mean 'clip'"),
        (["--encoders", "smell=clip"], "unknown kind of encoder 'smell'"),
        (["--encoders", "clip"], "KIND=NAME, as in text=tfidf .got 'clip'"),
        (["--device", "tpuu"], "unknown device 'tpuu'"),
    ],
)
def test_a_mistake_is_found_before_any_work(args, words) -> None:
    read = benchmark.read
    with pytest.raises(MMRecError, match=words):
        read(args)


def test_growth_leaves_whole_graphs_out_where_they_are_too_large(tmp_path) -> None:
    rows = list(growing.measure(QUICK, [1000, 2000], hops=["2-2"], whole_to=1500))
    large = {row.case for row in rows if "2000" in row.case}
    assert "lightgcn 2-2, 2000 interactions" in large
    assert not large & {
        f"{n}, 2000 interactions" for n in ("lightgcn", "co-occurrence")
    }
    assert "lightgcn, 1000 interactions" in {row.case for row in rows}


def test_a_record_tells_the_rows_that_were_written(tmp_path) -> None:
    rows = [
        Row(
            "growth", "bpr, 1000 interactions", 0.0123, 0.01, 0.02, 1.0, 45.6e6, "a | b"
        ),
        Row("growth", "bpr, 10000 interactions", 7.5, 7.0, 8.0, 610.0, math.nan, ""),
    ]
    report.record(tmp_path / "x.md", rows, "here", ["python", "x.py"], first="| a |")
    table = benchmark.check_rows(tmp_path / "x.md")
    assert table["case"].tolist() == [row.case for row in rows]
    assert table["part"].tolist() == ["growth", "growth"]
    assert table["seconds"].tolist() == [0.0123, 7.5]
    assert table["bytes"].tolist()[0] == 45.6e6
    assert math.isnan(table["bytes"].tolist()[1])
    (tmp_path / "y.md").write_text("# Nothing\n")
    with pytest.raises(MMRecError, match="y.md has no figures of a benchmark"):
        benchmark.check_rows(tmp_path / "y.md")


def test_rows_of_another_run_are_drawn_beside(tmp_path) -> None:
    rows = [Row("growth", f"open, {n} interactions", n, n, n, 1, n) for n in (10, 20)]
    report.save(tmp_path, rows, "")
    other = benchmark.check_rows(tmp_path / "benchmark.csv")
    benchmark.draw(
        [Row("growth", "open, 30 interactions", 3, 3, 3, 1, 3)],
        [other],
        tmp_path / "growth.png",
    )
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
    table = pd.concat([other, report.frame(rows)], ignore_index=True)
    assert growing.curves(table)["open"]["edges"].tolist() == [10, 20]


def test_growth_of_one_size_has_whole_axes() -> None:
    """A line as long as one point, off by rounding, left an axis no width at all."""
    size = 100_000_000
    value = next(v for v in np.arange(6.41, 7, 1e-5) if v * size / size != v)
    rows = [Row("growth", f"{way}, {size} interactions", value, value, value, 1, 1e9)
            for way in ("open again", "lightgcn")]  # fmt: skip
    panels = growing.plot_growth(report.frame(rows)).axes
    for axes in panels:
        (line,) = axes.get_lines()
        low, high = axes.get_ylim()
        assert high / low > 2
        assert axes.get_xlabel() == "interactions"
        assert len(line.get_xdata()) == 1
    more = [*rows, replace(rows[0], case=f"open again, {10 * size} interactions")]
    last = growing.plot_growth(report.frame(more)).axes[-1]
    assert "dotted" in last.get_xlabel()


def test_cases_are_timed_in_turn() -> None:
    calls: list[str] = []
    cases = [Case(name, lambda name=name: calls.append(name)) for name in "ab"]
    rows = side_by_side("p", cases, QUICK)
    assert "".join(calls) == "aabbabab"  # warm-up and memory, then in turn
    assert rows[0].ratio == 1


def test_a_subset_is_extrapolated(monkeypatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(timing, "now", lambda device: float(next(ticks)))
    cases = [Case("whole", lambda: None), Case("a tenth", lambda: None, times=10)]
    whole, tenth = side_by_side("p", cases, QUICK)
    assert (whole.seconds, tenth.seconds, tenth.ratio) == (1, 10, 10)


def test_peak_memory_of_a_call() -> None:
    size = 10_000_000
    peak = peak_bytes(lambda: torch.ones(size).sum(), CPU)
    if not math.isnan(peak):  # where the system tells it
        assert 0.9 * size < peak / 4 < 1.5 * size


# Epochs


@pytest.mark.parametrize("method", ["lightgcn", "freedom"])
def test_phases_add_up_to_the_step(dataset, method) -> None:
    training = trained(dataset, method)
    shares = []
    for _ in range(5):
        timed = training()
        assert set(timed.phases) == set(PHASES)
        shares.append(sum(timed.phases.values()) / timed.step)
    assert max(shares) <= 1  # phases do not overlap
    assert max(shares) > 0.7  # in at least one step that nothing interrupted


def test_an_epoch_is_extrapolated_from_its_first_steps(dataset) -> None:
    training = trained(dataset)
    timed = training()
    assert timed.length == len(training.sampler) > QUICK.steps
    rest = timed.epoch - timed.start - timed.first
    assert rest == pytest.approx(timed.step * (timed.length - 1))


def test_a_stopwatch_changes_no_result(dataset) -> None:
    plain, watched = trained(dataset).trainer, trained(dataset).trainer
    watched.phase = Stopwatch(CPU)
    rows = []
    for trainer in (plain, watched):
        rows.append(trainer.train_epoch(1, Training(trainer, 1).sampler))
    assert rows[0]["bpr"] == rows[1]["bpr"]
    for a, b in zip(plain.model.parameters(), watched.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_phases_are_labels_of_the_profiler(dataset) -> None:
    training = trained(dataset)
    with torch.profiler.profile() as profile:
        training.whole_epoch()
    names = {event.key for event in profile.key_averages()}
    assert names >= set(PHASES)


def test_a_variant_has_its_options(dataset) -> None:
    trainer = trained(dataset, "lightgcn:num_layers=1").trainer
    assert trainer.model.config.num_layers == 1


def test_only_methods_that_train_are_measured(graph) -> None:
    assert "popularity" not in chosen(None, graph)
    assert "vbpr" not in chosen(None, make_graph(modalities=()))
    with pytest.raises(MMRecError, match="'popularity' has nothing to train"):
        chosen(["popularity"], graph)
    with pytest.raises(MMRecError, match="reads item features"):
        chosen(["vbpr"], make_graph(modalities=()))


def test_what_cannot_be_trained_in_a_way_is_left_out(dataset, monkeypatch) -> None:
    made, make = [], epoch_rows.assemble

    def limited(method, *args, **options):
        made.append(method)
        if method == "vbpr":
            raise torch.cuda.OutOfMemoryError("tried to allocate 3.14 GiB")
        return make(method, *args, **options)

    monkeypatch.setattr(epoch_rows, "assemble", limited)
    settings = replace(QUICK, repeats=1, steps=2)
    methods = ["bpr", "vbpr", "lightgcn"]
    rows = epoch_rows.measure(dataset, settings, methods, ["plain", "graphs"])
    found = [next(rows)]
    assert set(made) == {"bpr"}  # the others come once this one is done
    found += rows
    left = {row.case: row.note for row in found if row.left_out}
    assert left.keys() == {"bpr, graphs", "vbpr", "vbpr, graphs", "lightgcn, graphs"}
    assert "'cuda_graphs' cannot be" in left["bpr, graphs"]
    assert left["vbpr"] == "out of memory"
    assert {"bpr", "lightgcn"} <= {row.case for row in found if not row.left_out}


def test_drawn_graphs_go_on_after_what_cannot_be(monkeypatch) -> None:
    def short(data, method, *rest):
        if method == "freedom":
            raise torch.cuda.OutOfMemoryError("tried to allocate 3.14 GiB")
        yield Row("drawn", f"{method}, 1000 interactions", 1, 1, 1, 1)

    monkeypatch.setattr(drawing, "_trained", short)
    rows = list(drawing.measure(QUICK, [1000], ["freedom", "lightgcn"]))
    assert [row.left_out for row in rows] == [True, False]


def test_all_methods_stand_for_those_that_train(graph) -> None:
    names = chosen(["sand:distance=l2", "bpr", "all"], graph)
    assert names[:2] == ["sand:distance=l2", "bpr"]
    assert sorted(names[1:]) == chosen(None, graph)


def test_sized_data_are_as_large_as_the_papers(monkeypatch) -> None:
    monkeypatch.setitem(benchmark.SIZES, "baby", (300, 80, 3000))
    data = benchmark.open_data(benchmark.read(["--data", "baby-sized"]))
    assert (data.num_users, data.num_items, data.name) == (300, 80, "baby")
    widths = {m: data[0]["item"][f"x_{m}"].size(1) for m in data.modalities}
    assert widths == benchmark.WIDTHS
    args = ["--data", "baby-sized", "--feature-dim", "3"]
    assert benchmark.open_data(benchmark.read(args))[0]["item"].x_text.size(1) == 3


# Ways beside the paper


def epoch_row(case: str, seconds: float, size: float = math.nan, note="") -> Row:
    figures = (seconds, seconds, seconds, seconds)
    return Row("epochs", case, *figures, size, note, "a GPU", "baby-sized")


WAYS_ROWS = [
    epoch_row("lightgcn", 2.0, 1.5e9, "from 8 of 60 steps, batches of 7; 9 parameters"),
    epoch_row("lightgcn: step", 0.010),
    epoch_row("lightgcn: kernels", 0.004),
    epoch_row("lightgcn, amp", 1.8, 1e9),
    epoch_row("lightgcn, amp: step", 0.009),
    epoch_row("lightgcn, graphs", 0.5, 1e9),
    epoch_row("sand:align=solosim:distance=mi", 4.0, 3e9),
    epoch_row("sand:align=solosim:distance=mi, graphs", math.nan, note="a step of "
              "'sand' cannot be a CUDA graph"),
    epoch_row("mgcn", 3.0, 2e9),
    epoch_row("mgcn, graphs", math.nan, note="a step of 'mgcn' cannot be a CUDA graph"),
]  # fmt: skip


def test_ways_of_a_method_are_a_line_beside_the_paper() -> None:
    again = epoch_row("lightgcn", 99.0)
    text = ways_table(report.frame([*WAYS_ROWS, again]), "baby")
    lines = [line.strip("| ").split(" | ") for line in text.splitlines()]
    assert lines[0][:5] == ["method", "plain, s", "amp, s", "graphs, s",
                            "plain / graphs"]  # fmt: skip
    assert lines[2] == ["`lightgcn`", "2", "1.8", "0.5", "4", "4", "60 %", "1.5",
                        "1.81", "1.69", "from 8 of 60 steps, batches of 7"]  # fmt: skip
    assert lines[3][1:10] == ["4", *[NONE] * 5, "3", "16", "3.42"]
    assert lines[4][8:10] == [NONE, NONE]
    reason = ("- without graphs: `sand:align=solosim:distance=mi`, `mgcn`: a step "
              "cannot be a CUDA graph")  # fmt: skip
    assert text.splitlines()[-1] == reason
    assert "1.81" not in ways_table(report.frame(WAYS_ROWS), "synthetic")


def test_ways_are_of_epochs() -> None:
    with pytest.raises(MMRecError, match="no row of the part 'epochs'"):
        ways_table(report.frame([]), "baby")


def test_the_record_of_a_gpu_is_made_of_pieces(tmp_path) -> None:
    drawn = replace(epoch_row("lightgcn, 1000 interactions", 1.0), part="drawn")
    report.save(tmp_path / "a", WAYS_ROWS[:6], "a GPU; torch 3")
    report.save(tmp_path / "b", WAYS_ROWS[6:], "a GPU; torch 3")
    report.save(tmp_path / "c", [replace(drawn, data="")], "a GPU; torch 4")
    record = tmp_path / "gpu.md"
    args = ["--parts", "record", "--output", str(tmp_path), "--record", str(record)]
    done = in_process("gpu", *args)
    assert done.returncode == 0, done.stderr
    text = record.read_text()
    assert "a GPU; torch 3; a GPU; torch 4; commit" in text
    assert "## baby-sized, a GPU\n\n| method | plain, s |" in text
    assert text.index("| `mgcn` |") < text.index("## drawn") < text.index("1000 inter")
    assert "nan" not in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("", "steps are timed on data, each named once"),
        ("5000 --double", "--epochs are of --equal"),
        ("5000 --planted 9 9", "--epochs are of --equal"),
        ("--equal --graphs", "leave out --equal and --methods"),
        ("5000 --graphs --methods bpr", "leave out --equal and --methods"),
        ("5000 --graphs", "there is one: start it by torchrun"),
    ],
)
def test_what_several_processes_are_timed_at_is_refused_of_one(words, sentence) -> None:
    done = in_process("parallel", *words.split())
    assert_one_sentence(done, sentence)


PAGES = sorted((ROOT / "scripts/results").glob("*.md"))


def test_pages_are_of_commits_that_one_can_go_back_to() -> None:
    told = {
        page.name: re.findall(r"; commit (\S+)$", page.read_text(), re.M)
        for page in PAGES
    }
    assert sum(map(bool, told.values())) > 10
    clean = re.compile("[0-9a-f]{10}")
    changed = {n for n, of in told.items() if not all(map(clean.fullmatch, of))}
    assert changed == set()


@pytest.mark.parametrize("at", ["1" * 40, "1" * 40 + "-dirty", None])
def test_a_record_of_a_changed_checkout_is_warned_of(at, monkeypatch) -> None:
    monkeypatch.setattr(report, "commit", lambda: at)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert [report.begun(path) for path in (None, "scale.md")] == [at, at]
    told = [str(each.message) for each in caught]
    assert len(told) == bool(at and at.endswith("-dirty"))
    assert all("what scale.md will tell: commit them" in text for text in told)


def test_no_pieces_are_no_record(tmp_path) -> None:
    args = ["--parts", "record", "--output", str(tmp_path / "none"),
            "--record", str(tmp_path / "gpu.md")]  # fmt: skip
    assert_one_sentence(in_process("gpu", *args), "has no folder with a benchmark.csv")
    (tmp_path / "none" / "a").mkdir(parents=True)
    (tmp_path / "none" / "a" / "benchmark.csv").write_text("part,case\nepochs,bpr\n")
    assert_one_sentence(in_process("gpu", *args), "has no column 'seconds'")
    assert not (tmp_path / "gpu.md").exists()


def test_a_gpu_that_is_there_for_a_while(tmp_path) -> None:
    report.save(tmp_path / "a", WAYS_ROWS, "a GPU; torch 3")
    args = ["--parts", "epochs", "record", "--data", "baby-sized", "--seconds", "1e-3",
            "--device", "cpu", "--output", str(tmp_path),
            "--record", str(tmp_path / "gpu.md")]  # fmt: skip
    done = in_process("gpu", *args)
    assert done.returncode == "these pieces ended before their end: baby-sized"
    assert "`lightgcn`" in (tmp_path / "gpu.md").read_text()
    assert not (tmp_path / "baby-sized").exists()


def test_pieces_of_a_gpus_record() -> None:
    gpu = runpy.run_path(str(ROOT / "scripts" / "gpu.py"))
    words = ["--data", "baby-sized", "sports", "--compiled", "bpr", "--device", "cpu"]
    found = gpu["pieces"](gpu["parse"]().parse_args(words))
    assert list(found) == [
        *("baby-sized", "baby-sized-compile", "sports", "sports-compile"),
        *("drawn-1000000", "drawn-10000000", "drawn-100000000"),
    ]
    for options in found.values():
        assert benchmark.read(options).settings == Settings(2, 8, CPU)
    assert "sand:align=solosim:distance=mi" in found["baby-sized"]
    assert benchmark.read(found["sports"]).methods == ["all"]
    assert benchmark.read(found["drawn-10000000"]).growth_methods == [
        "lightgcn",
        "freedom",
    ]
    assert benchmark.read(found["drawn-100000000"]).growth_methods == ["lightgcn"]


# The references compute what ours do


def test_ways_to_propagate_agree(graph) -> None:
    adj = normalized(graph, CPU)
    x = embedding(sum(adj.size), QUICK)
    ways = forwards(adj, x, 3)
    check_equal(ways, x)
    ways["PyG LGConv, edge list"] = lambda: 2 * x
    with pytest.raises(MMRecError, match="LGConv, edge list' computes something else"):
        check_equal(ways, x)


def test_moved_bytes_by_hand() -> None:
    data = interaction_graph(2, 1, torch.tensor([[0, 1], [0, 0]]))
    adj = normalized(data, CPU)
    settings = replace(QUICK, dim=8, num_layers=2)
    # 3 nodes, 4 entries, rows of 32 bytes; two layers, forward and backward
    fixed = 8 * 4 + 8 * 4 + 4 * 4 + 32 * 3
    assert moved_bytes(adj, settings, cached=False) == 4 * (fixed + 32 * 4)
    assert moved_bytes(adj, settings, cached=True) == 4 * (fixed + 32 * 3)


def test_the_loop_draws_what_was_not_taken(graph) -> None:
    edges = train_edges(graph)
    taken = taken_items(edges)
    users = edges[0].tolist()
    drawn = draw_in_loop(users, taken, range(30), random.Random(0))
    assert all(item not in taken[u] for u, item in zip(users, drawn, strict=True))


def test_dense_neighbours_are_ours(graph) -> None:
    ours = KNN(3, ["image"])(graph)[knn_relation("item", "image")].edge_index
    dense = dense_neighbours(graph["item"].x_image, 3)
    assert torch.equal(ours[0].view(-1, 3), dense)


def test_the_loop_over_pairs_finds_ours(graph) -> None:
    ours = CoOccurrence(3)(graph)["item", "co_occurs", "item"].edge_index
    users = users_of_items(graph)
    for centre, found in enumerate(co_occurring(users, 30, 3)):
        expected = ours[0, ours[1] == centre].tolist()
        # Which of equals are taken is each one's own.
        counts = [
            [len(users[centre] & users[j]) for j in js] for js in (found, expected)
        ]
        assert counts[0] == counts[1] or (not found and expected == [centre])


def test_the_loop_over_users_scores_as_ours(graph) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = Branch(*(torch.randn(n, 4, generator=generator) for n in (40, 30)))
    evaluate = Evaluator(graph, "test", ks=(1, 5), metrics=list(METRICS))
    seen = taken_items(train_edges(graph))
    truth = taken_items(graph[INTERACTS].test_label_index)
    dense = dense_metrics(rows, evaluate.users, seen, truth, ks=(1, 5))
    assert dense == pytest.approx(evaluate(rows), abs=1e-6)


def test_a_folder_of_ones_own_is_measured(tmp_path) -> None:
    Planted(2000, users=100, items=300, dim=8).write(tmp_path / "own")
    args = benchmark.read(["--data", str(tmp_path / "own"), "--only", "negatives"])
    data = benchmark.open_data(args)
    assert (data.name, data.modalities) == ("own", ["image", "text"])
    assert next(iter(benchmark.measures(args)["negatives"]())).seconds > 0


# The peer


def test_its_files_hold_the_same_data(dataset, tmp_path) -> None:
    target = tmp_path / "peer"
    target.mkdir()
    data = dataset[0]
    folder = toolbox.write_data(data, target)
    for file, name in zip(toolbox.FEATURES, ("image", "text"), strict=True):
        (folder / file).rename(folder / f"{name}_feat.npy")
    back = Folder(folder)[0]
    assert torch.equal(back["item"].x_image, data["item"].x_image)
    for key in ("edge_index", "val_label_index", "test_label_index"):
        pairs = {tuple(p) for p in data[INTERACTS][key].T.tolist()}
        assert {tuple(p) for p in back[INTERACTS][key].T.tolist()} == pairs


# A checkout in miniature, of which only what the runner calls is there.
CHECKOUT = {
    "configs/overall.yaml": "",
    "common/__init__.py": "",
    "common/abstract_recommender.py": "",
    "common/loss.py": "",
    "utils/__init__.py": "",
    "common/trainer.py": """
import matplotlib.pyplot as plt
class Trainer:
    def __init__(self, config, model):
        self.model = model
    def _train_epoch(self, batches, epoch):
        print("printed")
        assert batches == 2048
""",
    "utils/configurator.py": """
import os
class Config(dict):
    def __init__(self, model, dataset, options):
        assert os.path.isfile("configs/overall.yaml")
        assert os.path.isfile(options["data_path"] + dataset + "/graph.inter")
        super().__init__(options, device="cpu", hyper_parameters=[])
""",
    "utils/dataset.py": """
import lmdb
class RecDataset:
    def __init__(self, config): pass
    def split(self): return [self]
""",
    "utils/dataloader.py": """
class TrainDataLoader(int):
    def __new__(cls, config, train, batch_size, shuffle): return int.__new__(cls, 2048)
    def pretrain_setup(self): pass
""",
    "utils/utils.py": """
import numpy as np
import torch
class Model(torch.nn.Module):
    def __init__(self, config, batches):
        super().__init__()
        np.float(1)
    def pre_epoch_processing(self): pass
def init_seed(seed): pass
def get_model(name): return {"LightGCN": Model, "FREEDOM": Model}[name]
""",
}


@pytest.fixture
def checkout(tmp_path):
    for name, text in CHECKOUT.items():
        path = tmp_path / "mmrec" / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "mmrec"


def test_it_trains_in_turn_with_ours(dataset, checkout) -> None:
    before = sorted(checkout.rglob("*"))
    rows = list(peer.measure(dataset, QUICK, checkout, ["lightgcn", "freedom"]))
    names = [
        f"{m}, {who}" for m in ("LightGCN", "FREEDOM") for who in ("ours", "MMRec")
    ]
    assert [row.case for row in rows] == names
    assert all(row.seconds > 0 for row in rows)
    assert sorted(checkout.rglob("*")) == before


def test_both_are_timed_by_one_clock(dataset, checkout, monkeypatch) -> None:
    path = checkout / "src/common/trainer.py"
    head = "def _train_epoch(self, batches, epoch):"
    asleep = f"{head}\n        import time; time.sleep(0.5)"
    path.write_text(path.read_text().replace(head, asleep))
    for clock, least, most in (("perf_counter", 0.5, 9), ("process_time", 0, 0.4)):
        monkeypatch.setattr(timing, "_clock", getattr(time, clock))
        _, theirs = peer.measure(dataset, QUICK, checkout, ["lightgcn"])
        assert least <= theirs.seconds < most, clock


LOADER = """
class TrainDataLoader:
    def __init__(self, config, train, batch_size, shuffle):
        self.pr, self.step, self.pr_end = 0, batch_size, 100 * batch_size
    def pretrain_setup(self): pass
    def __iter__(self): return self
    def __next__(self):
        if self.pr >= self.pr_end:
            self.pr = 0
            raise StopIteration
        self.pr += self.step
        return self.pr // self.step
"""
STEPS = """
import time
class Trainer:
    def __init__(self, config, model):
        self.model = model
    def _train_epoch(self, batches, epoch):
        seen = []
        for batch in batches:
            seen.append(batch)
            time.sleep(0.5 if batch == 1 else 0.01)
        assert seen == [1, 2, 3, 4]
"""


def test_an_epoch_of_the_peer_is_told_from_its_first_steps(dataset, checkout) -> None:
    (checkout / "src/utils/dataloader.py").write_text(LOADER)
    (checkout / "src/common/trainer.py").write_text(STEPS)
    once = Settings(repeats=2, device=CPU, dim=8)
    rows = list(peer.measure(dataset, once, checkout, ["lightgcn"], steps=4))
    ours, theirs = rows
    assert 0.5 + 99 * 0.01 <= theirs.seconds < 4  # the slow first step counts once
    assert ours.seconds > 0


def test_its_options_are_those_of_our_configuration() -> None:
    for name, model in peer_models.MODELS.items():
        config = get(name).Config()
        theirs = model.of_theirs(config)
        assert set(theirs) == {*model.same, *model.fixed}
        assert all(theirs[key] == getattr(config, v) for key, v in model.same.items())


def test_methods_that_need_more_features_are_left_out() -> None:
    assert peer.fit(None, 0) == ["bpr", "lightgcn", "layergcn", "selfcf"]
    assert peer.fit(["freedom"], 1) == ["freedom"]
    with pytest.raises(MMRecError, match="FREEDOM needs 1 modalities, but .* has 0"):
        peer.fit(["freedom"], 0)
    with pytest.raises(MMRecError, match="did you mean 'freedom'"):
        peer.check_methods(["fredom"])


def test_users_of_common_items_are_written_for_it(tmp_path) -> None:
    data = make_graph(20, 8)
    toolbox.write_user_graph(data, tmp_path, k=3)
    found = np.load(tmp_path / toolbox.USER_GRAPH, allow_pickle=True).item()
    user, item = train_edges(data)
    bought = [set(item[user == u].tolist()) for u in range(20)]
    assert sorted(found) == list(range(20))
    for u, (neighbours, counts) in found.items():
        common = [len(bought[u] & bought[v]) for v in range(20)]
        assert counts == [common[v] for v in neighbours]
        common[u] = 0
        assert counts == [c for c in sorted(common, reverse=True)[:3] if c]


def test_items_that_several_took_both_are_written_for_it(tmp_path) -> None:
    data = make_graph(20, 8)
    toolbox.write_item_graph(data, tmp_path, k=3)
    found = np.load(tmp_path / toolbox.ITEM_GRAPH, allow_pickle=True).item()
    user, item = train_edges(data)
    taken = [set(user[item == i].tolist()) for i in range(8)]
    for i, (neighbours, counts) in found.items():
        common = [len(taken[i] & taken[j]) for j in range(8)]
        assert counts == [common[j] for j in neighbours]
        common[i] = 0
        assert counts == [c for c in sorted(common, reverse=True)[:3] if c > 1]


def test_its_failure_is_one_sentence(dataset, checkout) -> None:
    path = checkout / "src/utils/utils.py"
    path.write_text(path.read_text().replace("def init_seed", "def no_seed"))
    with pytest.raises(MMRecError, match="LightGCN did not run here .*init_seed"):
        next(peer.measure(dataset, QUICK, checkout, ["lightgcn"]))


def test_what_was_timed_before_a_failure_is_kept(dataset, checkout) -> None:
    path = checkout / "src/utils/utils.py"
    path.write_text(path.read_text().replace('"FREEDOM": Model', '"OTHER": Model'))
    rows = peer.measure(dataset, QUICK, checkout, ["lightgcn", "freedom"])
    assert [next(rows).case for _ in range(2)] == ["LightGCN, ours", "LightGCN, MMRec"]
    with pytest.raises(MMRecError, match="FREEDOM did not run here"):
        next(rows)


def test_layouts_compute_the_same(dataset) -> None:
    adj = normalized(make_graph(80, 50), CPU)
    x, want = embedding(sum(adj.size), QUICK).detach(), None
    for name, layout in layouts.layouts(adj):
        assert layout.order.sort().values.tolist() == list(range(sum(adj.size))), name
        found = torch.empty_like(x)
        found[layout.order] = layouts.propagate(layout, x[layout.order], 3)
        want = found if want is None else want
        assert torch.allclose(found, want, atol=0.02 if layout.half else 1e-6), name
    user, item = x.split(adj.size)
    own = torch.cat(Propagate(3).bipartite(user, item, adj))
    assert want is not None
    assert torch.allclose(want, own, atol=1e-6)


def test_layouts_are_timed_beside_the_data_sets_own(dataset) -> None:
    rows = layouts.measure(dataset, QUICK)
    assert [row.case for row in rows][:2] == ["as in the data set", "drawn at random"]
    assert rows[0].ratio == 1
    assert all(row.seconds > 0 for row in rows)
    assert "differs by" in rows[-1].note


def test_a_layout_that_computes_something_else_is_not_timed(
    dataset, monkeypatch
) -> None:
    def twice(x):
        return 2 * x

    monkeypatch.setattr(layouts, "tiled", lambda entries, count: twice)
    with pytest.raises(MMRecError, match="'in 4 tiles' computes something else"):
        layouts.measure(dataset, QUICK)


# What may not get slower


def test_propagation_is_no_slower_than_the_readable_path() -> None:
    adj = normalized(make_graph(3000, 2000), CPU)
    x = embedding(sum(adj.size), QUICK)
    ways = forwards(adj, x, 3)
    names = ["ours (cached CSR)", "ours, readable message"]
    cases = [Case(name, forward_backward(ways[name], x)) for name in names]
    rows = side_by_side("p", cases, replace(QUICK, repeats=7))
    assert rows[1].ratio > 0.7  # it is 10 to 30


def test_matrices_are_built_once_per_training(dataset, monkeypatch) -> None:
    built: list[tuple[int, int]] = []
    original = adjacency_module._entries

    def counting(row, col, weight, size):
        built.append(size)
        return original(row, col, weight, size)

    monkeypatch.setattr(adjacency_module, "_entries", counting)
    training = trained(dataset)
    for _ in range(3):
        training.whole_epoch()
    training.trainer.model.rows(training.trainer.data)
    assert sorted(built) == [(60, 200), (200, 60)]  # the matrix and its transpose


def test_evaluation_needs_less_than_all_scores() -> None:
    num_users, num_items = 4000, 4000
    data = make_graph(num_users, num_items, modalities=())
    rows = Branch(torch.randn(num_users, 8), torch.randn(num_items, 8))
    evaluate = Evaluator(data, "test")
    evaluate(rows)
    peak = peak_bytes(lambda: evaluate(rows), CPU)
    if not math.isnan(peak):
        assert peak < 0.75 * 4 * num_users * num_items


def test_work_is_counted_by_its_kind() -> None:
    graph = make_graph()
    adj = adjacency_module.adjacency(graph, INTERACTS)
    num_edges = adj.edge_index.size(1)
    x = torch.randn(adj.size[0], 16, requires_grad=True)
    with Work() as work:
        (adj.matmul(x) @ torch.ones(16, 9)).exp().view(-1).sum().backward()
    num_items = adj.size[1]
    assert work.count["sparse"] == 2 * num_edges * 16 * 4
    assert work.count["dense"] == 2 * num_items * 16 * 9
    assert work.count["exp"] == num_items * 9
    assert work.count["moved"] > 0


def test_a_method_s_floor_counts_its_last_step_alone(dataset) -> None:
    training = Training(make_trainer(dataset, "lightgcn", QUICK), 3)
    num_edges = train_edges(dataset[0]).size(1)
    config = training.trainer.model.config
    products = 2 * 2 * config.num_layers
    work = counted(training)
    assert work["sparse"] == products * num_edges * config.dim * 4
    weights = sum(p.numel() for p in training.trainer.model.parameters())
    assert work["adam"] == 7 * 4 * weights
    (found,) = measure(dataset, QUICK, ["lightgcn"])
    assert found.case == "lightgcn"
    assert found.ratio > 0
    assert "sparse" in found.note


def test_encoders_are_timed_by_the_value(tmp_path) -> None:
    rows = list(encoders.measure(QUICK, ["text=tfidf", "image=colours"]))
    assert [row.case for row in rows] == ["text=tfidf", "image=colours"]
    assert [row.note.split()[1] for row in rows] == ["512", "64"]
    assert all(0 < row.seconds < 0.5 for row in rows)
    (sound,) = encoders.drawn_values("audio", 1, tmp_path)
    with wave.open(str(sound)) as file:
        assert file.getnframes() / file.getframerate() == 10
