"""The report as one file: nothing in it is fetched from elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path

from pyg_mmrec import __version__
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.explore import cards
from pyg_mmrec.extras import check_extra
from pyg_mmrec.files import replacing
from pyg_mmrec.report.blocks import Section
from pyg_mmrec.report.charts import Charts
from pyg_mmrec.report.examples import examples_section
from pyg_mmrec.report.findings import Finder, Findings, example_users, open_data
from pyg_mmrec.report.judged import (
    comparison_section,
    cost_section,
    options_section,
)
from pyg_mmrec.report.reported import Reported, read_runs
from pyg_mmrec.report.sections import (
    curves_section,
    data_section,
    map_section,
    modalities_section,
    runs_section,
    slices_section,
)

logger = logging.getLogger(__name__)
_MAPPED, _LISTED = 4, 3  # runs whose maps and lists are shown, by validation
_MARK, _HEAD = b'content="pyg_mmrec ', 2048  # of a report, and where it stands
_NEEDED = ("bokeh", "jinja2", "matplotlib", "PIL")


def check_installed() -> None:
    """Refuse to write a report without the extra.

    Raises:
        MMRecError: If a part of it is not installed.
    """
    check_extra("report", _NEEDED)


def write_report(paths: Iterable[Path], output: Path) -> list[str]:
    """Write the report of runs.

    Args:
        paths: Folders of finished runs, or of ``compare``.
        output: The file.

    Returns:
        What was left out, and why, a line each.

    Raises:
        MMRecError: If a folder holds no finished run, runs are of different data, or
            the file cannot be written.
    """
    check_installed()
    _check_replaced(output)
    runs = read_runs(paths)
    charts = Charts()
    sections = make_sections(runs, charts)
    with replacing(output) as file:
        file.write(render(runs, sections, charts).encode())
    return [f"{s.title}: {s.left_out}" for s in sections if s.left_out]


def _check_replaced(output: Path) -> None:
    """Refuse to replace a page that is no earlier report.

    Raises:
        MMRecError: If it does not say that it is one.
    """
    if output.is_file() and _MARK not in output.read_bytes()[:_HEAD]:
        raise MMRecError(
            f"{output} is there and is no report of pyg_mmrec: name another file, or "
            f"remove it"
        )


def make_sections(runs: Sequence[Reported], charts: Charts) -> list[Section]:
    """All parts of the report of some runs.

    Args:
        runs: The runs.
        charts: Takes the charts.
    """
    dataset, why = open_data(runs)
    users = [] if dataset is None else example_users(dataset)
    order = sorted(runs, key=lambda run: -run.result["valid"].get(run.monitor, 0.0))
    first: dict[str, Reported] = {}  # the best seed of a case stands for it
    for run in order:
        first.setdefault(run.case, run)
    best = [*first.values()]
    mapped, listed = ({r.name for r in best[:n]} for n in (_MAPPED, _LISTED))
    find, found = Finder(dataset, why, users), dict[str, Findings]()
    for place, run in enumerate(runs, 1):
        logger.info("%s (%d of %d)", run.name, place, len(runs))
        found[run.name] = find(run, run.name in mapped, run.name in listed)
    sections = [
        runs_section(runs),
        data_section(dataset, why),
        comparison_section(runs, found),
        curves_section(runs, charts),
        slices_section(runs),
        modalities_section(runs, found),
        map_section({r.name: found[r.name] for r in best[:_MAPPED]}),
        examples_section(
            dataset, why, users, {r.name: found[r.name] for r in best[:_LISTED]}
        ),
        options_section(runs),
        cost_section(runs, charts),
    ]
    return [section for section in sections if section is not None]


def render(
    runs: Sequence[Reported], sections: Sequence[Section], charts: Charts
) -> str:
    """The page, all text of runs and data escaped.

    Args:
        runs: The runs.
        sections: Its parts.
        charts: The charts that these name.
    """
    from jinja2 import Environment
    from markupsafe import Markup

    library, script, places = charts.html()
    name = runs[0].name if len(runs) == 1 else f"{len(runs)} runs"
    template = files("pyg_mmrec.report").joinpath("page.html").read_text("utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["safe_html"] = Markup
    return environment.from_string(template).render(
        title=f"{name} on {runs[0].told['dataset']}",
        sections=sections,
        version=__version__,
        style=Markup(cards.STYLE),
        library=Markup(library),
        script=Markup(script),
        places={name: Markup(place) for name, place in places.items()},
    )
