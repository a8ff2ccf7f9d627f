"""Compare a method with its authors' code; --help explains every option."""

from pyg_mmrec import guard

if __name__ == "__main__":
    guard.begin()  # what is imported below takes seconds

from pyg_mmrec.commands.guarded import guarded
from pyg_mmrec.commands.parity import main

if __name__ == "__main__":
    guarded(main, left="nothing is written before the end")
