"""A script's main function, from whose errors a user gets one sentence."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyg_mmrec import guard
from pyg_mmrec.devices import keep_freed_memory
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.parallel.processes import refuse_several

RESUMED = (
    "the last finished epoch is in the checkpoint of the output folder: run the same "
    "command with --resume to continue"
)
"""What is left of a training that is stopped."""
AGAIN = "what is finished is kept: the same command goes on from there"
"""What is left of a command that trains several."""
NOTHING = "nothing is written before the end"
"""What is left of a command that says nothing else of itself."""


def guarded(
    main: Callable[[], Any], several: bool = False, left: str = RESUMED
) -> None:
    """Run a script's main function; what a user can put right is one sentence.

    Leaves with exit code 2 for such an error, 130 for Ctrl-C, and 141, as a shell has
    it, where whoever read the output has gone.

    Args:
        main: The function.
        several: Whether it can be carried out by several processes together.
        left: What a user is told of that Ctrl-C leaves, if anything.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # a line a font's table
    warnings.showwarning = _one_line_warning
    keep_freed_memory()
    try:
        guard.end()
        if not several:
            refuse_several(Path(sys.argv[0]).name)
        main()
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left is written at the end: to nobody, not to a closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except MMRecError as error:
        if not error.told:
            print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"\nstopped{'; ' if left else ''}{left}", file=sys.stderr)
        sys.exit(130)


def _one_line_warning(
    message: Warning | str, category: type[Warning], *_: Any, **__: Any
) -> None:
    # PyTorch's own notes about its internals are not for the user of a script.
    text = str(message)
    if "Triggered internally" not in text and issubclass(category, UserWarning):
        print(f"note: {text}", file=sys.stderr)
