"""Dataclass <-> command line <-> JSON."""

from __future__ import annotations

import argparse
import functools
import math
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from numbers import Integral, Real
from reprlib import Repr
from typing import (
    Annotated,
    Any,
    Literal,
    NoReturn,
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

    cls.__setattr__ = __setattr__  # type: ignore[method-assign,assignment]
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
    hints, known = _known(cls)  # type: ignore[arg-type]
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
    current = {f.name: getattr(config, f.name) for f in fields(config)}  # type: ignore[arg-type]
    return from_dict(type(config), {**current, **values})


def from_words(cls: type[C], words: Iterable[str], owner: str) -> C:
    """Build a configuration from words such as ``"theta=0.2"``.

    Args:
        cls: The dataclass.
        words: Name and value of each option that is not to be at its default.
        owner: Whose options they are, as it reads in a sentence.

    Raises:
        MMRecError: For a word of another form, and as :func:`from_dict`.
    """
    hints, values = get_type_hints(cls), {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise MMRecError(f"an option of {owner} is NAME=VALUE (got {word!r})")
        if name not in hints:
            raise unknown(f"option of {owner}", name, hints)
        try:
            values[name] = _read(text, _spelled(hints[name]))
        except argparse.ArgumentTypeError as error:
            raise MMRecError(f"{name!r} of {owner}: {error}") from None
    return from_dict(cls, values)


def _checked(name: str, value: Any, hint: Any, within: Range) -> Any:
    """The value as the field's type, or an error that names both."""
    origin, args = get_origin(hint), get_args(hint)
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
    elif isinstance(hint, type) and isinstance(value, hint) and hint is not int:
        return value
    if origin not in (tuple, dict) and not isinstance(hint, type):
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


class Parser(argparse.ArgumentParser):
    """An argument parser that answers a mistake with one sentence.

    Unknown options name the nearest one; the exit code is 2.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", _Help)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Print one sentence and leave with code 2."""
        self.exit(2, f"{self.prog}: {message}\n")

    def parse_known_args(  # type: ignore[override]
        self, args: Any = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse what is known; ``--field_name`` is taken for ``--field-name``."""
        given = sys.argv[1:] if args is None else args
        return super().parse_known_args([self._dashed(a) for a in given], namespace)

    def _dashed(self, word: str) -> str:
        flag, equals, value = word.partition("=")
        dashed = flag.replace("_", "-")
        known = self._option_string_actions
        return word if flag in known or dashed not in known else dashed + equals + value

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, refusing what is not known with the nearest option."""
        parsed, rest = self.parse_known_args(args, namespace)
        if rest:
            flags = [f for f in self._option_string_actions if f.startswith("--")]
            given = rest[0].partition("=")[0]
            if not given.startswith("-"):
                self.error(f"unknown argument {given!r}: options begin with --")
            self.error(str(unknown("option", given.replace("_", "-"), flags)))
        return parsed


class _Help(argparse.HelpFormatter):
    """Adds the default to a help text that does not name its own."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text, default = action.help, action.default
        unset = default is False or default in (None, argparse.SUPPRESS, [])
        if not text or unset or "(default:" in text:
            return text
        return f"{text} (default: {_shown(default)})".replace("%", "%%")


def add_arguments(
    parser: argparse.ArgumentParser,
    cls: type,
    title: str | None = None,
    defaults: Mapping[str, Any] | None = None,
    skip: Iterable[str] = (),
) -> None:
    """Add an option for each field of a dataclass.

    Fields of a type that words cannot spell, such as callables, get none. A list is
    given as ``1 2`` or ``1,2``, a mapping as ``image=0.1 text=0.9``, and an optional
    value may be ``none``. Only options that are given appear in the result.

    Args:
        parser: The parser.
        cls: The dataclass.
        title: Heading of the group in ``--help``; the class's name if ``None``.
        defaults: Values to show in place of the dataclass's own, such as a preset.
        skip: Fields to leave out, for the parser has them already.
    """
    group = parser.add_argument_group(title or cls.__name__)
    hints = get_type_hints(cls)
    for f in fields(cls):
        if f.name in skip or not _on_command_line(hints[f.name]):
            continue
        default = (defaults or {}).get(f.name, _default(f))
        text, within = f.metadata.get("help", ""), range_of(cls, f.name)
        shown = [str(within)] if str(within) else []
        shown.append(f"default: {_shown(default)}")
        group.add_argument(
            f"--{f.name.replace('_', '-')}",
            dest=f.name,
            # Only what is given on the command line overrides a preset.
            default=argparse.SUPPRESS,
            help=f"{text} ({'; '.join(shown)})".replace("%", "%%"),
            **_argument(hints[f.name]),
        )


def _default(field: Field) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{k}={v}" for k, v in value.items()) or "none"
    if isinstance(value, (tuple, list)):
        return " ".join(map(str, value)) or "none"
    return str(value)


def _on_command_line(hint: Any) -> bool:
    return _spelled(hint) is not None


def _spelled(hint: Any) -> Any:
    """The type that words on the command line spell: of a union, the first such."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        spelled = (_spelled(choice) for choice in get_args(hint))
        return next((choice for choice in spelled if choice is not None), None)
    words = (int, float, str)
    if origin is tuple:  # values of one type
        kinds = set(get_args(hint)) - {Ellipsis}
        plain = all(kind in words or get_origin(kind) is Literal for kind in kinds)
        return hint if len(kinds) == 1 and plain else None
    if origin is dict:
        return hint if get_args(hint) == (str, float) else None
    return hint if origin is Literal or hint in (*words, bool) else None


def _argument(hint: Any) -> dict[str, Any]:
    """Keyword arguments of ``add_argument`` for a type."""
    optional = type(None) in get_args(hint)
    spelled = _spelled(hint)
    origin, args = get_origin(spelled), get_args(spelled)
    if origin is tuple:
        literal = get_origin(args[0]) is Literal
        return {
            "nargs": "*",
            "action": _Items,
            "type": _several(args[0]),
            "metavar": _choices(get_args(args[0])) if literal else args[0].__name__,
        }
    if origin is dict:
        return {"nargs": "*", "action": _Pairs, "metavar": "NAME=VALUE"}
    if spelled is bool and not optional:
        return {"action": argparse.BooleanOptionalAction}
    if origin is Literal:
        return {"type": _word(spelled, optional), "metavar": _choices(args)}
    return {"type": _word(spelled, optional), "metavar": spelled.__name__}


def _choices(args: Sequence[Any]) -> str:
    return "{" + ",".join(map(str, args)) + "}"


def _word(hint: Any, optional: bool = False) -> Callable[[str], Any]:
    """A converter of one word, whose error is a sentence of its own."""

    def convert(text: str) -> Any:
        if optional and text.lower() == "none":
            return None
        return _read(text, hint)

    return convert


def number(
    kind: type[int] | type[float], **ends: float | None
) -> Callable[[str], int | float]:
    """A converter for ``add_argument`` of an option that no configuration has.

    Args:
        kind: ``int`` or ``float``.
        **ends: See :class:`Range`.
    """
    within = Range(**ends)

    def convert(text: str) -> int | float:
        found = _number(_read(text, kind), kind)
        if found is None or found not in within:
            raise argparse.ArgumentTypeError(
                f"needs to be {_describe(kind, within)} (got {_short(text)})"
            )
        return found

    return convert


def a_word(*choices: str) -> Callable[[str], str]:
    """A converter of one word, which is not empty and one of ``choices`` if given."""

    def convert(text: str) -> str:
        if not text.strip():
            raise argparse.ArgumentTypeError("needs a value (got none)")
        return _read(text, Literal[choices]) if choices else text

    return convert


def _several(hint: Any) -> Callable[[str], list[Any]]:
    """A converter of one word, of values with commas between."""
    return lambda text: [_read(part, hint) for part in text.split(",") if part]


def _read(text: str, hint: Any) -> Any:
    """The value that a word spells.

    Raises:
        ArgumentTypeError: If it spells none of this type.
    """
    if hint is str:
        return text
    if get_origin(hint) is Literal:
        by_text = {str(choice): choice for choice in get_args(hint)}
        if text in by_text:
            return by_text[text]
        raise argparse.ArgumentTypeError(str(unknown("value", text, by_text)))
    try:
        return _TRUTH[text.lower()] if hint is bool else hint(text)
    except (ValueError, KeyError):
        raise argparse.ArgumentTypeError(
            f"needs to be {_describe(hint)} (got {_short(text)})"
        ) from None


_TRUTH = {"true": True, "false": False, "yes": True, "no": False}


class Distinct(argparse.Action):
    """Collects words, none of them twice."""

    def __call__(
        self, parser: Any, namespace: Any, values: Any, option_string: Any = None
    ) -> None:
        """Set the list."""
        for value in values:
            if values.count(value) > 1:
                name = option_string or self.metavar
                parser.error(f"argument {name}: {value!r} is given twice")
        setattr(namespace, self.dest, values)


class _Items(argparse.Action):
    """Collects words, each of them one value or several with commas between."""

    def __call__(
        self, parser: Any, namespace: Any, values: Any, option_string: Any = None
    ) -> None:
        setattr(namespace, self.dest, [v for word in values for v in word])


class _Pairs(argparse.Action):
    """Collects ``name=value`` words into a dict of numbers."""

    def __call__(
        self, parser: Any, namespace: Any, values: Any, option_string: Any = None
    ) -> None:
        pairs: dict[str, float] = {}
        for word in ",".join(values).split(",") if values else []:
            name, found, value = word.partition("=")
            if name in pairs:
                parser.error(f"argument {option_string}: {name!r} is given twice")
            try:
                pairs[name] = float(value)
            except ValueError:
                found = ""
            if not (name and found):
                parser.error(
                    f"argument {option_string}: needs to be NAME=NUMBER (got {word!r})"
                )
        setattr(namespace, self.dest, pairs)
