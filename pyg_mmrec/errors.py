"""The one exception for what a user can put right, and the nearest-match hint."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_MOST_LISTED = 20  # with a near match, a longer list would bury it


class MMRecError(ValueError):
    """Input that cannot be used: data, an option, a checkpoint.

    The message is one sentence that names the thing, what was found, what was
    expected and the remedy. Scripts print it and leave with exit code 2.
    """


class DivergedError(MMRecError):
    """A loss became NaN or infinite: these options do not train."""


def unknown(kind: str, name: str, choices: Iterable[str]) -> MMRecError:
    """Error for a name that is not among ``choices``, with the nearest match.

    Args:
        kind: What is named, as it reads in a sentence, e.g. ``"method"``.
        name: What was given.
        choices: What would have been accepted.

    Returns:
        The error, ready to be raised.
    """
    choices = sorted(choices)
    by_lower = {choice.lower(): choice for choice in choices}
    near = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    hint = f"did you mean {by_lower[near[0]]!r}? " if near else ""
    if near and len(choices) > _MOST_LISTED:
        return MMRecError(f"unknown {kind} {name!r}: {hint.strip()}")
    return MMRecError(
        f"unknown {kind} {name!r}: {hint}choose one of {', '.join(choices)}"
    )


def positive(name: str, value: float) -> float:
    """The value of an option that has to be above 0.

    Raises:
        MMRecError: If it is not.
    """
    if value <= 0:
        raise MMRecError(f"{name!r} needs to be above 0 (got {value})")
    return value


def spelled(option: str) -> str:
    """An option as it is written on the command line and in Python."""
    return f"--{option.replace('_', '-')} (in Python: {option}=...)"
