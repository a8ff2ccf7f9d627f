"""``pyg-mmrec COMMAND``, or ``python -m pyg_mmrec COMMAND``."""

from __future__ import annotations

import sys
from importlib import import_module

from pyg_mmrec import __version__, guard

# Module of each command, and what it does.
COMMANDS = {
    "encode": ("encode", "features of the texts, pictures and sounds in a folder"),
    "make": ("make", "planted data as large as one likes, to try things on"),
    "train": ("train", "train a method on a data set and evaluate it"),
    "compare": ("compare", "several methods over several seeds, one table"),
    "ablate": ("ablate", "a method with each of its parts switched off"),
    "tune": ("tune", "search for hyper-parameters on validation"),
    "record": ("record", "keep the figures of finished runs, and write their tables"),
    "refit": ("refit", "a finished run once more, on everything that is known"),
    "evaluate": ("evaluate", "lists of another system, by the same protocol"),
    "recommend": ("recommend", "items for users, known or new, by a finished run"),
    "add-items": ("add_items", "items that were not there in training, to a run"),
    "update": ("update", "go on with more interactions, users and items"),
    "explore": ("explore", "a run in a browser: who gets what, and why"),
    "report": ("report", "runs as one file of HTML, to read and to send"),
    "serve": ("serve", "recommendations of a run by HTTP"),
    "export": ("export", "best items of all users, or embeddings, of a run"),
    "inspect": ("inspect", "what is in a data set, or in a run"),
    "new-users": ("new_users", "users left out of training, beside them trained"),
    "benchmark": ("benchmark", "seconds and memory, beside other implementations"),
    "parity": ("parity", "a method beside its authors' code, part by part"),
    "check": ("check", "hold a method of your own to what every one keeps"),
    "list": ("methods", "the methods, with their papers"),
}


def usage() -> str:
    """What ``--help`` prints."""
    lines = [f"  {name:<11}{text}" for name, (_, text) in COMMANDS.items()]
    head = "usage: pyg-mmrec COMMAND ...\n\nMultimodal recommendation; commands:"
    tail = "pyg-mmrec COMMAND --help explains a command."
    return "\n".join([head, *lines, "", tail])


def main() -> None:
    """Carry out the command that the process's arguments name."""
    guard.begin()  # what is imported below takes seconds
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        print(usage(), file=sys.stdout if words else sys.stderr)
        sys.exit(0 if words else 2)
    if words[0] == "--version":
        print(f"pyg_mmrec {__version__}")
        return
    if words[0] not in COMMANDS:
        from pyg_mmrec.errors import unknown

        print(f"pyg-mmrec: {unknown('command', words[0], COMMANDS)}", file=sys.stderr)
        sys.exit(2)
    sys.argv = [f"pyg-mmrec {words[0]}", *words[1:]]  # as errors and help name it
    from pyg_mmrec.commands.guarded import NOTHING, guarded

    command = import_module(f"pyg_mmrec.commands.{COMMANDS[words[0]][0]}")
    left = getattr(command, "LEFT", NOTHING)
    guarded(command.main, several=words[0] == "train", left=left)


if __name__ == "__main__":
    main()
