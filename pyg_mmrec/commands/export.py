"""Export the best items of all users, or the embeddings, of a finished run."""

from __future__ import annotations

from pyg_mmrec.commands.recommend import index_of
from pyg_mmrec.config import Parser, number
from pyg_mmrec.errors import MMRecError


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("run", metavar="RUN", help="folder of a finished run, or its checkpoint")
    add(
        "path", metavar="PATH",
        help="a .csv or .parquet file; a folder for --embeddings will do too",
    )  # fmt: skip
    add("--embeddings", action="store_true", help="embeddings in place of best items")
    add(
        "-k", type=number(int, min=1, max=1_000_000), default=None, metavar="N",
        help="items for each user (default: 10)",
    )  # fmt: skip
    args = parser.parse_args()
    if args.embeddings and args.k is not None:
        raise MMRecError("-k is of the best items, not of --embeddings: leave it out")
    index = index_of(args.run)
    if args.embeddings:
        index.export_embeddings(args.path)
    else:
        index.export_topk(args.path, k=args.k or 10)
    print(f"written: {args.path}")
