"""Go on training a finished run with more interactions, users and items."""

from __future__ import annotations

from pyg_mmrec.commands.cli import table
from pyg_mmrec.config import Parser, a_word, number
from pyg_mmrec.experiments.updating import ROLES, update

LEFT = (
    "the last finished epoch is in the checkpoint of the output folder: pyg-mmrec "
    "train --config OUTPUT/config.json --output OUTPUT --resume goes on"
)


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("run", metavar="RUN", help="folder of a finished run")
    add(
        "--interactions", required=True, metavar="FILE",
        help="new interactions: a .csv, .tsv or .parquet with columns user and item",
    )  # fmt: skip
    for role in ROLES:
        add(
            f"--{role}-column", type=a_word(), default=None, metavar="NAME",
            help=f"column of the {role} in it (default: as the run's data set has it, "
            f"or a usual name)",
        )  # fmt: skip
    add(
        "--features", default=None, metavar="DIR",
        help="folder of new items' features, as of add-items; items without any are "
        "masked",
    )  # fmt: skip
    add(
        "--min-rating", type=number(float), default=None, metavar="X",
        help="lowest rating that counts as an interaction (default: as the run's data "
        "set has it)",
    )  # fmt: skip
    add("--output", required=True, metavar="DIR", help="folder for the new run")
    add(
        "--epochs", type=number(int, min=1, max=100_000), default=10, metavar="N",
        help="how many more epochs (default: 10)",
    )  # fmt: skip
    add(
        "--overwrite", action="store_true",
        help="remove the run in the output folder first, if there is one",
    )  # fmt: skip
    add("--device", type=a_word(), default=None, metavar="NAME", help="another device")
    add("--no-progress", action="store_true", help="show no progress bar")
    args = parser.parse_args()
    more = {} if args.device is None else {"device": args.device}
    if args.no_progress:
        more["progress"] = False
    named = {role: getattr(args, f"{role}_column") for role in ROLES}
    done = update(
        args.run,
        args.interactions,
        args.output,
        items=args.features,
        epochs=args.epochs,
        min_rating=args.min_rating,
        columns={role: name for role, name in named.items() if name} or None,
        overwrite=args.overwrite,
        **more,
    )
    print(table({done.model.name: done.result}))
