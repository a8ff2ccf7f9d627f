"""What the READMEs point to is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _documents() -> list[Path]:
    found = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / line for line in found.stdout.splitlines()]


@pytest.mark.parametrize("document", _documents(), ids=lambda p: str(p.parent.name))
def test_links_and_scripts_of_a_document_exist(document: Path) -> None:
    text = document.read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target
    for script in re.findall(r"\bscripts/[\w/]+\.(?:py|ipynb)\b", text):
        assert (ROOT / script).exists(), script


def test_the_readme_is_for_a_newcomer() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 185
