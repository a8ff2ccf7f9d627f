"""What a comparison found, as text and as a row of the README's table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pyg_mmrec.parity.adapter import Adapter
from pyg_mmrec.parity.compare import Difference, worst

COLUMNS = ("method", "forward", "losses", "gradients", "20 steps", "differs by choice")
_SHOWN = (("forward",), ("loss",), ("gradient",), ("step", "trained"))


def lines(found: Iterable[Difference]) -> list[str]:
    """A line for each part."""
    return [f"  {x.part:<9} {x.name:<46} {_number(x.value)}" for x in found]


def summary(found: Sequence[Difference]) -> list[str]:
    """The largest difference of each column of the table."""
    values = [worst(found, *parts) for parts in _SHOWN]
    return ["-" if value is None else _number(value) for value in values]


def choice_lines(found: Mapping[str, Sequence[Difference]]) -> list[str]:
    """What each choice changes: a line each."""
    head = f"  {'':<56}" + "".join(f"{name:>10}" for name in COLUMNS[1:5])
    return [head] + [
        f"  {name:<56}" + "".join(f"{value:>10}" for value in summary(parts))
        for name, parts in found.items()
    ]


def row(adapter: Adapter, found: Sequence[Difference]) -> str:
    """The method's row of the table, in Markdown."""
    differs = "; ".join((*adapter.choices, *adapter.notes)) or "nothing"
    return "| " + " | ".join([adapter.method, *summary(found), differs]) + " |"


def head() -> str:
    """The head of the table, in Markdown."""
    return "| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS)


def _number(value: float) -> str:
    return f"{value:.2f}" if 0.095 <= value < 1000 else f"{value:.0e}"
