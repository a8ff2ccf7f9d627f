"""Plant what modalities tell alone or only together, and measure what methods keep.

First, preferences follow what one modality alone tells: methods that separate the
modalities are set beside one backbone with and without an alignment of them. Second,
preferences follow what only both modalities together tell: the fusion of BR-MRS is
set beside its branches.
"""

from __future__ import annotations

from pyg_mmrec import guard

if __name__ == "__main__":
    guard.begin()  # what is imported below takes seconds

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import cross_val_predict
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.commands.cli import add_seeds
from pyg_mmrec.commands.guarded import guarded
from pyg_mmrec.commands.splitting import add_split, split_of
from pyg_mmrec.config import Parser
from pyg_mmrec.datasets import Synthetic
from pyg_mmrec.evaluation.contribution import modality_contribution, model_branches
from pyg_mmrec.evaluation.evaluator import Evaluator
from pyg_mmrec.experiments.assembly import build
from pyg_mmrec.experiments.comparison import tabulate, write
from pyg_mmrec.methods import Recommender
from pyg_mmrec.objectives import InfoNCE, Term
from pyg_mmrec.training.scoring import Result

UNIQUE: dict[str, Any] = {
    "num_users": 1000, "num_items": 1500, "degree": 10.0,
    "shared": 0.0, "unique": {"image": 1.0, "text": 0.0},
}  # fmt: skip
# Denser: no feature tells of a synergy, so that interactions have to.
SYNERGY: dict[str, Any] = {
    "num_users": 1000, "num_items": 500, "degree": 40.0,
    "shared": 0.0, "unique": 0.0, "synergy": 1.0,
}  # fmt: skip
# By the paper's formulas, without what its authors' code adds.
PAPER: dict[str, dict[str, Any]] = {"sand": {"ego": False, "shared": True}}
# Method, what is switched off, and the weight of an alignment of whole channels.
KEEPERS: dict[str, tuple[str, list[str], float]] = {
    "backbone (SAND w/o all)": ("sand", ["all"], 0.0),
    "backbone + InfoNCE .01": ("sand", ["all"], 0.01),
    "backbone + InfoNCE .1": ("sand", ["all"], 0.1),
    "backbone + InfoNCE 1": ("sand", ["all"], 1.0),
    "REARM": ("rearm", [], 0.0),
    "SAND": ("sand", [], 0.0),
    "MDE": ("mde", [], 0.0),
    "BR-MRS": ("br_mrs", [], 0.0),
}


def train(
    dataset: Synthetic, method: str, ablate: list[str], align: float, **options: Any
) -> tuple[Recommender, HeteroData, Result]:
    """Train a method, with an alignment of its modalities' channels if asked."""
    options = {**PAPER.get(method, {}), **options}
    terms = [Term("alignment", InfoNCE(tau=0.2), align)] if align else []
    trainer = build(dataset, method, ablate=ablate, terms=terms, **options)
    return trainer.model, trainer.data, trainer.fit()


def explained(rows: Tensor, latent: Tensor) -> float:
    """Share of a latent's variance that a linear map of rows predicts, unseen."""
    x, y = rows.numpy(), latent.numpy()
    predicted = cross_val_predict(RidgeCV(np.logspace(-3, 3, 7)), x, y, cv=5)
    return float(1 - ((y - predicted) ** 2).sum() / ((y - y.mean(0)) ** 2).sum())


def keeping(dataset: Synthetic, **options: Any) -> Iterator[dict[str, Any]]:
    """What methods keep of the one modality that preferences follow."""
    latent = dataset.latents["item"]["unique_image"]
    for name, (method, ablate, align) in KEEPERS.items():
        model, data, result = train(dataset, method, ablate, align, **options)
        branch = model_branches(model, data)["image"].item
        yield {
            "case": name,
            **result.test,
            "kept by branch": explained(branch, latent),
            "kept by fusion": explained(model.rows(data).item, latent),
            "best epoch": result.best_epoch,
        }


def fusing(dataset: Synthetic, **options: Any) -> Iterator[dict[str, Any]]:
    """The fusion of BR-MRS, with and without its terms, beside its branches."""
    for name, ablate in {"BR-MRS": [], "BR-MRS w/o terms": ["terms"]}.items():
        model, data, result = train(dataset, "br_mrs", ablate, 0.0, **options)
        evaluate = Evaluator(data, "test", ks=(20,))
        branches = {
            m: evaluate(rows)["recall@20"]
            for m, rows in model_branches(model, data).items()
        }
        served = modality_contribution(model, data)["share"]
        yield {
            "case": name,
            **result.test,
            **{f"recall@20 {m}": value for m, value in branches.items()},
            "served by fusion only": served["synergy"],
            "best epoch": result.best_epoch,
        }


STUDIES = {"unique": (UNIQUE, keeping), "synergy": (SYNERGY, fusing)}


def read(argv: list[str]) -> argparse.Namespace:
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add(
        "--study", nargs="+", choices=list(STUDIES), default=list(STUDIES),
        help="(default: both)",
    )  # fmt: skip
    add_seeds(parser, [0, 1, 2, 3, 4])
    add("--epochs", type=int, default=60, metavar="N", help="at most (default: 60)")
    add("--patience", type=int, default=10, metavar="N", help="(default: 10)")
    add(
        "--output", default="runs/planted", metavar="DIR", help="(default: %(default)s)"
    )
    add_split(parser, k_core=False)  # latents are those of all users and items
    return parser.parse_args(argv)


def main() -> None:
    args = read(sys.argv[1:])
    options = {
        "epochs": args.epochs, "patience": args.patience, "batch_size": 256,
        "progress": False,
    }  # fmt: skip
    for name in args.study:
        planted, study = STUDIES[name]
        rows = []
        for seed in args.seeds:
            dataset = Synthetic(**planted, seed=seed, split=split_of(args))
            for row in study(dataset, seed=seed, **options):
                rows.append({"seed": seed, **row})
                print(f"{row['case']} seed {seed}: {row['recall@20']:.4f}", flush=True)
        table = pd.DataFrame(rows)
        shown = [c for c in table if c not in ("case", "seed", "best epoch")]
        shown = [c for c in shown if "@" not in c or c.startswith("recall@20")]
        print(write(Path(args.output), name, table, tabulate(table, shown)))


if __name__ == "__main__":
    guarded(main, left="nothing is left of the data")
