"""Hold a method to what every one has to keep, on small graphs; a line per check.

Leaves with exit code 1 if it breaks one.
"""

from __future__ import annotations

import sys

from pyg_mmrec.config import Parser
from pyg_mmrec.contract import CHECKS, check
from pyg_mmrec.methods import get
from pyg_mmrec.plugins import load_module
from pyg_mmrec.quiet import silenced


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("method", metavar="METHOD", help="mine.py, mine.py:CLASS, MODULE:CLASS, a name")
    add(
        "--import", nargs="+", action="extend", default=[], metavar="MODULE",
        help="modules or files to import first",
    )  # fmt: skip
    args = parser.parse_args()
    for module in vars(args)["import"]:
        load_module(module)
    method, broken = get(args.method).name, 0
    for name, function in CHECKS.items():
        with silenced(warned=False):  # of the trainings that checks are made of
            found = check(method, name)
        broken += bool(found)
        said = found or (function.__doc__ or "").splitlines()[0].replace("``", "")
        print(f"{'FAILED' if found else 'passed'}  {name:<15} {said}", flush=True)
    print(f"{method}: {len(CHECKS) - broken} of {len(CHECKS)} passed")
    sys.exit(1 if broken else 0)
