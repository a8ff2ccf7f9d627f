"""Every kind of split from the command line: trained, resumed, refused, opened."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from pyg_mmrec.commands import benchmark, parity
from pyg_mmrec.datasets import load
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.loading import load_run
from pyg_mmrec.experiments.records import key, record_of
from pyg_mmrec.graph import INTERACTS, train_edges
from pyg_mmrec.methods import get
from pyg_mmrec.transforms.split import METHODS

ROOT = Path(__file__).parents[1]
SMALL = "--dim 4 --batch-size 64 --no-progress --device cpu"


@pytest.fixture
def timed(folder) -> Path:
    """The folder with a time for each interaction, and its interactions split."""
    table = pd.read_csv(folder / "interactions.csv")
    generator = torch.Generator().manual_seed(0)
    table["time"] = torch.randperm(len(table), generator=generator)
    table["split"] = [0, 0, 0, 0, 0, 0, 1, 2] * 30
    table.to_csv(folder / "interactions.csv", index=False)
    return folder


def sizes(data) -> tuple[int, int, int]:
    store = data[INTERACTS]
    parts = (train_edges(data), store.val_label_index, store.test_label_index)
    return tuple(part.size(1) for part in parts)


@pytest.mark.parametrize("method", METHODS)
def test_each_kind_is_trained_resumed_refused_and_opened(
    method, timed, command, tmp_path
) -> None:
    line = f"train {timed} bpr --split {method} --output {tmp_path}/out {SMALL}"
    for more in ("--epochs 1", "--epochs 2 --resume"):
        code, _, stderr = command(f"{line} {more}")
        assert code == 0, stderr
    told = json.loads((tmp_path / "out/config.json").read_text())
    assert told["source"]["arguments"]["split"] == {"method": method}
    other = METHODS[METHODS.index(method) - 1]
    before = (tmp_path / "out/checkpoint.pt").read_bytes()
    code, _, stderr = command(
        f"{line} --epochs 2 --resume".replace(f"--split {method}", f"--split {other}")
    )
    assert code == 2
    assert f"the split: method {method} then, method {other} now" in stderr
    assert (tmp_path / "out/checkpoint.pt").read_bytes() == before
    done = load_run(tmp_path / "out")
    assert len(done.result.history) == 2
    wanted = load("custom", timed, split=method)[0]
    assert sizes(done.data) == sizes(wanted)
    assert sum(sizes(wanted)) == 240
    code, stdout, stderr = command(f"recommend {tmp_path}/out u1 -k 3")
    assert code == 0, stderr
    assert len(stdout.splitlines()) == 4


def test_another_draw_of_a_split(timed, command, tmp_path) -> None:
    """Which items are cold is drawn by a seed of its own."""
    line = f"train {timed} random --split cold {SMALL.removeprefix('--dim 4')}"
    cold, told = {}, {}
    for words in ("", "--split-seed 0", "--split-seed 1", "--seed 1"):
        out = tmp_path / (words.replace(" ", "") or "none")
        code, _, stderr = command(f"{line} {words} --output {out}")
        assert code == 0, stderr
        cold[words] = (
            load_run(out).data[INTERACTS].test_label_index[1].unique().tolist()
        )
        told[words] = record_of(out, get("random"))
    assert cold[""] == cold["--split-seed 0"] == cold["--seed 1"]
    assert cold["--split-seed 1"] != cold[""]
    record = told["--split-seed 1"]
    assert record["split"] == {"method": "cold", "seed": 1}
    assert "--split cold --split-seed 1" in record["command"]
    assert key(record) != key(told[""])
    code, _, stderr = command(line.replace("cold", "time") + " --split-seed 1")
    assert code == 2
    assert "leave it (--split-seed) out" in stderr


def test_ratios_and_a_core(timed, command, tmp_path) -> None:
    out = tmp_path / "out"
    line = f"train {timed} bpr --epochs 1 {SMALL} --output {out} --overwrite"
    shares = "--ratios .5 .25 .25"
    for words, held_out in ((f"{shares} --split time", 60), ("--k-core 5", None)):
        code, _, stderr = command(f"{line} {words}")
        assert code == 0, stderr
        found = sizes(load_run(out).data)
        assert found[1:] == (held_out, held_out) or held_out is None
    told = json.loads((out / "config.json").read_text())
    assert told["source"]["arguments"]["split"] == {"k_core": 5}
    code, _, stderr = command(f"{line} --split leave-one-out {shares}")
    assert code == 2
    assert "leave --ratios" in stderr
    # The split of the files is one as well.
    assert command(line)[0] == 0
    code, _, stderr = command(
        f"{line} --split random --resume".replace("--overwrite", "")
    )
    assert code == 2
    assert "the split: that of the files then, method random now" in stderr


def test_a_study_tells_its_split(timed, command, tmp_path) -> None:
    out = f"--output {tmp_path}/tune"
    split = "--split leave-one-out --k-core 2"
    code, stdout, stderr = command(
        f"tune bpr custom --root {timed} --space lr=0.01,0.1 --trials 1 {split} "
        f"--epochs 1 {SMALL} {out}"
    )
    assert code == 0, stderr
    assert split in stdout  # of the command that trains with what was found


def test_benchmark_and_parity_split(timed) -> None:
    words = ["--root", str(timed), "--split", "global-time"]
    wanted = sizes(load("custom", timed, split="global-time")[0])
    args = benchmark.read(["--data", "custom", *words])
    assert sizes(benchmark.open_data(args)[0]) == wanted
    drawn = benchmark.read(["--users", "20", "--items", "40", "--split", "cold"])
    data = benchmark.open_data(drawn)[0]
    assert not set(train_edges(data)[1].tolist()) & set(
        data[INTERACTS].test_label_index[1].tolist()
    )
    source = ["bpr", "--source", str(timed)]
    args = parity.read([*source, "--data", "custom", *words])
    assert sizes(parity.graph_of("bpr", args))[1:] == wanted[1:]
    with pytest.raises(MMRecError, match="name it in --data"):
        parity.read([*source, "--split", "time"])


def test_planted_data_is_split(monkeypatch, tmp_path) -> None:
    place = ROOT / "scripts/planted.py"
    spec = importlib.util.spec_from_file_location("planted", place)
    planted = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(planted)
    seen = []

    def study(data, **_):
        seen.append(data)
        return [{"case": "any", "recall@20": 0.5, "best epoch": 1}]

    options = {"num_users": 20, "num_items": 40}
    monkeypatch.setitem(planted.STUDIES, "unique", (options, study))
    line = "planted.py --study unique --seeds 0 --split leave-one-out"
    monkeypatch.setattr(sys, "argv", [*line.split(), "--output", str(tmp_path)])
    planted.main()
    assert sizes(seen[0][0])[1:] == (20, 20)
    with pytest.raises(SystemExit):  # latents are those of all users and items
        planted.read(["--k-core", "5"])
