"""Methods, data sets, layers and plugs from outside the package."""

from __future__ import annotations

import json
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pandas as pd
import pytest

from pyg_mmrec import plugins
from pyg_mmrec.commands.cli import open_dataset, parse, rehearse, run_method
from pyg_mmrec.datasets import Folder, load
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.assembly import check_options
from pyg_mmrec.experiments.experiment import run
from pyg_mmrec.experiments.loading import load_run
from pyg_mmrec.methods import available, get, registry
from pyg_mmrec.nn.conv.propagate import build_conv

MINE = """
from __future__ import annotations
from dataclasses import dataclass
from pyg_mmrec import Embeddings, Recommender, Term, register
from pyg_mmrec.config import option
from pyg_mmrec.nn import NodeEmbedding
from pyg_mmrec.objectives import BPR

@register("own_{name}")
class Own(Recommender):
    @dataclass
    class Config:
        dim: int = option(8, "width")
    uses_features = False
    def __init__(self, data, config):
        super().__init__(data, config)
        self.user = NodeEmbedding(self.num_users, config.dim, "user")
        self.item = NodeEmbedding(self.num_items, config.dim, "item")
    def forward(self, data):
        return Embeddings(self.user(data), self.item(data))
    def objectives(self):
        return [Term("bpr", BPR())]
"""
CONV = """
from torch_geometric.nn import SimpleConv
class MyConv(SimpleConv):
    def __init__(self):
        super().__init__(aggr="mean")
"""
DATA = """
from pyg_mmrec import Folder
class Shop(Folder):
    pass
"""
PLUG = """
from dataclasses import dataclass
from pyg_mmrec import Plug
@dataclass
class Nothing(Plug):
    def terms(self):
        return []
"""
SMALL = {"epochs": 1, "progress": False, "device": "cpu"}


def written(folder: Path, text: str, name: str = "mine") -> Path:
    path = folder / f"{name}.py"
    path.write_text(text.replace("{name}", name))
    return path


def test_a_file_is_trained_loaded_and_refused_once_it_changed(folder, tmp_path) -> None:
    path, out = written(tmp_path, MINE), tmp_path / "out"
    line = ["--root", str(folder), "--method", str(path), "--output", str(out)]
    args = parse("custom", [*line, "--dim", "4", "--epochs", "1", "--no-progress"])
    assert (args.method, args.place) == ("own_mine", str(path))
    done = run_method(open_dataset("custom", args), args, args.method)
    assert done.model.config.dim == 4
    told = json.loads((out / "config.json").read_text())
    assert told["origins"]["method"]["file"] == str(path)
    del registry._METHODS["own_mine"]  # as in another process
    again = load_run(out)
    assert again.result.test == done.result.test
    path.write_text(path.read_text() + "\n# changed\n")
    with pytest.raises(MMRecError, match=r"another method: Own of .*put the file back"):
        run(Folder(folder), str(path), output=out, resume=True, dim=4, **SMALL)
    del registry._METHODS["own_mine"]
    with pytest.raises(MMRecError, match="another method"):
        load_run(out)


def test_a_file_is_compared_and_recommends(folder, tmp_path, command) -> None:
    written(tmp_path, MINE)
    small = "--epochs 1 --batch-size 64 --no-progress --device cpu"
    code, stdout, stderr = command(
        f"compare {folder} mine.py mine.py:Own:dim=4 bpr:dim=4 --seeds 0 1 "
        f"--output both {small}"
    )
    assert code == 0, stderr
    for row in ("| own_mine |", "| own_mine:dim=4 |", "| bpr:dim=4 |"):
        assert row in stdout
    table = pd.read_csv(tmp_path / "both/compare.csv")
    assert table.groupby("case")["seed"].apply(list).to_dict() == {
        name: [0, 1] for name in ("own_mine", "own_mine:dim=4", "bpr:dim=4")
    }
    before = (tmp_path / "both/own_mine/seed1/checkpoint.pt").read_bytes()
    registry._METHODS.pop("own_mine")  # as in another process
    out = "both/own_mine/seed1"
    code, stdout, stderr = command(f"recommend {out} u0 u1 -k 4")
    assert code == 0, stderr
    assert len(stdout.splitlines()) == 1 + 2 * 4
    seen = pd.read_csv(folder / "interactions.csv").query("user == 'u0'")["item"]
    told = [line.split() for line in stdout.splitlines()[1:]]
    best = {item for user, _, item, *_ in told if user == "u0"}
    assert len(best) == 4
    assert not best & set(seen)
    # Asked for once more, with a changed file: refused, and nothing is touched.
    (tmp_path / "mine.py").write_text((tmp_path / "mine.py").read_text() + "# more\n")
    code, _, stderr = command(
        f"compare {folder} mine.py --seeds 1 --output both {small}"
    )
    assert code == 2
    assert "another method" in stderr
    assert (tmp_path / "both/own_mine/seed1/checkpoint.pt").read_bytes() == before


