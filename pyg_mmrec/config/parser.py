"""Options of a dataclass as those of a command line."""

from __future__ import annotations

import argparse
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import (
    Any,
    Literal,
    NoReturn,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pyg_mmrec.config.fields import (
    C,
    Range,
    _default,
    _describe,
    _number,
    _short,
    from_dict,
    range_of,
)
from pyg_mmrec.errors import MMRecError, unknown


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

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse what is known.

        ``--field_name`` is taken for ``--field-name``, and ``--switch=false`` for
        ``--no-switch``.
        """
        given = sys.argv[1:] if args is None else args
        return super().parse_known_args([self._known(a) for a in given], namespace)

    def leave_out(self, names: Iterable[str]) -> None:
        """Take away options that a command shares with others and does not use.

        Who gives one is told so, in place of an option that does nothing. Defaults
        stay.

        Args:
            names: Attributes of the result; those that have no option are skipped.
        """
        for action in [a for a in self._actions if a.dest in set(names)]:
            if action.default is not argparse.SUPPRESS:
                self.set_defaults(**{action.dest: action.default})
            for flag in action.option_strings:
                del self._option_string_actions[flag]
            # As argparse itself does for conflict_handler="resolve".
            vars(action)["container"]._remove_action(action)

    def tell(self, name: str, text: str) -> None:
        """What an option that a command shares with others means for that command.

        Args:
            name: Attribute of the result.
            text: Its line in ``--help``.
        """
        for action in self._actions:
            if action.dest == name:
                action.help = text

    def _known(self, word: str) -> str:
        flag, equals, value = word.partition("=")
        known = self._option_string_actions
        flag = flag if flag in known else flag.replace("_", "-")
        if flag not in known:
            return word
        if equals and isinstance(known[flag], argparse.BooleanOptionalAction):
            return self._switched(flag, value)
        return flag + equals + value

    def _switched(self, flag: str, value: str) -> str:
        if value.lower() not in _TRUTH:
            self.error(f"argument {flag}: needs to be true or false (got {value!r})")
        if _TRUTH[value.lower()]:
            return flag
        negative = flag.startswith("--no-")
        return f"--{flag[5:]}" if negative else f"--no-{flag[2:]}"

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


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{k}={v}" for k, v in value.items()) or "none"
    if isinstance(value, (tuple, list)):
        return " ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


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
