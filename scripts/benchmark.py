"""Measure what things cost; --help explains every option."""

from pyg_mmrec import guard

if __name__ == "__main__":
    guard.begin()  # what is imported below takes seconds

from pyg_mmrec.commands.benchmark import LEFT, main
from pyg_mmrec.commands.guarded import guarded

if __name__ == "__main__":
    guarded(main, left=LEFT)
