"""Add items that were not there in training to a finished run."""

from __future__ import annotations

from pyg_mmrec.config import Parser
from pyg_mmrec.experiments.adding import add_items


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("run", metavar="RUN", help="folder of a finished run")
    add(
        "--features", required=True, metavar="DIR",
        help="folder of the items: items.csv with their titles, images/<item id>.jpg, "
        "..., which are encoded as the run's were; or features, <modality>.parquet "
        "(.csv, .tsv) or <modality>_feat.npy with <modality>_ids.txt",
    )  # fmt: skip
    add(
        "--output", required=True, metavar="DIR",
        help="folder for the run with them; the run's own with --overwrite",
    )  # fmt: skip
    add(
        "--overwrite", action="store_true",
        help="remove the run in the output folder first, if there is one",
    )  # fmt: skip
    args = parser.parse_args()
    index = add_items(args.run, args.features, args.output, args.overwrite)
    count = 0 if index.added is None else index.added.count
    print(f"{args.output}: {len(index.item_ids):,} items, {count:,} of them added")
