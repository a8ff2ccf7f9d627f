"""Lists of another system, held against the same protocol."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

from pyg_mmrec.datasets import Folder, Synthetic
from pyg_mmrec.embeddings import Branch
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.evaluation.evaluator import Evaluator
from pyg_mmrec.evaluation.scores import read_scores
from pyg_mmrec.graph import ITEM, USER


@pytest.fixture
def shop(folder) -> Folder:
    return Folder(folder)


def rows_of(data) -> Branch:
    generator = torch.Generator().manual_seed(0)
    sizes = (int(data[kind].num_nodes) for kind in (USER, ITEM))
    # Whole numbers: many equal scores.
    return Branch(*(torch.randint(-2, 3, (n, 3), generator=generator) for n in sizes))


def table_of(dataset, rows) -> pd.DataFrame:
    scores = (rows.user @ rows.item.T).numpy()
    user, item = (i.flatten() for i in np.indices(scores.shape))
    return pd.DataFrame(
        {
            "item": dataset.item_ids[item],
            "user": dataset.user_ids[user],
            "score": scores.flatten(),
        }
    ).sample(frac=1, random_state=0)


@pytest.mark.parametrize("end", [".csv", ".parquet"])
@pytest.mark.parametrize("candidates", ["all", "warm"])
def test_scores_of_all_items_rank_as_ours(shop, end, candidates, tmp_path) -> None:
    data = shop[0]
    rows = Branch(*(x.float() for x in rows_of(data)))
    path, table = tmp_path / f"theirs{end}", table_of(shop, rows)
    table.to_csv(path, index=False) if end == ".csv" else table.to_parquet(path)
    evaluate = Evaluator(data, "test", ks=(3, 10), candidates=candidates)
    assert evaluate(read_scores(path, shop)) == evaluate(rows)


def test_a_rank_counts_before_a_score(shop, tmp_path) -> None:
    users, items = shop.user_ids[[0, 0, 1]], shop.item_ids[[2, 5, 5]]
    table = pd.DataFrame({"user": users, "item": items, "score": [1, 2, 0.5]})
    for ranks, first in ((None, 5), ([1, 2, 1], 2)):
        if ranks is not None:
            table["rank"] = ranks
        table.to_csv(tmp_path / "lists.csv", index=False)
        scores = read_scores(tmp_path / "lists.csv", shop)(torch.tensor([1, 0]))
        assert scores[1].argmax() == first
        assert scores.isfinite().sum(1).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("user,item\nu1,i1", "has no score column .found: user, item.*rank from 1"),
        ("user,score\nu1,1", "has no item column"),
        ("user,item,score", "has no rows: write a table"),
        ("user,item,score\nu1,i1,x", "has the score 'x' in data row 1"),
        ("user,item,score\nu1,i1,", "has no score in data row 1"),
        ("user,item,score\nu1,i1,1\nu1,i1,2", "1 items twice, such as 'i1' to 'u1'"),
        ("user,item,score\nu1,i1,1\nu1,i99,2", "names items .* 1 of its 2, .*'i99'"),
        ("user,item,score\nU1,i1,1\nU2,i1,2", "have, 2 of its 2.*capital letters"),
    ],
)
def test_what_cannot_be_read_is_named(rows, words, shop, tmp_path) -> None:
    (tmp_path / "lists.csv").write_text(rows + "\n")
    with pytest.raises(MMRecError, match=words):
        read_scores(tmp_path / "lists.csv", shop)


def test_exported_lists_give_the_figures_of_their_run(command, tmp_path) -> None:
    """What a run recommends, taken for somebody else's, by the same split."""
    data = "synthetic --split cold"
    line = "train synthetic vbpr --split cold --epochs 2 --no-progress --device cpu"
    code, _, stderr = command(f"{line} --output {tmp_path}/run")
    assert code == 0, stderr
    result = json.loads((tmp_path / "run/result.json").read_text())
    from pyg_mmrec.serving.index import Index

    index = Index.load(tmp_path / "run/checkpoint.pt")
    path = tmp_path / "theirs.parquet"
    index.export_topk(path, k=len(index.item_ids), exclude_seen="train")
    line = f"evaluate {data} --scores {path} --metrics mrr --output {tmp_path}/told"
    code, stdout, stderr = command(line)
    assert code == 0, stderr
    head, row, _, *slices = stdout.splitlines()
    assert head.endswith("test ndcg@20")
    assert row.endswith(f" {result['test']['ndcg@20']:.4f}")
    assert any(line.startswith("cold items") for line in slices)
    assert "mrr@20" in stdout
    told = json.loads((tmp_path / "told/evaluation.json").read_text())
    assert told["candidates"] == "cold"
    assert told["all"]["ndcg@20"] == pytest.approx(result["test"]["ndcg@20"], abs=1e-6)
    cut = tmp_path / "cut.csv"
    index.export_topk(cut, k=3, users=[1, 2], exclude_seen="train")
    code, _, stderr = command(f"evaluate {data} --scores {cut} --part val")
    assert code == 0
    assert "have no list: nothing counts as found" in stderr
    assert "lists are shorter than 50" in stderr
    code, _, stderr = command(f"evaluate {data} --scores {tmp_path}/none.csv")
    assert code == 2
    assert "none.csv" in stderr


def test_lists_of_other_data_are_refused(tmp_path) -> None:
    small, large = (Synthetic(num_users=n, num_items=30) for n in (20, 50))
    table_of(large, rows_of(large[0])).to_csv(tmp_path / "large.csv", index=False)
    with pytest.raises(MMRecError, match="users that the data do not have, 30 of its"):
        read_scores(tmp_path / "large.csv", small)
