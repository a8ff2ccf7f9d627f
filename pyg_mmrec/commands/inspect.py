"""Show what is in a data set, or in a finished run."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from pyg_mmrec.commands.cli import open_dataset, parse_data
from pyg_mmrec.config import Parser
from pyg_mmrec.datasets import Dataset
from pyg_mmrec.datasets.about import about
from pyg_mmrec.datasets.card import data_card
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.evaluation.slices import slice_lines
from pyg_mmrec.experiments.outputs import (
    CONFIG,
    HISTORY,
    RESULT,
    read_history,
    read_json,
)
from pyg_mmrec.graph import ITEM, USER
from pyg_mmrec.training.schema import check_fields

USAGE = "DATASET [options of the data set], or RUN"
LISTED = 20
BARS = "▁▂▃▄▅▆▇█"


def describe_data(dataset: Dataset) -> Iterator[str]:
    """Counts, coverage, repetitions, sparsity and degrees, a line each."""
    yield str(dataset)
    card = data_card(dataset)
    yield (
        f"repeated: {card.repeated:,} of {card.read:,} interactions, which count once"
    )
    for modality, ids in card.unmatched.items():
        listed = ", ".join(map(str, ids[:LISTED])) + (
            ", ..." if len(ids) > LISTED else ""
        )
        yield f"{modality} features of no item: {len(ids):,}, with the ids {listed}"
    yield f"sparsity: {card.sparsity:.4%} of {card.pairs:,} pairs are not there"
    for node, name in {USER: "a user", ITEM: "an item"}.items():
        of = card.degrees[node]
        yield (
            f"train interactions of {name}: mean {of.mean:.1f}, median {of.median}, "
            f"5 % below {of.low}, 5 % above {of.high}, most {of.most}, none for "
            f"{of.none}"
        )


def describe_run(folder: Path) -> Iterator[str]:
    """Method, data, options, curve, best epoch and metrics, a line each."""
    told = read_json(folder / CONFIG)
    yield f"{told.get('method')} on {told.get('dataset')}, seed {told.get('seed')}"
    for part in ("plugs", "ablate", "modalities", "config", "train_config", "origins"):
        if told.get(part):
            yield f"{part}: {told[part]}"
    check_fields(told, {"train_config": dict}, str(folder / CONFIG))
    yield from describe_curve(folder / HISTORY, told["train_config"].get("monitor", ""))
    if not (folder / RESULT).exists():
        yield "not finished: continue it with --resume"
        return
    result = read_json(folder / RESULT)
    if told.get("refit"):
        yield f"refit: {told['refit']}"
        yield f"epochs: {result.get('epochs')}, without validation and test"
        return
    yield f"best epoch: {result.get('best_epoch')} of {result.get('epochs')}"
    for part in ("valid", "test"):
        figures = result.get(part, {}).items()
        yield f"{part}: {', '.join(f'{k} {v:.4f}' for k, v in figures)}"
    slices = result.get("slices", {})
    for part in ("valid", "test"):
        if slices.get(part):
            yield f"{part} by slice:"
            yield from (f"  {line}" for line in slice_lines(slices[part]))


def describe_curve(path: Path, monitor: str) -> Iterator[str]:
    """The monitored metric on validation over the epochs, if there were any."""
    if not path.exists():
        return
    history = read_history(path)
    curve = history[["epoch", monitor]].dropna() if monitor in history else history[:0]
    if curve.empty:
        return
    epochs, values = curve["epoch"].astype(int).tolist(), curve[monitor].tolist()
    best = max(range(len(values)), key=values.__getitem__)
    yield f"{monitor} on validation, epoch {epochs[0]} to {epochs[-1]}:"
    yield f"  {sparkline(values)}"
    yield (
        f"  first {values[0]:.4f}, best {values[best]:.4f} at epoch {epochs[best]}, "
        f"last {values[-1]:.4f}"
    )


def sparkline(values: Sequence[float], width: int = 64) -> str:
    """Numbers as bars between the least and the greatest, at most ``width`` of them.

    Where there are more numbers, a bar is the greatest of its share.
    """
    ends = [len(values) * (i + 1) // width for i in range(width)]
    if len(values) > width:
        starts = [0, *ends[:-1]]
        values = [max(values[a:b]) for a, b in zip(starts, ends, strict=True)]
    low, high = min(values), max(values)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] for value in values)


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    argv = sys.argv[1:]
    if argv and (Path(argv[0]) / CONFIG).exists():
        if len(argv) > 1:
            raise MMRecError(
                f"{argv[0]} is a run, which is shown as it was trained: leave out "
                f"{' '.join(argv[1:])}"
            )
        print("\n".join(describe_run(Path(argv[0]))))
        return
    if argv[:1] in (["-h"], ["--help"]):
        argv = ["movielens", *argv]
    if not argv or argv[0].startswith("-"):
        raise MMRecError(f"name a data set or a run: pyg-mmrec inspect {USAGE}")

    def add_own(parser: Parser) -> None:
        parser.usage, parser.description = f"%(prog)s {USAGE}", __doc__
        parser.add_argument("data", metavar="DATASET", help="or folder of a run")

    args = parse_data(argv, add_own)
    known = about(args.data)
    if known is not None:  # before the data, which may have to be got first
        print("\n".join([*known.lines(), ""]), flush=True)
    dataset = open_dataset(args.data, args, shown=False)
    print("\n".join(describe_data(dataset)))
