"""Keep the figures of finished runs, and write the tables of all that are kept.

Each run is a line of ``DATASET.jsonl`` with the command, commit, seed, device and
versions that it depends on; ``DATASET.md`` beside it is written anew from those lines.
A folder of compare that has a search keeps its page as well, as ``search-DATASET.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from pyg_mmrec.config import Parser
from pyg_mmrec.experiments.fair import keep_search
from pyg_mmrec.experiments.leaderboard import write_leaderboard
from pyg_mmrec.experiments.loading import method_of
from pyg_mmrec.experiments.outputs import CONFIG, read_json
from pyg_mmrec.experiments.records import add_records, finished_runs, record_of
from pyg_mmrec.experiments.summary import check_document, write_summaries


def record(folders: Iterable[Path], into: Path) -> list[Path]:
    """Keep the runs of folders, and write the tables of their data sets.

    Args:
        folders: Output folders of runs, or folders of such.
        into: Where records and tables lie.

    Returns:
        The tables that were written.
    """
    found = {
        folder: [
            record_of(run, method_of(read_json(run / CONFIG)))
            for run in finished_runs(folder)
        ]
        for folder in folders
    }
    kept = add_records(into, [one for records in found.values() for one in records])
    written = [write_leaderboard(path) for path in kept]
    for folder, records in found.items():
        written += keep_search(folder, into, records[0]["dataset"])
    return written


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    parser = Parser(description=__doc__)
    parser.add_argument(
        "runs", nargs="*", type=Path, metavar="RUN", help="output folder of a run, or "
        "of compare",
    )  # fmt: skip
    parser.add_argument(
        "--to", type=Path, required=True, metavar="DIR", help="where records lie"
    )
    parser.add_argument(
        "--document", nargs="+", type=Path, default=(), metavar="FILE", help="Markdown "
        "whose tables between '<!-- recorded: METHOD ... on DATASET ... by METRIC -->' "
        "and '<!-- end -->' are written from the records, too",
    )  # fmt: skip
    args = parser.parse_args(sys.argv[1:])
    if not args.runs and not args.document:
        parser.error("name runs to keep, or a --document to write")
    for path in args.document:
        check_document(path)
    written = record(args.runs, args.to)
    written += [write_summaries(path, args.to) for path in args.document]
    for path in written:
        print(f"wrote {path}")
