"""Show what is in a data set, or in a finished run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from pyg_mmrec.commands.cli import open_dataset, parse
from pyg_mmrec.config import Parser
from pyg_mmrec.datasets import Dataset
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.outputs import CONFIG, RESULT, read_json
from pyg_mmrec.graph import INTERACTS, ITEM, USER, train_edges

USAGE = "DATASET [options of the data set], or RUN"


def describe_data(dataset: Dataset) -> Iterator[str]:
    """Counts, sparsity, degrees and coverage, a line each."""
    yield str(dataset)
    data = dataset[0]
    store, edges = data[INTERACTS], train_edges(data)
    held_out = (store.val_label_index, store.test_label_index)
    total = sum(part.size(1) for part in (edges, *held_out))
    cells = int(data[USER].num_nodes) * int(data[ITEM].num_nodes)
    yield f"sparsity: {1 - total / cells:.4%} of {cells:,} pairs are not there"
    for row, (node, name) in enumerate({USER: "a user", ITEM: "an item"}.items()):
        degree = torch.bincount(edges[row], minlength=int(data[node].num_nodes))
        low, middle, high = (
            int(degree.float().quantile(q, interpolation="nearest"))
            for q in (0.05, 0.5, 0.95)
        )
        yield (
            f"train interactions of {name}: mean {degree.float().mean():.1f}, median "
            f"{middle}, 5 % below {low}, 5 % above {high}, most {int(degree.max())}, "
            f"none for {int((degree == 0).sum())}"
        )


def describe_run(folder: Path) -> Iterator[str]:
    """Method, data, options, best epoch and metrics, a line each."""
    told = read_json(folder / CONFIG)
    yield f"{told.get('method')} on {told.get('dataset')}, seed {told.get('seed')}"
    for part in ("plugs", "ablate", "modalities", "config", "train_config", "origins"):
        if told.get(part):
            yield f"{part}: {told[part]}"
    if not (folder / RESULT).exists():
        yield "not finished: continue it with --resume"
        return
    result = read_json(folder / RESULT)
    yield f"best epoch: {result.get('best_epoch')} of {result.get('epochs')}"
    for part in ("valid", "test"):
        figures = result.get(part, {}).items()
        yield f"{part}: {', '.join(f'{k} {v:.4f}' for k, v in figures)}"


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    argv = sys.argv[1:]
    if argv and (Path(argv[0]) / CONFIG).exists():
        print("\n".join(describe_run(Path(argv[0]))))
        return
    if argv[:1] in (["-h"], ["--help"]):
        argv = ["movielens", *argv]
    if not argv or argv[0].startswith("-"):
        raise MMRecError(f"name a data set or a run: pyg-mmrec inspect {USAGE}")

    def add_own(parser: Parser) -> None:
        parser.usage, parser.description = f"%(prog)s {USAGE}", __doc__
        parser.add_argument("data", metavar="DATASET", help="or folder of a run")

    args = parse(argv[0], argv, method="popularity", extend=add_own)
    print("\n".join(describe_data(open_dataset(args.data, args))))
