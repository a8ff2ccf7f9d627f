"""The page in a real browser, where there is one."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pyg_mmrec import Folder
from pyg_mmrec import run as train
from tests.browser import Watched, browsing, needs_browser
from tests.explore.test_explorer import PIXEL

pytest.importorskip("gradio")
SECONDS = 300


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture
def shop(folder, tmp_path) -> Path:
    (folder / "images").mkdir()
    for i in range(0, 40, 2):
        (folder / f"images/i{i}.png").write_bytes(PIXEL)
    train(
        Folder(folder), "freedom", output=tmp_path / "run", epochs=2, dim=8,
        progress=False,
    )  # fmt: skip
    return tmp_path / "run"


@pytest.mark.slow
@needs_browser
def test_a_browser_shows_who_gets_what_and_why(shop, tmp_path) -> None:
    port = free_port()
    line = [sys.executable, "-m", "pyg_mmrec", "explore", str(shop), "--no-browser"]
    line += ["--port", str(port)]
    shots = Path(os.environ.get("SCREENSHOTS", tmp_path))
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert f"http://127.0.0.1:{port}" in process.stdout.readline()
        other = subprocess.run(line, capture_output=True, text=True, timeout=SECONDS)
        assert other.returncode == 2
        assert "cannot be listened at" in other.stderr
        with browsing() as page:
            look_around(page, f"http://127.0.0.1:{port}", shots)
    finally:
        process.terminate()
        process.wait(120)


def look_around(page, address: str, shots: Path) -> None:
    page.set_default_timeout(1000 * SECONDS)
    watched = Watched(page, address)
    page.goto(address)
    page.wait_for_selector("text=Paths in the graph")
    assert page.locator(".card:visible").count() == 12 + 6
    assert page.locator(".card:visible img").count() > 0
    page.screenshot(path=shots / "user.png", full_page=True)
    page.set_default_timeout(60_000)
    before = page.locator(".cards").nth(1).inner_text()
    user = page.get_by_label("User", exact=True)
    user.fill("u7")
    user.press("Enter")
    page.wait_for_function(
        "before => document.querySelectorAll('.cards')[1].innerText != before",
        arg=before,
    )
    user.fill("nobody")
    user.press("Enter")
    page.wait_for_selector("text=there is no user 'nobody'")
    page.get_by_role("tab", name="Items", exact=True).click()
    page.wait_for_selector(".card:visible")
    page.screenshot(path=shots / "items.png", full_page=True)
    page.get_by_role("tab", name="An item's neighbours").click()
    page.wait_for_selector("h3:visible:has-text('alike in text')")
    page.screenshot(path=shots / "item.png", full_page=True)
    page.get_by_role("tab", name="The run").click()
    page.wait_for_selector("img.drawing:visible")
    assert re.search(r"recall\s+0\.\d+", page.inner_text("body"))
    page.screenshot(path=shots / "run.png", full_page=True)
    assert (watched.outside, watched.errors) == ([], [])
