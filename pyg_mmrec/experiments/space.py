"""What a search for hyper-parameters chooses from, as it is written in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeGuard, get_args, get_type_hints

from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.experiments.assembly import configure
from pyg_mmrec.methods import get
from pyg_mmrec.training.trainer import TrainConfig

if TYPE_CHECKING:
    import optuna

# What is measured and how, not how to learn: a search over these would choose luck,
# a leak, or another measure.
NOT_TUNED = {
    "candidates", "device", "epochs", "eval_every", "exclude", "ks", "metrics",
    "monitor", "patience", "progress", "seed", "track",
}  # fmt: skip

Value = bool | int | float | str | None


@dataclass(frozen=True)
class Dimension:
    """The values that one option may take.

    Args:
        name: Name of the option.
        choices: The values; or
        low: The least of a range,
        high: its greatest,
        log: and whether it is drawn on a logarithmic scale.
    """

    name: str
    choices: tuple[Value, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False

    @property
    def samples(self) -> tuple[Value, ...]:
        """Values that have to be valid for all to be: the choices, or both ends."""
        return self.choices or (self.low, self.high)

    def suggest(self, trial: optuna.Trial) -> Value:
        """A value for a trial."""
        if self.choices:
            return trial.suggest_categorical(self.name, self.choices)
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(self.name, self.low, self.high, log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)


def read_dimension(text: str, hint: Any = None) -> Dimension:
    """Read ``name=low:high``, ``name=low:high:log`` or ``name=a,b,c``.

    Args:
        text: What was given.
        hint: Type of the option; a range of whole numbers is one of ``float`` where
            it says so.

    Raises:
        MMRecError: If it reads as none of these.
    """
    name, equals, values = text.partition("=")
    name = name.strip().replace("-", "_")
    if ":" not in values:
        choices = tuple(_value(word) for word in values.split(",") if word)
        if not (equals and name) or len(set(map(repr, choices))) < 2:
            raise _malformed(text)
        return Dimension(name, choices)
    low, high, *rest = map(_value, values.split(":"))
    if rest not in ([], ["log"]) or not (_is_number(low) and _is_number(high)):
        raise _malformed(text)
    if float in (hint, *get_args(hint)):
        low, high = float(low), float(high)
    if not low < high or (rest and low <= 0):
        raise MMRecError(
            f"the range {text!r} needs its lower end first, and above 0 if it is "
            f"logarithmic"
        )
    return Dimension(name, low=low, high=high, log=bool(rest))


def _malformed(text: str) -> MMRecError:
    return MMRecError(
        f"the space {text!r} cannot be read: give it as NAME=LOW:HIGH, "
        f"NAME=LOW:HIGH:log or NAME=A,B with at least two values"
    )


def _value(word: str) -> Value:
    """The number, truth value or nothing that a word spells, else the word."""
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return {"true": True, "false": False, "none": None}.get(word.lower(), word)


def _is_number(value: Any) -> TypeGuard[float]:
    finite = isinstance(value, (int, float)) and abs(value) < float("inf")
    return finite and not isinstance(value, bool)


def read_space(
    words: Iterable[str],
    method: str,
    dataset: str,
    overrides: Mapping[str, Any],
    ablate: Iterable[str] = (),
) -> list[Dimension]:
    """Read a search space, and check each of its values as an option.

    Args:
        words: Its dimensions, see :func:`read_dimension`.
        method: Name of the method.
        dataset: Name of the data set.
        overrides: Options that stay as they are.
        ablate: Parts of the method that are switched off.

    Raises:
        MMRecError: For an option that is unknown, fixed, given twice or not to be
            tuned, and for a value that it does not take.
    """
    cls = get(method)
    hints = {**get_type_hints(TrainConfig), **get_type_hints(cls.Config)}
    known = {f.name for c in (TrainConfig, cls.Config) for f in fields(c)} - NOT_TUNED
    space: dict[str, Dimension] = {}
    for word in words:
        name = word.partition("=")[0].strip().replace("-", "_")
        dimension = read_dimension(word, hints.get(name))
        if name in NOT_TUNED:
            raise MMRecError(f"{name!r} is not to be tuned: set it with --{name}")
        if name not in known:
            raise unknown(f"option of {method}", name, known)
        if name in space or name in overrides:
            raise MMRecError(
                f"{name!r} is given twice: as one dimension of the space, or as an "
                f"option that stays as it is"
            )
        for value in dimension.samples:
            configure(method, dataset, {**overrides, name: value}, ablate)
        space[name] = dimension
    if not space:
        raise MMRecError(
            "there is nothing to tune: give a --space, as lr=1e-4:1e-2:log"
        )
    return list(space.values())
