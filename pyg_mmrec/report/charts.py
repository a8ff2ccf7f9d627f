"""Charts to hover over, by Bokeh."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from pyg_mmrec.plots.style import COLORS

_DASHES = ("solid", "dashed", "dotted", "dotdash")
_MARKERS = ("circle", "square", "diamond", "triangle", "inverted_triangle", "star")
_LINE = 20  # pixels of a line of the legend
DRAWN = 8
"""Curves of a chart that are drawn before anybody clicks."""


class Charts:
    """Charts by name, with what makes them move."""

    def __init__(self) -> None:
        self.models: dict[str, Any] = {}

    def curves(self, name: str, tables: Mapping[str, pd.DataFrame], column: str) -> str:
        """A column over epochs, a curve a run; a click on its name hides or draws it.

        Of more than :data:`DRAWN`, those whose greatest values are greatest are drawn,
        and names are in that order.

        Args:
            name: What the chart is called.
            tables: Rows of epochs by run.
            column: The column.
        """
        from bokeh.models import HoverTool
        from bokeh.models.annotations import Legend, LegendItem

        several, many = len(tables) > 1, len(tables) > DRAWN
        if many:
            tables = dict(sorted(tables.items(), key=lambda t: -t[1][column].max()))
        height = max(300, _LINE * len(tables) + 70)
        figure = _figure(860 if several else 420, height, "epoch", column)
        items, markers = [], []
        for i, (run, table) in enumerate(tables.items()):
            curve = table.dropna(subset=column)
            color = COLORS[i % len(COLORS)]
            source: dict[str, Any] = {"x": curve["epoch"], "y": curve[column]}
            source["run"] = [run] * len(curve)
            line = figure.line(
                "x", "y", source=source, color=color, line_width=1.6,
                line_dash=_DASHES[i // len(COLORS) % len(_DASHES)],
            )  # fmt: skip
            dots = figure.scatter(
                "x", "y", source=source, color=color, size=5,
                marker=_MARKERS[i % len(_MARKERS)],
            )  # fmt: skip
            line.visible = dots.visible = i < DRAWN
            items.append(LegendItem(label=run, renderers=[line, dots]))
            markers.append(dots)
        for extent in (figure.x_range, figure.y_range):
            extent.only_visible = True
        told = [("epoch", "@x{0}"), (column, "@y{0.0000}")]
        told = [("", "@run"), *told] if several else told
        hover = HoverTool(renderers=markers, tooltips=told)
        if not several:  # of several, those of all runs would be a wall
            hover.mode = "vline"
        figure.add_tools(hover)
        if several:
            legend = Legend(
                items=items, click_policy="hide", label_text_font_size="11px",
                spacing=0, border_line_color=None, glyph_height=14,
                label_height=14,
            )  # fmt: skip
            figure.add_layout(legend, "right")
        return self._keep(name, figure)

    def places(
        self, name: str, table: pd.DataFrame, x: str, y: str, log: bool = True
    ) -> str:
        """A dot a run, with its name.

        Args:
            name: What the chart is called.
            table: A row per run, whose name is its index.
            x: Column across.
            y: Column up.
            log: Whether it goes by powers of ten across.
        """
        from bokeh.models import HoverTool

        wide, high = (860, 520) if len(table) > DRAWN else (640, 380)
        figure = _figure(wide, high, x, y, "log" if log else "linear")
        figure.x_range.range_padding = 0.2  # for the names of those at the right
        source = {"x": table[x], "y": table[y], "run": [*map(str, table.index)]}
        dots = figure.scatter("x", "y", source=source, size=9, color=COLORS[0])
        figure.text(
            "x", "y", "run", source=source, x_offset=7, y_offset=4,
            text_font_size="10px", text_color="#444444",
        )  # fmt: skip
        told = [("", "@run"), (x, "@x{0.[00]}"), (y, "@y{0.0000}")]
        figure.add_tools(HoverTool(renderers=[dots], tooltips=told))
        return self._keep(name, figure)

    def html(self) -> tuple[str, str, dict[str, str]]:
        """The library, the script of the charts, and the place of each by its name."""
        from bokeh.embed import components
        from bokeh.resources import Resources

        if not self.models:
            return "", "", {}
        library = Resources(mode="inline", components=["bokeh"]).render()
        script, places = components(self.models)
        return library, script, dict(places)

    def _keep(self, name: str, figure: Any) -> str:
        self.models[name] = figure
        return name


def columns_of(table: pd.DataFrame) -> list[str]:
    """Columns of epochs that can be drawn."""
    return [n for n in map(str, table) if n not in ("epoch", "seconds")]


def _figure(width: int, height: int, x: str, y: str, axis: Any = "linear") -> Any:
    from bokeh.plotting import figure

    made = figure(
        width=width, height=height, x_axis_label=x, y_axis_label=y, x_axis_type=axis,
        tools="pan,box_zoom,wheel_zoom,reset,save", sizing_mode="fixed",
    )  # fmt: skip
    made.toolbar.logo = None  # which is a link
    made.toolbar.autohide = True
    made.toolbar.active_scroll = None  # the page scrolls
    made.outline_line_color = None
    made.xgrid.grid_line_alpha = made.ygrid.grid_line_alpha = 0.6
    made.axis.axis_label_text_font_style = "normal"
    made.axis.minor_tick_line_color = None
    return made
