"""``scripts/parity.py`` as a user runs it: what it lists, and what it refuses."""

from __future__ import annotations

import runpy
import sys

import pytest

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.parity import ADAPTERS, report

from ..test_cli import ROOT, assert_one_sentence, script

MGCN = ("mgcn", "--source", "nowhere")


@pytest.fixture
def main(monkeypatch):
    """The command in this process: a new one each time takes seconds."""
    path = ROOT / "scripts" / "parity.py"
    run = runpy.run_path(str(path))["main"]

    def call(*args: str) -> None:
        monkeypatch.setattr(sys, "argv", [str(path), *args])
        run()

    return call


def test_it_lists_every_method_with_its_repository(main, capsys) -> None:
    main("--list")
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [[name, a.code] for name, a in ADAPTERS.items()]


def test_the_readme_says_of_choices_what_the_command_says() -> None:
    """Figures depend on the machine, the last column does not."""
    text = (ROOT / "pyg_mmrec" / "methods" / "README.md").read_text()
    table = text.split(report.head())[1].splitlines()[1:]
    rows = (line.split(" | ") for line in table)
    said = {cells[0].removeprefix("| "): cells[-1] for cells in rows}
    printed = {n: report.row(a, []).split(" | ")[-1] for n, a in ADAPTERS.items()}
    assert said == printed


def test_a_wrong_source_folder_is_one_sentence_and_exit_code_2() -> None:
    done = script("parity", *MGCN)
    assert_one_sentence(done, "nowhere is no checkout of MMRec", "clone")
    assert not done.stdout


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), ("name a method and its code",)),
        (("mgcn",), ("name a method and its code",)),
        (("mgnc", "--source", "nowhere"), ("'mgnc'", "did you mean 'mgcn'")),
        (("rearm", "--source", "nowhere"), ("no checkout of REARM", "clone")),
        (("mig_gt", "--source", "nowhere"), ("no checkout of MIG-GT", "clone")),
        (("mgdn", "--source", "nowhere"), ("no checkout of MGDCF", "clone")),
        (("apegnn", "--source", "nowhere"), ("no checkout of ApeGNN", "clone")),
        ((*MGCN, "--data", "tiktko"), ("'tiktko'", "did you mean 'tiktok'")),
        ((*MGCN, "--data", "tiktok", "--write-fixture"), ("leave --data out",)),
        ((*MGCN, "--train"), ("--train needs a data set",)),
        (
            ("itemknn_cbf", "--source", "nowhere", "--data", "tiktok", "--train"),
            ("'itemknn_cbf' has nothing to train",),
        ),
        ((*MGCN, "--theirs", "knn_k"), ("NAME=VALUE", "'knn_k'")),
    ],
)
def test_a_mistake_is_named_before_anything_runs(main, capsys, args, words) -> None:
    with pytest.raises(MMRecError) as caught:
        main(*args)
    message = str(caught.value)
    for word in words:
        assert word in message
    assert "\n" not in message
    assert not capsys.readouterr().out


def test_an_unknown_option_of_ours_is_refused_as_one_of_the_scripts(
    main, capsys
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(*MGCN, "--ours", "nothing=1")
    assert "unknown option '--nothing'" in capsys.readouterr().err
