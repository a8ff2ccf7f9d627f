"""Options with ranges, as fields of a dataclass and as JSON."""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from numbers import Integral, Real
from reprlib import Repr
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pyg_mmrec.errors import MMRecError, unknown

C = TypeVar("C")


@dataclass(frozen=True)
class Range:
    """The numbers that an option takes; of a list or a mapping, each of its values.

    Args:
        min: The least.
        max: The greatest.
        above: All have to be greater than this.
        below: All have to be less than this.
    """

    min: float | None = None
    max: float | None = None
    above: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        return not (
            (self.min is not None and value < self.min)
            or (self.max is not None and value > self.max)
            or (self.above is not None and value <= self.above)
            or (self.below is not None and value >= self.below)
        )

    def __str__(self) -> str:
        if self.min is not None and self.max is not None:
            return f"from {self.min:,} to {self.max:,}"
        ends = {
            "at least": self.min,
            "above": self.above,
            "at most": self.max,
            "below": self.below,
        }
        return " and ".join(f"{k} {v:,}" for k, v in ends.items() if v is not None)


# Ranges that many options share. Their upper ends are far above what is of use, and
# below what would fill the memory of a large machine for a mistyped digit.
Width = Annotated[int, Range(min=1, max=16_384)]
Layers = Annotated[int, Range(min=0, max=100)]
Count = Annotated[int, Range(min=1, max=10_000)]
Share = Annotated[float, Range(min=0, max=1)]
Weight = Annotated[float, Range(min=0, max=1_000_000)]
Temperature = Annotated[float, Range(above=0, max=1_000)]
Length = Annotated[float, Range(above=0, max=1_000)]
LearningRate = Annotated[float, Range(above=0, max=100)]


def option(
    default: Any,
    help: str,
    *,
    min: float | None = None,
    max: float | None = None,
    above: float | None = None,
    below: float | None = None,
    filled: bool = False,
    check: Callable[[Any], None] | None = None,
) -> Any:
    """A dataclass field with a default and the text that ``--help`` prints.

    Its range is given here, or by its type, e.g. :data:`Share` or
    ``dict[str, Weight]``. Whatever it is, a number has to be finite.

    Args:
        default: The default.
        help: What the option is.
        min: See :class:`Range`, as are the next three.
        max: The greatest.
        above: What all are greater than.
        below: What all are less than.
        filled: Whether a list needs a value, and none twice.
        check: Raises :class:`~pyg_mmrec.errors.MMRecError` for a value that is of the
            right type and in range, and still of no use.

    Example:
        >>> from dataclasses import dataclass
        >>> from pyg_mmrec import Recommender, option
        >>> class Mine(Recommender):
        ...     @dataclass
        ...     class Config:
        ...         dim: int = option(64, "width of the embeddings", min=1)
        ...
        >>> Mine.Config(dim=32).dim
        32
        >>> Mine.Config(dim=0)
        Traceback (most recent call last):
            ...
        pyg_mmrec.errors.MMRecError: 'dim' needs to be an integer at least 1 (got 0)
    """
    metadata = {
        "help": help,
        "range": Range(min, max, above, below),
        "filled": filled,
        "check": check,
    }
    if isinstance(default, (dict, list, set)):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def checked(cls: type[C]) -> type[C]:
    """Class decorator of a dataclass: no field ever holds a value it does not take.

    That is so of ``Config(dim=0)`` as of ``config.dim = 0``. It goes above
    ``@dataclass``; the ``Config`` of a method has it without asking.
    """

    def __setattr__(self: Any, name: str, value: Any) -> None:
        object.__setattr__(self, name, check_value(type(self), name, value))

    type.__setattr__(cls, "__setattr__", __setattr__)
    return cls


def check_value(cls: Any, name: str, value: Any) -> Any:
    """The value of a configuration's field, as the field's type.

    Raises:
        MMRecError: If it is of another type, out of range, or of no use.
    """
    hints, known = _known(cls)
    if name not in known:
        raise unknown("option", str(name), known)
    metadata = known[name].metadata
    value = _checked(name, value, hints[name], metadata.get("range", Range()))
    if metadata.get("filled") and len(set(value)) < max(len(value), 1):
        raise MMRecError(
            f"{name!r} needs at least one value, and none twice (got {_short(value)})"
        )
    if metadata.get("check") is not None:
        metadata["check"](value)
    return value


def range_of(cls: Any, name: str) -> Range:
    """The range of a configuration's field; without ends if it has none."""
    hints, known = _known(cls)
    return _range(hints[name], known[name].metadata.get("range", Range()))


@functools.cache
def _known(cls: Any) -> tuple[dict[str, Any], dict[str, Field]]:
    """Types of a dataclass's fields, with their ranges, and its fields, by name."""
    return get_type_hints(cls, include_extras=True), {f.name: f for f in fields(cls)}


def to_dict(config: Any) -> dict[str, Any]:
    """Fields of a configuration as JSON values; callables by their name."""
    return {f.name: _to_json(getattr(config, f.name)) for f in fields(config)}


def _to_json(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_to_json(v) for v in value]
    if isinstance(value, Mapping):
        return {k: _to_json(v) for k, v in value.items()}
    if callable(value):
        return getattr(value, "__qualname__", repr(value))
    return value


