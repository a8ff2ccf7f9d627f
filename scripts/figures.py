"""A paper's own exhibit on a data set: trains what is missing, then draws.

Runs lie as those of compare do, CASE/seedN in the output folder; those that are there
are not repeated. Each exhibit is written as NAME.md, which names command, commits and
seeds, and its picture as PDF and PNG; the figures of all runs as NAME.csv, of which
--redraw draws it again where the runs are gone. The exhibit "claims" judges what each
paper claims of its parts.
"""

from __future__ import annotations

from pyg_mmrec import guard

if __name__ == "__main__":
    guard.begin()  # what is imported below takes seconds

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from pyg_mmrec.commands.cli import add_jobs, add_seeds, open_dataset, parse, rehearse
from pyg_mmrec.commands.guarded import AGAIN, guarded
from pyg_mmrec.config import Parser
from pyg_mmrec.datasets import Dataset, Synthetic
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.exhibits import claims
from pyg_mmrec.exhibits.described import Counts, Exhibit, Looked, Shares
from pyg_mmrec.exhibits.kept import merged
from pyg_mmrec.exhibits.looks import PLANTED, shares
from pyg_mmrec.exhibits.papers import EXHIBITS
from pyg_mmrec.exhibits.tables import Measured, counts, picture, shortened, tables
from pyg_mmrec.experiments.comparison import measure
from pyg_mmrec.experiments.experiment import Run
from pyg_mmrec.experiments.loading import load_run
from pyg_mmrec.experiments.outputs import RESULT, USERS
from pyg_mmrec.experiments.per_user import run_folder
from pyg_mmrec.experiments.words import case
from pyg_mmrec.files import replacing
from pyg_mmrec.plots import save

USAGE = "NAME DATASET [METHOD ...] [--seeds N ...] [options of training], or --list"
CLAIMS = "claims"
TWO = ("image", "text")  # modalities of the papers
# Of the command line, what says where and how, not what.
ASIDE = {"--root": 1, "--output": 1, "--jobs": 1, "--no-progress": 0, "--redraw": 0}


def add_own(parser: Parser) -> None:
    """Add the script's own options."""
    parser.usage, parser.description = f"%(prog)s {USAGE}", __doc__
    add = parser.add_argument
    add("name", metavar="NAME", help=", ".join([*EXHIBITS, CLAIMS]))
    add("data", metavar="DATASET", help="name of a data set, or a folder")
    add("methods", nargs="*", metavar="METHOD", help="further methods, where that fits")
    add("--list", action="store_true", help="the exhibits, and what each trains")
    add("--redraw", action="store_true",
        help="train nothing: draw from NAME.csv in the output folder, and from the "
             "runs that lie there, which take the place of its rows")  # fmt: skip
    add_seeds(parser)
    add_jobs(parser)


def listed() -> str:
    """What there is, with the runs that each needs a seed."""
    lines = [
        f"{name:<18}{len(one.cases(TWO)):>3} runs a seed  {one.title}: {one.shows}"
        for name, one in EXHIBITS.items()
    ]
    judged = len(claims.cases(claims.chosen((), TWO)))
    lines.append(
        f"{CLAIMS:<18}{judged:>3} runs a seed  one claim of each paper and more"
    )
    return "\n".join(lines)


