"""A real browser, where there is one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

_CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(_CHROMIUM is None, reason="there is no Chromium")


class Watched:
    """What a page asked for elsewhere, and what went wrong in it.

    Args:
        page: A page of Playwright, before it goes anywhere.
        address: Where all that it asks for has to lie.
    """

    def __init__(self, page: Any, address: str) -> None:
        self.outside: list[str] = []
        self.errors: list[str] = []
        self._near = (address, "data:", "blob:")
        page.on("request", self._asked)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._said)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(self._near):
            self.outside.append(request.url)

    def _said(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)


@contextmanager
def browsing(width: int = 1280, height: int = 720) -> Iterator[Any]:
    """A page of Chromium, driven by Playwright.

    Args:
        width: Of what is seen of it, in pixels.
        height: Likewise.
    """
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_CHROMIUM, args=["--no-sandbox"]
        )
        yield browser.new_page(viewport={"width": width, "height": height})
        browser.close()
