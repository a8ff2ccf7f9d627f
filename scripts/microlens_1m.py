"""Train a method on microlens-1m; --help explains every option."""

from pyg_mmrec import guard

if __name__ == "__main__":
    guard.begin()  # what is imported below takes seconds

from pyg_mmrec.commands.cli import main
from pyg_mmrec.commands.guarded import guarded

if __name__ == "__main__":
    guarded(lambda: main("microlens-1m"), several=True)
