"""While a script's modules are imported; this one imports nothing heavy."""

from __future__ import annotations

import os
import signal
import warnings
from typing import Any


def begin() -> None:
    """Until :func:`end`, answer Ctrl-C with one line and exit code 130.

    An exception would not do: it is shown as a traceback out of whatever module is
    being imported, or swallowed there. Nothing is held yet that would need closing.
    Where Ctrl-C is ignored, as in the background of a shell, it stays so.

    What torch-geometric does that newer versions of PyTorch advise against is no news
    for whoever runs a script.
    """
    warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated")
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def end() -> None:
    """From here on Ctrl-C raises ``KeyboardInterrupt`` again."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(*_: Any) -> None:
    os.write(2, b"\nstopped before it began\n")
    os._exit(130)
