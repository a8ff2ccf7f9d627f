"""Nothing said that was said before, or is asked for by nobody."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silenced(warned: bool = True) -> Iterator[None]:
    """Within it the package tells nothing but errors.

    Args:
        warned: Whether warnings are left out as well.
    """
    logger = logging.getLogger("pyg_mmrec")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            if warned:
                warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
