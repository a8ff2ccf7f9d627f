"""Write a folder of planted data, as large as one likes.

Users and items follow power laws, and what users take follows the features: to see how
long, and in how much memory, this machine would take for data that are not there yet.
The folder is read as one of your own: pyg-mmrec train FOLDER METHOD.
"""

from __future__ import annotations

from pyg_mmrec.config import Parser, add_arguments, from_dict
from pyg_mmrec.datasets.planted import Planted


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    parser = Parser(description=__doc__)
    parser.add_argument("folder", metavar="FOLDER", help="a folder that is not there")
    add_arguments(parser, Planted, "what is in it")
    args = vars(parser.parse_args())
    folder = args.pop("folder")
    planted = from_dict(Planted, args)
    planted.write(folder)
    print(
        f"{planted.interactions:,} interactions of {planted.num_users:,} users and "
        f"{planted.num_items:,} items in {folder}: pyg-mmrec train {folder} METHOD"
    )