def read(argv: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    if argv[:1] in (["-h"], ["--help"]):
        argv = ["sand-halves", "movielens", *argv]
    if len(argv) < 2 or any(word.startswith("-") for word in argv[:2]):
        raise MMRecError(f"name an exhibit and a data set: figures.py {USAGE}")
    name = argv[0]
    if name not in (*EXHIBITS, CLAIMS):
        raise unknown("exhibit", name, [*EXHIBITS, CLAIMS])
    exhibit = EXHIBITS.get(name)
    first = next(iter(exhibit.cases(TWO) if exhibit else ["rearm"]), "popularity")
    method = case(first.partition("@")[0])["method"]
    args = parse(argv[1], argv, method=method, extend=add_own)
    if exhibit is None:
        claims.chosen(args.methods)
    else:
        check(name, exhibit.beside(args.methods), args)
    if args.redraw and (exhibit is None or isinstance(exhibit.what, Looked | Counts)):
        raise MMRecError(f"{name} is of more than its .csv holds: leave out --redraw")
    return args


def check(name: str, exhibit: Exhibit, args: argparse.Namespace) -> None:
    """Refuse what an exhibit that looks into runs cannot be of."""
    what = exhibit.what
    if isinstance(what, Looked | Shares) and len(args.seeds) > 1:
        raise MMRecError(f"{name} looks into the runs of one seed (got {args.seeds})")
    if isinstance(what, Shares) and what.planted and args.data != "synthetic":
        raise MMRecError(f"{name} is of planted data: figures.py {name} synthetic")


def data_for(only: str, args: argparse.Namespace, whole: Dataset) -> Dataset:
    """The data set, or what of it a case sees: some modalities, or planted tastes."""
    if not only:
        return whole
    if only in PLANTED:
        return Synthetic(**PLANTED[only], root=args.root)
    seen = {**vars(args), "modalities": only.split("+")}
    return open_dataset(args.data, argparse.Namespace(**seen), [])


def trained(
    names: list[str], args: argparse.Namespace, data: Dataset, folder: Path, apart: bool
) -> tuple[pd.DataFrame, dict[str, Dataset]]:
    """Train what is missing; a row a run, and the data set of each case."""
    shared: dict[str, Any] = {k: v for k, v in args.overrides.items() if k != "seed"}
    names = list(dict.fromkeys(shortened(name, data.name) for name in names))
    cases = {name: {**shared, **case(name.partition("@")[0])} for name in names}
    for options in cases.values():
        rehearse(dataset=data.name, **options)
    parts = dict.fromkeys(name.partition("@")[2] for name in names)
    seen = {only: data_for(only, args, data) for only in parts}
    jobs = args.jobs or (1 if apart else None)
    rows = [
        measure(
            seen[only],
            {n: c for n, c in cases.items() if n.partition("@")[2] == only},
            args.seeds,
            folder,
            args.overwrite,
            jobs,
        )
        for only in parts
    ]
    return pd.concat(rows), {name: seen[name.partition("@")[2]] for name in names}


def loaded(
    seen: dict[str, Dataset], args: argparse.Namespace, folder: Path
) -> dict[str, Run]:
    """The trained models of the one seed, by their cases."""
    [seed] = args.seeds
    return {n: load_run(run_folder(folder, n, seed), data) for n, data in seen.items()}


def figures_of(
    exhibit: Exhibit,
    names: list[str],
    args: argparse.Namespace,
    data: Dataset,
    folder: Path,
) -> pd.DataFrame:
    """All figures that an exhibit draws, a row a run: trains what is missing."""
    rows, seen = trained(names, args, data, folder, exhibit.apart)
    if isinstance(exhibit.what, Shares):
        told = shares(loaded(seen, args, folder))
        rows = rows.merge(told, on="case", validate="one_to_one")
    return rows


def kept_figures(
    exhibit: Exhibit, args: argparse.Namespace, data: Dataset, folder: Path
) -> pd.DataFrame:
    """The same of the kept table, and of the runs that lie in the folder."""
    wanted = exhibit.cases(data.modalities)
    names = list(dict.fromkeys(shortened(name, data.name) for name in wanted))

    def there(name: str, seed: int) -> bool:
        return (run_folder(folder, name, seed) / RESULT).exists()

    found = [name for name in names if all(there(name, seed) for seed in args.seeds)]
    fresh = figures_of(exhibit, found, args, data, folder) if found else pd.DataFrame()
    return merged(folder / f"{args.name}.csv", fresh, names, args.seeds)


def shown(
    exhibit: Exhibit, args: argparse.Namespace, data: Dataset, folder: Path
) -> tuple[Figure | None, list[str], pd.DataFrame]:
    """The picture, what stands below it, and the runs."""
    names = exhibit.cases(data.modalities)
    if isinstance(exhibit.what, Counts):
        return None, [counts(data)], pd.DataFrame()
    if isinstance(exhibit.what, Looked):
        rows, seen = trained(names, args, data, folder, exhibit.apart)
        figure, text = exhibit.what.draw(loaded(seen, args, folder), data)
        figure.supxlabel("one seed", fontsize=9)
        return figure, [f"```\n{text}\n```\n"], rows
    if args.redraw:
        rows = kept_figures(exhibit, args, data, folder)
    else:
        rows = figures_of(exhibit, names, args, data, folder)
    measured = Measured(rows, data.name, data.modalities)
    return picture(exhibit, measured), tables(exhibit, measured), rows


def judged(
    args: argparse.Namespace, data: Dataset, folder: Path
) -> tuple[list[str], pd.DataFrame]:
    """The table of claims, and the runs."""
    claimed = claims.chosen(args.methods, data.modalities)
    rows, _ = trained(claims.cases(claimed), args, data, folder, apart=False)

    def users(name: str, seed: int) -> pd.DataFrame:
        name = shortened(name, data.name)
        return pd.read_parquet(run_folder(folder, name, seed) / USERS)

    found = claims.judge(users, args.seeds, claimed)
    table = claims.claims_table(found, args.seeds)
    return [table, f"{claims.RULE}\n"], rows


def origin(argv: list[str], rows: pd.DataFrame, args: argparse.Namespace) -> str:
    """Which command, commits and seeds an exhibit is of."""
    words, left = [], 0
    for word in argv:
        if left or word in ASIDE:
            left = left - 1 if left else ASIDE[word]
        else:
            words.append(word)
    lines = [f"`python scripts/figures.py {shlex.join(words)}`"]
    if len(rows):
        commits = ", ".join(sorted({str(c)[:10] for c in rows["commit"]}))
        ended = int((rows["best epoch"] == rows["epochs"]).sum())
        lines += [
            f"seeds {' '.join(map(str, args.seeds))}",
            f"{len(rows)} runs of {rows['epochs'].min()} to {rows['epochs'].max()} "
            f"epochs, the best of {ended} the last one",
            f"commit {commits}",
        ]
    return "; ".join(lines) + ".\n"


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    argv = sys.argv[1:]
    if "--list" in argv:
        print(listed())
        return
    args = read(argv)
    data = open_dataset(args.data, args, [])
    folder = Path(args.output or Path("runs") / data.name / "figures")
    folder.mkdir(parents=True, exist_ok=True)
    exhibit, figure = EXHIBITS.get(args.name), None
    if exhibit is None:
        title = f"What the papers claim, on {data.name}"
        texts, rows = judged(args, data, folder)
    else:
        title = f"{exhibit.title}, on {data.name}"
        figure, texts, rows = shown(exhibit.beside(args.methods), args, data, folder)
        title += f": {exhibit.shows}"
    seen = f"On {' + '.join(data.modalities)}, test, " if len(rows) else ""
    parts = [
        f"# {title}\n",
        *([f"![{args.name}]({args.name}.png)\n"] if figure else []),
    ]
    parts += [*texts, seen + origin(argv, rows, args)]
    files = {f"{args.name}.md": "\n".join(parts)}
    if len(rows):
        files[f"{args.name}.csv"] = rows.to_csv(index=False, float_format="%.6f")
    for name, text in files.items():
        with replacing(folder / name) as file:
            file.write(text.encode())
    print("\n".join(texts))
    for kind in ("pdf", "png") if figure else ():
        save(figure, folder / f"{args.name}.{kind}")
        files[f"{args.name}.{kind}"] = ""
    for name in files:
        print(f"wrote {folder / name}")


if __name__ == "__main__":
    guarded(main, left=AGAIN)
