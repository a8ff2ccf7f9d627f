"""A method with each part off in turn; --help explains every option."""

from pyg_mmrec import guard

if __name__ == "__main__":
    guard.begin()  # what is imported below takes seconds

from pyg_mmrec.commands.ablate import main
from pyg_mmrec.commands.guarded import AGAIN, guarded

if __name__ == "__main__":
    guarded(main, left=AGAIN)
