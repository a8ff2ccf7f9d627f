"""Evaluate the lists of another system, on our split and by our protocol.

The file has a row per user and recommended item: user, item, and score (the higher the
better) or rank, by the ids of the data. Of each list what the user has in train is left
out, and whatever is no candidate, as in our own rankings.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from pyg_mmrec.commands.cli import open_dataset, parse_data, table
from pyg_mmrec.config import Parser, a_word, from_dict
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.evaluation.candidates import suited_candidates
from pyg_mmrec.evaluation.evaluator import Evaluator
from pyg_mmrec.evaluation.metrics import USUAL
from pyg_mmrec.evaluation.scores import read_scores
from pyg_mmrec.evaluation.slices import EVERYTHING, slice_lines, slices_to_json
from pyg_mmrec.experiments.outputs import write_json
from pyg_mmrec.graph import LABELS
from pyg_mmrec.training.config import TrainConfig
from pyg_mmrec.training.scoring import Result

USAGE = "DATASET --scores FILE [--part test|val] [options of the data set]"
logger = logging.getLogger(__name__)


def add_own(parser: Parser) -> None:
    """Add the command's own options."""
    parser.usage, parser.description = f"%(prog)s {USAGE}", __doc__
    add = parser.add_argument
    add("data", metavar="DATASET", help="name of a data set, or a folder")
    add(
        "--scores", type=a_word(), required=True, metavar="FILE",
        help="CSV, TSV or Parquet: user, item, score[, rank]",
    )  # fmt: skip
    add(
        "--part", type=a_word(*LABELS), default="test", metavar="{test,val}",
        help="what was held out",
    )  # fmt: skip
    parser.tell("output", "folder for evaluation.json (default: none is written)")


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    argv = sys.argv[1:]
    if argv[:1] in (["-h"], ["--help"]):
        argv = ["movielens", *argv]
    if not argv or argv[0].startswith("-"):
        raise MMRecError(f"name a data set: pyg-mmrec evaluate {USAGE}")
    args = parse_data(argv, add_own, used=["ks", "metrics", "candidates", "output"])
    config = from_dict(TrainConfig, args.overrides)
    dataset = open_dataset(args.data, args)
    data, lists = dataset[0], read_scores(args.scores, dataset)
    candidates = config.candidates or suited_candidates(data)
    evaluate = Evaluator(
        data, args.part, config.ks, (*USUAL, *config.metrics), candidates=candidates
    )
    lists.warn_of_gaps(evaluate.users, max(config.ks))
    logger.info(
        "%s items are ranked for %d users of %r",
        *(candidates, evaluate.num_users, args.part),
    )
    slices = slices_to_json(evaluate.by_slice(lists))
    figures = {name: v for name, v in slices[EVERYTHING].items() if name != "users"}
    if not any(v for name, v in figures.items() if name.startswith("recall@")):
        logger.info(
            "none of %s's lists holds anything that was held out: lists that leave it "
            "out, as those of export do, are no lists to judge",
            args.scores,
        )
    valid, test = (figures if args.part == part else {} for part in ("val", "test"))
    result = Result(0, valid, test, [], 0.0, 0, [], {})
    print(table({Path(args.scores).stem[:12]: result}))
    print("\n".join(slice_lines(slices)))
    if args.output is not None:
        path = Path(args.output) / "evaluation.json"
        write_json(path, {"part": args.part, "candidates": candidates, **slices})
        print(f"wrote {path}")
