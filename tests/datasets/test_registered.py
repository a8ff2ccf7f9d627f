"""Every data set that the command line knows has a card, a script, and its options."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pyg_mmrec.commands.cli import parse
from pyg_mmrec.datasets import DATASETS, MicroLens, own_options, word_of
from pyg_mmrec.datasets.about import ABOUT, about

ROOT = Path(__file__).parents[2]
NEW = [
    *(f"microlens-{size}" for size in MicroLens.titles),
    *("movielens-1m", "amazon-2023", "netflix", "lastfm", "tiktok"),
]


@pytest.mark.parametrize("name", NEW)
def test_published_data_sets_have_a_card_a_script_and_a_line_of_the_readme(
    name,
) -> None:
    assert about(name) is not None
    assert f"`{name}`" in (ROOT / "data" / "README.md").read_text()
    script = ROOT / "scripts" / f"{name.replace('-', '_')}.py"
    assert f'main("{name}")' in script.read_text()


def test_cards_are_of_data_sets_that_there_are() -> None:
    assert set(NEW) <= set(ABOUT) <= set(DATASETS)
    for known in ABOUT.values():
        assert all(line.partition(": ")[2] for line in known.lines())


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_options_of_a_data_set_are_told_by_the_command_line(name) -> None:
    args = parse(name, [], method="popularity")
    assert sorted(args.data_options) == sorted(own_options(name))


def test_options_of_published_data_sets_are_read() -> None:
    line = ["--features", "image=vgg", "text=all-mpnet-base-v2", "--protocol", "all"]
    args = parse("movielens-1m", line, method="popularity")
    assert args.features == {"image": "vgg", "text": "all-mpnet-base-v2"}
    assert args.protocol == "all"
    args = parse("amazon-2023", ["--category", "Software"], method="popularity")
    assert args.category == "Software"


def test_the_word_of_a_data_set_is_found_by_what_it_tells() -> None:
    told = {"class": "MicroLens", "arguments": {"size": "100k"}}
    assert word_of("microlens-100k", told) == "microlens-100k"
    told = {"class": "Amazon2023", "arguments": {"category": "Software"}}
    assert word_of("amazon-2023-Software", told) == "amazon-2023"
    told = {"class": "MovieLens100K", "arguments": {}}
    assert word_of("ml-100k", told) == "movielens"
    told = {"class": "Folder", "arguments": {"path": "/a/baby"}}
    assert word_of("baby", told) == "/a/baby"


def test_a_card_is_shown_before_the_data_are_got(command, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "gdown", None)  # as where it is not installed
    code, out, err = command("inspect netflix")
    assert (code, "13,187 users" in out) == (2, True)
    assert "in a browser" in err


def test_a_line_that_names_no_encoder_is_refused(command) -> None:
    for words in ("image", "image=vgg image=vgg", "=vgg"):
        code, _, err = command(f"inspect movielens-1m --features {words}")
        assert (code, "MODALITY=ENCODER" in err) == (2, True)
    code, _, err = command("inspect movielens-1m --features image=resnet")
    assert (code, "unknown encoder of image 'resnet'" in err) == (2, True)
