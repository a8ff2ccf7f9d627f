"""Search hyper-parameters on validation; --help explains every option."""

from pyg_mmrec import guard

if __name__ == "__main__":
    guard.begin()  # what is imported below takes seconds

from pyg_mmrec.commands.guarded import AGAIN, guarded
from pyg_mmrec.commands.tune import main

if __name__ == "__main__":
    guarded(main, left=AGAIN)
