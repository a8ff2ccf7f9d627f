"""The one exception for what a user can put right, and the nearest-match hint."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

_MOST_SHOWN = 60  # however many there are
_MOST_LISTED = 20  # with a near match, a longer list would bury it
_NEAR = 0.5
# What options are called elsewhere, word by word.
_ELSEWHERE = {
    "cutoff": "ks", "cutoffs": "ks", "topk": "ks",
    "embed": "dim", "embedding": "dim", "embeddings": "dim", "latent": "dim",
    "gpu": "device", "metric": "monitor", "model": "method", "models": "method",
    "optim": "optimizer", "path": "root", "stopping": "patience",
    "reg": "l2", "regularisation": "l2", "regularization": "l2",
    "temp": "tau", "temperature": "tau",
}  # fmt: skip


class MMRecError(ValueError):
    """Input that cannot be used: data, an option, a checkpoint.

    The message is one sentence that names the thing, what was found, what was
    expected and the remedy. Scripts print it and leave with exit code 2.

    Example:
        >>> import pyg_mmrec
        >>> try:
        ...     pyg_mmrec.get("freedon")
        ... except pyg_mmrec.MMRecError as error:
        ...     print(error)
        ...
        unknown method 'freedon': did you mean 'freedom'?

    Attributes:
        told: Whether another process of the same training tells it.
    """

    told: bool = False


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
    if not choices:
        return MMRecError(f"unknown {kind} {name!r}: there is none")
    near = _nearest(name, choices)
    hint = "" if near is None else f"did you mean {near!r}? "
    if near is not None and len(choices) > _MOST_LISTED:
        return MMRecError(f"unknown {kind} {name!r}: {hint.strip()}")
    shown = ", ".join(choices[:_MOST_SHOWN])
    more = len(choices) - _MOST_SHOWN
    rest = f" and {more:,} more" if more > 0 else ""
    return MMRecError(f"unknown {kind} {name!r}: {hint}choose one of {shown}{rest}")


def listed(name: str, given: Iterable[str]) -> list[str]:
    """Names as a list, but for one text, which would be taken for its letters.

    Raises:
        MMRecError: For a text.
    """
    if isinstance(given, str):
        raise MMRecError(f"{name!r} needs to be a list of names: write [{given!r}]")
    return list(given)


def _nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice that was meant, as far as letters and words tell."""
    scores = {choice: _likeness(name.lower(), choice.lower()) for choice in choices}
    best = max(scores, key=lambda choice: scores[choice], default=None)
    return best if best is not None and scores[best] >= _NEAR else None


def _likeness(name: str, choice: str) -> float:
    """How near two names are: 1 if equal, above 0.7 if one's words are the other's."""
    letters = SequenceMatcher(None, name, choice).ratio()
    given, known = (re.findall(r"[^\W_]+", text) for text in (name, choice))
    if not given or not known:
        return letters
    # lr is learning-rate, as wd is weight-decay.
    initials = ["".join(w[0] for w in ws) for ws in (given, known) if len(ws) > 1]
    if {"".join(given), "".join(known)} & set(initials):
        return 0.8
    words, other = {_ELSEWHERE.get(word, word) for word in given}, set(known)
    return 0.7 + 0.3 * letters if words <= other or other <= words else letters


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