def default_values(cls: type) -> dict[str, Any]:
    """Defaults of a configuration as JSON values, of the fields that have one."""
    known = {f.name: _default(f) for f in fields(cls)}
    return {k: _to_json(v) for k, v in known.items() if v is not MISSING}


def from_dict(cls: type[C], values: Mapping[str, Any]) -> C:
    """Build a configuration, checking the names and types of its values.

    Raises:
        MMRecError: For an unknown name (with the nearest match), a value that
            :func:`check_value` refuses, or a field without default that is not given.
    """
    kind: Any = cls
    hints, known = _known(kind)
    given = {n: check_value(cls, n, v) for n, v in values.items()}
    for name, f in known.items():
        if f.init and name not in given and _default(f) is MISSING:
            raise MMRecError(
                f"{name!r} is missing, and has no default: give it as "
                f"{_describe(hints[name])}"
            )
    return cls(**given)


def override(config: C, **values: Any) -> C:
    """A copy of a configuration with other values, checked."""
    given: Any = config
    current = {f.name: getattr(config, f.name) for f in fields(given)}
    return from_dict(type(config), {**current, **values})


def _checked(name: str, value: Any, hint: Any, within: Range) -> Any:
    """The value as the field's type, or an error that names both."""
    origin, args = get_origin(hint), get_args(hint)
    plain = origin is None and isinstance(hint, type)  # list[int] is one in 3.10
    if hint is Any or origin is type(None):
        return value
    if origin is Annotated:
        return _checked(name, value, args[0], _range(hint, within))
    if origin in (Union, types.UnionType):
        return _checked_union(name, value, args, within)
    if origin is Literal:
        if value not in args:
            raise unknown(f"value of {name}", str(value), map(str, args))
        return value
    if origin is tuple and isinstance(value, (tuple, list)):
        return _checked_tuple(name, value, hint, within)
    if origin is dict and isinstance(value, Mapping):
        return {str(k): _checked(name, v, args[1], within) for k, v in value.items()}
    if hint in (int, float) and not isinstance(value, bool):
        number = _number(value, hint)
        if number is not None and number in within:
            return number
    elif plain and isinstance(value, hint) and hint is not int:
        return value
    if origin not in (tuple, dict) and not plain:
        return value  # callables and the like
    raise _wrong(name, value, hint, within)


def _number(value: Any, hint: type) -> int | float | None:
    """A number as a finite one of this type, ``None`` if it is none.

    NumPy's become plain ones: a checkpoint holds JSON values.
    """
    if hint is int:
        return int(value) if isinstance(value, Integral) else None
    try:
        number = float(value) if isinstance(value, Real) else math.nan
    except OverflowError:  # a whole number beyond all floats
        return None
    return number if math.isfinite(number) else None


def _checked_tuple(
    name: str, value: Sequence[Any], hint: Any, within: Range
) -> tuple[Any, ...]:
    args = get_args(hint)
    if args[-1] is Ellipsis:
        return tuple(_checked(name, v, args[0], within) for v in value)
    if len(value) != len(args):
        raise _wrong(name, value, hint, within)
    pairs = zip(value, args, strict=True)
    return tuple(_checked(name, v, a, within) for v, a in pairs)


def _checked_union(name: str, value: Any, choices: Sequence[Any], within: Range) -> Any:
    if value is None and type(None) in choices:
        return None
    for choice in choices:
        try:
            return _checked(name, value, choice, within)
        except MMRecError:
            continue
    raise _wrong(name, value, Union[tuple(choices)], within)  # noqa: UP007


def _wrong(name: str, value: Any, hint: Any, within: Range) -> MMRecError:
    needed = _describe(hint, within)
    return MMRecError(f"{name!r} needs to be {needed} (got {_short(value)})")


def _short(value: Any) -> str:
    """What was given, at a length that leaves the sentence readable."""
    brief = Repr()
    brief.maxstring = brief.maxlong = brief.maxother = 60
    return brief.repr(value)


def _describe(hint: Any, within: Range = Range()) -> str:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _describe(args[0], _range(hint, within))
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(a, within) for a in args)
    if origin is Literal:
        return " or ".join(map(repr, args))
    if origin is tuple and args[-1] is Ellipsis:
        return f"a list of {_describe(args[0], within)}"
    if origin is tuple:
        parts = ", ".join(_describe(a, within) for a in args)
        return f"{len(args)} values: {parts}"
    if origin is dict:
        return f"names with {_describe(args[1], within)} each"
    kind = {
        int: "an integer",
        float: "a number",
        bool: "true or false",
        str: "text",
        type(None): "none",
    }.get(hint, f"of type {getattr(hint, '__name__', hint)}")
    return f"{kind} {within}".rstrip() if hint in (int, float) else kind


def _range(hint: Any, within: Range) -> Range:
    """The range that a type states, of a list or mapping that of its values."""
    if get_origin(hint) is Annotated:
        stated = [m for m in get_args(hint)[1:] if isinstance(m, Range)]
        return stated[0] if stated else within
    for part in get_args(hint):
        within = _range(part, within)
    return within


def _default(field: Field) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default
