"""Recommend items to users, by a finished run."""

from __future__ import annotations

from pathlib import Path

from pyg_mmrec.config import Parser, number
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.outputs import CHECKPOINT
from pyg_mmrec.serving.index import Index


def index_of(run: str) -> Index:
    """What recommends, from a run's folder or its checkpoint."""
    path = Path(run)
    return Index.load(path / CHECKPOINT if path.is_dir() else path)


def raw_id(index: Index, text: str) -> object:
    """A user as the data name it: ids that are numbers come as text here."""
    users = index.user_ids
    if text in users:
        return text
    by_text = {str(user): user for user in users}
    return by_text.get(text, text)


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("run", metavar="RUN", help="folder of a finished run, or its checkpoint")
    add("users", metavar="USER", nargs="+", help="raw ids of users")
    add(
        "-k", type=number(int, min=1, max=1_000_000), default=10, metavar="N",
        help="items for each (default: 10)",
    )  # fmt: skip
    args = parser.parse_args()
    index = index_of(args.run)
    users = [raw_id(index, text) for text in args.users]
    if len(set(users)) < len(users):
        raise MMRecError("a user is named twice: name each once")
    print(index.recommend(users, k=args.k).to_string(index=False))
