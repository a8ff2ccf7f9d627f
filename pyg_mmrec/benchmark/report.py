"""Machine, tables and files of the benchmark."""

from __future__ import annotations

import math
import platform
import shlex
import warnings
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import pandas as pd
import torch
import torch_geometric

from pyg_mmrec.benchmark.timing import Row
from pyg_mmrec.datasets.tables import read_lines, read_table
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.comparison import markdown
from pyg_mmrec.experiments.environment import commit, short_commit
from pyg_mmrec.files import replacing

_CPU = Path("/proc/cpuinfo")
_CELLS = 7  # of a row of a record, its case first
_UNITS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "GB": 1e9, "MB": 1e6, "kB": 1e3, "B": 1.0}


def device_name(device: torch.device) -> str:
    """Kind of GPU; or of processor, and its threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{cpu_name()}, {torch.get_num_threads()} threads"


def machine(device: torch.device) -> str:
    """What was measured on: kind of processor, threads and versions."""
    return (
        f"{device_name(device)}; python {platform.python_version()}, "
        f"torch {torch.__version__}, PyG {torch_geometric.__version__}"
    )


def cpu_name() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        lines = _CPU.read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return (names or [platform.processor() or platform.machine()])[0]


def frame(rows: Sequence[Row]) -> pd.DataFrame:
    """The rows as the table of ``benchmark.csv``."""
    columns = [field.name for field in fields(Row)]
    return pd.DataFrame([asdict(row) for row in rows], columns=columns)


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of one part as text, for a reader."""
    columns = {
        "seconds": table["seconds"].map(seconds),
        "min to max": [
            f"{seconds(low)} to {seconds(high)}" if low == low else ""
            for low, high in zip(table.seconds_min, table.seconds_max, strict=True)
        ],
        "ratio": table["ratio"].map("{:.3g}".format).replace("nan", ""),
        "memory": table["bytes"].map(size),
        "device": table["device"],
        "note": table["note"],
    }
    return pd.DataFrame(columns).set_index(table["case"])


def seconds(value: float) -> str:
    """Seconds, in the unit that reads best; nothing where there are none."""
    if math.isnan(value):
        return ""
    for factor, unit in ((1.0, "s"), (1e-3, "ms")):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value / 1e-6:.3g} µs"


def size(value: float) -> str:
    """Bytes, in the unit that reads best; nothing where they are not known."""
    if pd.isna(value):
        return ""
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.0f} B"


def save(folder: Path, rows: Sequence[Row], head: str) -> None:
    """Write ``benchmark.csv`` and ``benchmark.md``, with a table per part.

    Args:
        folder: Where.
        rows: All that was measured.
        head: What comes before the tables.
    """
    with replacing(folder / "benchmark.csv") as file:
        frame(rows).to_csv(file, index=False)
    with replacing(folder / "benchmark.md") as file:
        file.write(_tables(rows, head).encode())


def begun(path: Path | str | None) -> str | None:
    """Commit of what is about to run: files may change while it does.

    Args:
        path: Where a record will be; ``None`` if nowhere.
    """
    at = commit()
    if path is not None and at is not None and at.endswith("-dirty"):
        warnings.warn(
            f"the checkout has changes that are in no commit, so that nobody can run "
            f"again what {path} will tell: commit them before",
            stacklevel=2,
        )
    return at


def record(
    path: Path,
    rows: Sequence[Row],
    head: str,
    command: Sequence[str],
    pictures: Sequence[Path] = (),
    at: str | None = None,
    first: str = "",
) -> None:
    """Write the tables for others to read: beneath the command and its commit.

    Args:
        path: Where.
        rows: All that was measured.
        head: What it was measured on.
        command: The words of the command.
        pictures: Files beside it, to show.
        at: Commit of what ran; today's if ``None``.
        first: What comes before the tables.
    """
    title = path.stem.replace("_", " ").capitalize()
    made = f"commit {short_commit(at or begun(path))}"
    text = f"# {title}\n\n```bash\n{shlex.join(command)}\n```\n\n{head}; {made}"
    for picture in pictures:
        if picture.exists():
            text += f"\n\n![{picture.stem}]({picture.name})"
    text += f"\n\n{first}" if first else ""
    with replacing(path) as file:
        file.write(_tables(rows, text).encode())


def read_rows(path: Path) -> list[Row]:
    """The rows of a ``benchmark.csv``.

    Raises:
        MMRecError: If it is none.
    """
    table = read_table(path)
    names = [field.name for field in fields(Row)]
    for name in names:
        if name not in table:
            raise MMRecError(
                f"{path} is no benchmark.csv, for it has no column {name!r}: name the "
                f"folder of a run of benchmark.py"
            )
    texts = ["part", "case", "note", "device", "data"]
    numbers = [name for name in names if name not in texts]
    table = table.assign(
        **{name: table[name].fillna("") for name in texts},
        **{name: table[name].astype(float) for name in numbers},
    )
    return [Row(**dict(zip(names, row, strict=True))) for row in table[names].values]


def heads(files: Sequence[Path]) -> list[str]:
    """What runs were measured on, each once.

    Args:
        files: Their ``benchmark.csv``, beside which the tables lie.
    """
    tables = [path.with_suffix(".md") for path in files]
    firsts = (read_lines(path)[:1] for path in tables if path.exists())
    return list(dict.fromkeys(line for lines in firsts for line in lines))


def read_record(path: Path) -> pd.DataFrame:
    """Seconds and bytes of a record, as far as its tables tell them.

    Args:
        path: What :func:`record` wrote.

    Returns:
        Columns ``part``, ``case``, ``seconds`` and ``bytes``.
    """
    part, found = "", []
    for line in read_lines(path):
        if line.startswith("## "):
            part = line[3:].strip()
        cells = line.removeprefix("| ").removesuffix(" |").split(" | ", _CELLS - 1)
        amounts = [_amount(cells[i]) for i in (1, 4)] if len(cells) == _CELLS else []
        if amounts and not math.isnan(amounts[0]):
            found.append((part, cells[0], *amounts))
    return pd.DataFrame(found, columns=["part", "case", "seconds", "bytes"])


def _amount(text: str) -> float:
    """The number that :func:`seconds` or :func:`size` wrote, NaN for another text."""
    number, _, unit = text.partition(" ")
    return float(number) * _UNITS[unit] if unit in _UNITS else math.nan


def _tables(rows: Sequence[Row], head: str) -> str:
    text = f"{head}\n"
    for part, group in frame(rows).groupby("part", sort=False):
        text += f"\n## {part}\n\n{markdown(shown(group))}"
    return text
