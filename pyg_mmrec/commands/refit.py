"""Train a finished run once more on everything, for the epochs validation chose.

What comes of it is for use: it has no validation or test figures of its own.
"""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from pyg_mmrec.commands.guarded import RESUMED
from pyg_mmrec.config import Parser, a_word
from pyg_mmrec.experiments.refit import refit
from pyg_mmrec.graph import train_edges

LEFT = RESUMED


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("run", metavar="RUN", help="folder of a finished run")
    add("--output", type=a_word(), required=True, metavar="DIR", help="where to")
    add("--resume", action="store_true", help="continue from the checkpoint there")
    add("--overwrite", action="store_true", help="remove the run there first")
    add("--device", default=None, help="auto, cpu, cuda or cuda:N (default: the run's)")
    add("--no-progress", action="store_true", help="tell of few epochs")
    args = parser.parse_args()
    options = {} if args.device is None else {"device": args.device}
    if args.no_progress:
        options["progress"] = False
    done = refit(
        args.run,
        output=Path(args.output),
        resume=args.resume,
        overwrite=args.overwrite,
        **options,
    )
    print(
        f"trained on all {train_edges(done.data).size(1):,} interactions for "
        f"{len(done.result.history)} epochs, as validation chose in {args.run}; what "
        f"to expect are the figures there\n"
        f"now: pyg-mmrec recommend {quote(args.output)} USER"
    )
