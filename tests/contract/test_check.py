"""``pyg-mmrec check``: a good method passes, and each broken one fails where it is."""

from __future__ import annotations

import sys

import pytest

from pyg_mmrec import contract, get, plugins
from pyg_mmrec.commands.check import main
from pyg_mmrec.contract import CHECKS
from pyg_mmrec.methods import registry

GOOD = """
from dataclasses import dataclass
import torch
from pyg_mmrec import Embeddings, Recommender, Term, option, register
from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.graph import INTERACTS, ITEM, USER, interaction_graph, modalities
from pyg_mmrec.nn import NodeEmbedding, Propagate
from pyg_mmrec.objectives import BPR

@register("contract_{name}")
class Mine(Recommender):
    @dataclass
    class Config:
        dim: int = option(8, "width")
    def __init__(self, data, config):
        super().__init__(data, config)
        self.user = NodeEmbedding(self.num_users, config.dim, USER)
        self.item = NodeEmbedding(self.num_items, config.dim, ITEM)
        self.propagate = Propagate(1, dim=config.dim)
    def forward(self, data):
        adj = adjacency(data, INTERACTS)
        out = self.propagate.bipartite(self.user(data), self.item(data), adj)
        return Embeddings(*out)
    def objectives(self):
        return [Term("bpr", BPR())]
"""
FORWARD = "        adj = adjacency(data, INTERACTS)\n"
OUT = "        return Embeddings(*out)\n"
BROKEN = {
    "no leak": (OUT, (
        "        seen = torch.bincount(data[INTERACTS].test_label_index[1],\n"
        "                              minlength=out.item.size(0))\n"
        "        return Embeddings(out.user, out.item * (1 + seen.unsqueeze(-1)))\n"
    )),
    "masks": (OUT, (
        "        mean = data[ITEM].x_image.mean(1, keepdim=True)\n"
        "        return Embeddings(out.user, out.item + mean)\n"
    )),
    "exact resume": (FORWARD, (
        "        self.calls = getattr(self, 'calls', 0) + self.training\n"
    ) + FORWARD),
    "subgraph": (OUT, (
        "        return Embeddings(out.user, out.item - out.item.mean(0))\n"
    )),
    "new nodes": (OUT, (
        "        return Embeddings(out.user - out.user.mean(0), out.item)\n"
    )),
}  # fmt: skip


@pytest.fixture
def check(monkeypatch, capsys, tmp_path):
    """Checks a method written to a file: exit code, and the line of each check."""
    monkeypatch.setattr(registry, "_METHODS", dict(registry._METHODS))
    monkeypatch.setattr(plugins, "_LOADED", set())
    monkeypatch.setattr(sys, "path", list(sys.path))

    def start(text: str, name: str) -> tuple[int, dict[str, str]]:
        path = tmp_path / f"{name}.py"
        path.write_text(text.replace("{name}", name))
        monkeypatch.setattr(sys, "argv", ["pyg-mmrec check", str(path)])
        with pytest.raises(SystemExit) as stop:
            main()
        lines = capsys.readouterr().out.splitlines()
        return int(stop.value.code or 0), {line[8:23].strip(): line for line in lines}

    return start


def test_a_good_method_passes(check) -> None:
    code, lines = check(GOOD, "good")
    assert code == 0
    assert all(lines[name].startswith("passed") for name in CHECKS)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_method_fails_there(name, check, tmp_path) -> None:
    old, new = BROKEN[name]
    assert old in GOOD
    text = GOOD.replace(old, new)
    if name == "exact resume":
        text = text.replace(OUT, (
            "        return Embeddings(out.user, out.item * (1 + 0.01 * self.calls))\n"
        ))  # fmt: skip
    if name == "no leak":
        code, lines = check(text, "leaky")
        assert code == 1
        assert lines[name].startswith("FAILED")
        return
    path = tmp_path / f"broken_{name[:4]}.py"
    path.write_text(text.replace("{name}", path.stem))
    found = contract.check(get(str(path)).name, name)
    assert found
    assert "Error" not in found  # broken as a method, not as Python


def test_a_table_that_cannot_grow_is_told(check, tmp_path) -> None:
    """As users write it first: a row per item in an Embedding of torch."""
    text = GOOD.replace(
        "self.item = NodeEmbedding(self.num_items, config.dim, ITEM)",
        "self.item = torch.nn.Embedding(self.num_items, config.dim)",
    )
    text = text.replace("self.item(data)", "self.item.weight")
    path = tmp_path / "rigid.py"
    path.write_text(text.replace("{name}", "rigid"))
    found = contract.check(get(str(path)).name, "new nodes")
    assert "NodeEmbedding" in found
    assert "Error" not in found


@pytest.mark.parametrize("method", ["lgmrec", "mgnm", "mig_gt"])
def test_what_reads_all_items_at_once_is_told(method, monkeypatch) -> None:
    """A subgraph of all nodes did not tell, and they were trained on parts."""
    assert contract.check(method, "subgraph") == ""
    reason = get(method).whole_graph
    assert reason.endswith(", which a subgraph lacks")
    monkeypatch.setattr(get(method), "whole_graph", "")
    assert "nothing connects to the others" in contract.check(method, "subgraph")
