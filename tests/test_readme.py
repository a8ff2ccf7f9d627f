"""The README as a newcomer reads it: each of its commands, pasted."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
# What makes a pasted command short; what it prints stays of the same kind.
SHORT = {
    "train": "--epochs 1 --no-progress --device cpu",
    "compare": "--epochs 1 --no-progress --device cpu",
    "refit": "--no-progress --device cpu",
    "update": "--no-progress --device cpu --epochs 1",
    "ablate": "--epochs 1 --no-progress --device cpu",
    "tune": "--epochs 1 --no-progress --device cpu --trials 1",
}


def _commands() -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", README, re.S)
    lines = [
        line.split("#")[0].strip() for block in blocks for line in block.split("\n")
    ]
    return [line for line in lines if line.startswith("pyg-mmrec ")]


def _method() -> str:
    """The README's method, as a file of one's own."""
    (block,) = re.findall(r"```python\n(from dataclasses.*?)```", README, re.S)
    layer = "from torch_geometric.nn import SAGEConv\n\nclass MyConv(SAGEConv): ..."
    return f"{block}\n{layer}\n"


def write_more(path: Path) -> None:
    """Titles in the place of text features, and what comes after the training."""
    (path / "my_shop" / "text.csv").unlink()
    titles = [f"i{i},{'red' if i % 2 else 'blue'} thing {i}" for i in range(40)]
    (path / "my_shop" / "items.csv").write_text("\n".join(["item,title", *titles]))
    (path / "today.csv").write_text("user,item\nu1,i3\nu99,i4\n")
    (path / "new_items").mkdir()
    (path / "new_items" / "items.csv").write_text("item,title\nnew,red thing\n")


def test_its_commands_run_as_they_stand(command, folder, tmp_path) -> None:
    commands = _commands()
    assert len(commands) >= 12
    shutil.move(folder, tmp_path / "my_shop")
    (tmp_path / "mine.py").write_text(_method())
    write_more(tmp_path)
    (tmp_path / "theirs.csv").write_text("user,item,score\nu1,i1,0.5\nu2,i3,0.1\n")
    for line in commands:
        words = line.replace("USER", "u1").replace("movielens", "my_shop")
        _, name, rest = words.split(" ", 2)
        if name in ("serve", "explore"):  # do not end; have tests of their own
            assert command(f"{name} --help")[0] == 0
            continue
        code, stdout, stderr = command(f"{name} {rest} {SHORT.get(name, '')}")
        assert code == 0, f"{line}\n{stderr}"
        assert stdout.strip(), line


@pytest.mark.parametrize("name", ["quickstart", "test"])
def test_its_first_two_commands_are_there(name: str) -> None:
    assert f"./scripts/{name} " in README
    assert (ROOT / "scripts" / name).stat().st_mode & 0o100
