"""The report in a real browser, where there is one: opened from its file."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from pyg_mmrec.report.page import write_report
from pyg_mmrec.report.reported import read_runs
from tests.browser import Watched, browsing, needs_browser

pytest.importorskip("bokeh")
RUNS = 3
# What has been painted on a chart: each has a canvas, below the place of its own.
PAINTED = """place => {
  const layers = [];
  const walk = node => {
    if (node.tagName == "CANVAS") layers.push(node);
    if (node.shadowRoot) walk(node.shadowRoot);
    for (const child of node.children) walk(child);
  };
  walk(place);
  return layers.some(canvas => {
    if (!canvas.width || !canvas.height) return false;
    const context = canvas.getContext("2d");
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    for (let i = 0; i < pixels.length; i += 4)
      if (pixels[i + 3] && pixels[i] + pixels[i + 1] + pixels[i + 2] < 600) return true;
    return false;
  });
}"""


@pytest.mark.slow
@needs_browser
def test_a_browser_shows_the_report_from_its_file(kept, tmp_path) -> None:
    out = tmp_path / "report.html"
    write_report([kept / "runs"], out)
    assert out.stat().st_size < 5_000_000
    shots = Path(os.environ.get("SCREENSHOTS", tmp_path))
    with browsing() as page:
        page.set_default_timeout(120_000)
        watched = Watched(page, out.as_uri())
        page.goto(out.as_uri())
        page.wait_for_function("window.Bokeh && Bokeh.documents.length > 0")
        look_at_tables(page, kept)
        look_at_charts(page)
        page.screenshot(path=shots / "report.png", full_page=True)
    assert (watched.outside, watched.errors) == ([], [])


def look_at_tables(page, kept: Path) -> None:
    """All runs with their figures, each part where its link leads, no page too wide."""
    rows = page.locator("#runs + .wide tr").all_inner_texts()
    assert len(rows) == 1 + RUNS
    for run, row in zip(read_runs([kept / "runs"]), rows[1:], strict=True):
        cells = row.split("\t")
        assert cells[0] == run.name
        assert cells[-2] == f"{run.test['recall@20']:.4f}"
    for link in page.locator("nav a").all():
        link.click()
        title = page.locator("h2", has_text=re.compile(f"^{link.inner_text()}$"))
        assert title.bounding_box()["y"] > page.locator("nav").bounding_box()["height"]
        assert title.bounding_box()["y"] < 720
    widths = "[document.body.scrollWidth, document.documentElement.clientWidth]"
    content, window = page.evaluate(widths)
    assert content <= window
    commands = page.locator("summary", has_text="commands that make them again")
    command = page.locator("td", has_text="pyg-mmrec train").first
    assert not command.is_visible()
    commands.click()
    assert command.is_visible()
    assert page.locator("img.drawing").evaluate_all(
        "pictures => pictures.every(one => one.complete && one.naturalWidth > 0)"
    )


def look_at_charts(page) -> None:
    """Each is painted, those that are folded as well once they are opened."""
    charts = page.locator("[data-root-id] > *")
    assert charts.count() == page.evaluate("Bokeh.documents[0].roots().length")
    assert charts.count() > 2 * RUNS
    assert not page.locator("details [data-root-id] > *").first.is_visible()
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    for chart in charts.all():
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        assert min(box["width"], box["height"]) >= 300
        page.wait_for_function(PAINTED, arg=chart.element_handle())
