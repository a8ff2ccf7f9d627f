"""The papers' figures, and the table of ablations that sets ours beside them."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.literature import published, published_ablation
from pyg_mmrec.methods import get

from .test_cli import SMALL, assert_one_sentence, in_process, script


def test_a_known_cell() -> None:
    table = published("rearm", "baby")
    cell = table[(table["method"] == "LightGCN") & (table["metric"] == "recall@20")]
    assert cell["value"].tolist() == [0.0754]
    assert set(table["dataset"]) == {"baby"}
    assert len(published()) > 1000


def test_figures_are_shares() -> None:
    table = published()
    quality = table[table["metric"].str.contains("@")]
    assert quality["value"].between(0, 1).all()


def test_unknown_paper_is_one_sentence() -> None:
    with pytest.raises(MMRecError, match="did you mean 'rearm'"):
        published("rearn")


@pytest.mark.parametrize("method", ["rearm", "mde", "br_mrs"])
def test_every_published_ablation_has_a_name_here(method) -> None:
    table = published_ablation(method)
    assert len(table) > 1
    assert set(table.index) - {"full"} <= set(get(method).ablations)


def test_a_method_without_a_table_has_none() -> None:
    assert published_ablation("lightgcn").empty


def test_ablations_are_tabulated_and_not_repeated(folder, tmp_path) -> None:
    out = tmp_path / "out"
    command = ["rearm", "custom", "--root", str(folder), "--output", str(out),
               "--ablate", "meta", "--seeds", "0", "1", *SMALL]  # fmt: skip
    done = script("ablate", *command)
    assert done.returncode == 0, done.stderr
    rows = pd.read_csv(out / "ablations.csv")
    assert rows["case"].tolist() == ["full", "full", "meta", "meta"]
    assert rows["seed"].tolist() == [0, 1, 0, 1]
    config = json.loads((out / "meta" / "seed1" / "result.json").read_text())["config"]
    assert config["meta"] is False
    assert config["seed"] == 1
    text = (out / "ablations.md").read_text()
    assert "| meta |" in text
    assert "0.1078" in text  # the paper's, on baby
    before = (out / "full" / "seed0" / "history.csv").read_text()
    assert in_process("ablate", *command).returncode == 0
    assert (out / "full" / "seed0" / "history.csv").read_text() == before


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["rearm"], ["a method and a data set"]),
        (["rearm", "tiktk"], ["did you mean 'tiktok'"]),
        (["raerm", "tiktok"], ["did you mean 'rearm'"]),
        (["bpr", "tiktok"], ["'bpr' has no ablations"]),
        (["rearm", "tiktok", "--ablate", "metta"], ["did you mean 'meta'"]),
    ],
)
def test_a_wrong_ablation_is_one_sentence(args, words) -> None:
    assert_one_sentence(in_process("ablate", *args), *words)