def test_methods_of_the_package_tell_no_origin(folder, tmp_path) -> None:
    run(Folder(folder), "bpr", output=tmp_path / "out", dim=4, **SMALL)
    assert "origins" not in json.loads((tmp_path / "out/config.json").read_text())


def test_one_of_two_is_named_and_a_module_will_do(tmp_path, monkeypatch) -> None:
    two = MINE + MINE.replace("Own", "Other").replace("own_", "other_")
    path = written(tmp_path, two.replace("from __future__ import annotations", ""), "a")
    with pytest.raises(MMRecError, match=r"2 of them \(Own, Other\): name one"):
        get(str(path))
    assert get(f"{path}:Other").name == "other_a"
    written(tmp_path, MINE, "some_module")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert get("some_module:Own").name == "own_some_module"


def test_a_class_that_is_not_registered_can_be_named(tmp_path) -> None:
    path = written(tmp_path, MINE.replace('@register("own_{name}")', ""), "bare")
    with pytest.raises(MMRecError, match="registers none.*name it as .*bare.py:Own"):
        get(str(path))
    assert get(f"{path}:Own") is get("own")


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("", "no.py", "no.py cannot be read"),
        ("x = 1", "mine.py", "holds no Recommender"),
        ("x = 1\n1 / 0", "mine.py", r"ZeroDivisionError at .*mine.py:2: division"),
        ("x = 1\nclass", "mine.py", r"SyntaxError at .*mine.py:2"),
        ("import nowhere_at_all", "mine.py", r"ModuleNotFoundError at .*mine.py:1"),
        ("class Own: pass", "mine.py:Own", "is no Recommender"),
        (MINE, "mine.py:Onw", "did you mean 'Own'"),
        ("", "no_such_module:Own", "no module 'no_such_module'"),
    ],
)
def test_a_mistake_is_one_sentence(text, place, message, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, text)
    with pytest.raises(MMRecError, match=message) as caught:
        parse("custom", ["--method", place])
    assert "\n" not in str(caught.value)


def test_what_is_imported_registers(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, MINE, "b")
    args = parse("custom", ["--import", "b.py", "--method", "own_b", "--dim", "3"])
    assert args.overrides == {"dim": 3}


def test_an_own_layer(folder, tmp_path, monkeypatch) -> None:
    path = written(tmp_path, CONV, "layer")
    monkeypatch.chdir(tmp_path)
    assert type(build_conv("layer.py:MyConv", 4)).__name__ == "MyConv"
    rehearse("lightgcn", "custom", conv="layer.py:MyConv")
    out = tmp_path / "out"
    run(Folder(folder), "lightgcn", output=out, conv="layer.py:MyConv", **SMALL)
    told = json.loads((out / "config.json").read_text())
    assert told["config"]["conv"] == f"{path}:MyConv"
    assert set(told["origins"]) == {"layer"}
    monkeypatch.chdir(folder)
    assert load_run(out).model.config.conv == f"{path}:MyConv"
    with pytest.raises(MMRecError, match="is no Module"):
        build_conv(f"{written(tmp_path, 'MyConv = 3', 'no_layer')}:MyConv", 4)


def test_an_own_data_set_is_made_again(folder, tmp_path) -> None:
    path = written(tmp_path, DATA, "shops")
    data = load(str(path), folder)
    assert type(data).__name__ == "Shop"
    run(data, "bpr", output=tmp_path / "out", dim=4, **SMALL)
    assert load_run(tmp_path / "out").data["user"].num_nodes == 30


def test_entry_points_are_loaded_when_they_are_asked_for(tmp_path, monkeypatch) -> None:
    written(tmp_path, MINE, "good_plugin")
    written(tmp_path, DATA + PLUG, "more_plugins")
    written(tmp_path, "1 / 0", "broken_plugin")
    monkeypatch.syspath_prepend(str(tmp_path))
    points = [
        EntryPoint("good", "good_plugin:Own", "pyg_mmrec.methods"),
        EntryPoint("broken", "broken_plugin:Own", "pyg_mmrec.methods"),
        EntryPoint("shop", "more_plugins:Shop", "pyg_mmrec.datasets"),
        EntryPoint("nothing", "more_plugins:Nothing", "pyg_mmrec.plugs"),
    ]
    monkeypatch.setattr(
        plugins, "entry_points", lambda group: [p for p in points if p.group == group]
    )
    get("bpr")
    assert "good_plugin" not in sys.modules
    with pytest.warns(UserWarning, match="'broken'.*ZeroDivisionError"):
        assert "own_good_plugin" in available()
    assert get("own_good_plugin").__module__ == "good_plugin"
    with pytest.raises(MMRecError, match="no folder"):
        load("shop", tmp_path / "none")
    assert check_options("bpr", "custom", plugs=["nothing"])[2] == []
