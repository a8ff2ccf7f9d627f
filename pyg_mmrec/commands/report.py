"""Write finished runs as one file of HTML, to be read without a network.

A folder of compare stands for all its runs; they have to be of the same data and split.
"""

from __future__ import annotations

from pathlib import Path

from pyg_mmrec.config import Parser
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.report.page import write_report


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    parser = Parser(description=__doc__)
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="folder of a finished run, "
        "or of compare",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, default=Path("report.html"), metavar="FILE",
        help="the file to write (default: report.html)",
    )  # fmt: skip
    args = parser.parse_args()
    if args.output.suffix != ".html" or args.output.is_dir():
        raise MMRecError(f"a report is a file that ends in .html (got {args.output})")
    for line in write_report(args.runs, args.output):
        print(f"left out: {line}")
    print(f"wrote {args.output} ({args.output.stat().st_size / 1e6:.1f} MB)")
