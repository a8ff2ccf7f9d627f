from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyg_mmrec.config import (
    Parser,
    add_arguments,
    from_dict,
    option,
    override,
    to_dict,
)
from pyg_mmrec.errors import MMRecError


@dataclass
class Config:
    layers: int = option(2, "layers, 100 % of them")
    rate: float = option(0.1, "rate")
    name: str = option("a", "name")
    flag: bool = option(True, "flag")
    kind: Literal["x", "y"] = option("x", "kind")
    sizes: tuple[int, ...] = option((1, 2), "sizes")
    weights: dict[str, float] = option({"image": 0.5}, "weights")
    limit: int | None = option(None, "limit")
    pair: tuple[int, float] = option((1, 2.0), "pair")
    layer_type: str | Callable[[], int] = option("A", "layer")


def parse(*argv: str) -> dict:
    parser = Parser(prog="test")
    add_arguments(parser, Config, "config")
    return vars(parser.parse_args(argv))


configs = st.builds(
    Config,
    layers=st.integers(),
    rate=st.floats(allow_nan=False, allow_infinity=False),
    name=st.text(),
    flag=st.booleans(),
    kind=st.sampled_from("xy"),
    sizes=st.lists(st.integers()).map(tuple),
    weights=st.dictionaries(st.text(), st.floats(0, 1)),
    limit=st.none() | st.integers(),
    pair=st.tuples(st.integers(), st.floats(0, 1)),
    layer_type=st.text(),
)


@given(configs)
def test_json_round_trip(config) -> None:
    assert from_dict(Config, json.loads(json.dumps(to_dict(config)))) == config


def test_command_line_gives_only_what_was_given() -> None:
    assert parse() == {}
    given_ = parse(
        "--layers", "3", "--rate", "1", "--no-flag", "--kind", "y",
        "--sizes", "4", "5", "--weights", "image=0.1", "text=0.9",
    )  # fmt: skip
    assert given_ == {
        "layers": 3, "rate": 1.0, "flag": False, "kind": "y", "sizes": [4, 5],
        "weights": {"image": 0.1, "text": 0.9},
    }  # fmt: skip
    assert from_dict(Config, given_).sizes == (4, 5)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--layer", "3"], "unknown option '--layer': did you mean '--layers'"),
        (["--layers", "x"], "needs to be an integer (got 'x')"),
        (["--weights", "image"], "needs to be NAME=NUMBER (got 'image')"),
        (["--kind", "z"], "unknown value 'z': choose one of x, y"),
        (["--sizes", "1,a"], "needs to be an integer (got 'a')"),
        (["--weights", "=1"], "needs to be NAME=NUMBER (got '=1')"),
        (["--limit", "few"], "needs to be an integer (got 'few')"),
        (["stray"], "unknown argument 'stray'"),
    ],
)
def test_mistakes_leave_with_code_2_and_one_line(argv, message, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        parse(*argv)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_help_shows_defaults_and_presets(capsys) -> None:
    parser = Parser(formatter_class=argparse.HelpFormatter)
    add_arguments(parser, Config, "config", {"rate": 0.7})
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    text = capsys.readouterr().out
    for word in ("100 % of them", "default: 0.7", "image=0.5", "--no-flag"):
        assert word in text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"layer": 1}, "unknown option 'layer': did you mean 'layers'"),
        ({"layers": "many"}, "'layers' needs to be an integer .got 'many'."),
        ({"limit": "x"}, "'limit' needs to be an integer or none .got 'x'."),
        ({"pair": [1]}, "'pair' needs to be 2 values: an integer, a number"),
        ({1: 2}, "unknown option '1'"),
        ({"layers": True}, "'layers' needs to be an integer .got True."),
        ({"kind": "z"}, "unknown value of kind 'z'"),
        ({"sizes": 3}, "'sizes' needs to be a list of an integer"),
        ({"weights": {"image": "x"}}, "'weights' needs to be a number"),
    ],
)
def test_values_are_checked(values, message) -> None:
    with pytest.raises(MMRecError, match=message):
        from_dict(Config, values)


def test_override_leaves_the_original() -> None:
    config = Config()
    assert override(config, layers=5).layers == 5
    assert config.layers == 2
    assert Config().weights is not Config().weights


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--sizes", "4,5"], {"sizes": [4, 5]}),
        (["--sizes"], {"sizes": []}),
        (["--weights", "image=1,text=2"], {"weights": {"image": 1.0, "text": 2.0}}),
        (["--limit", "3"], {"limit": 3}),
        (["--limit", "none"], {"limit": None}),
        (["--layer_type", "GATConv"], {"layer_type": "GATConv"}),
        (["--layer_type=a_b"], {"layer_type": "a_b"}),
        (["--no_flag"], {"flag": False}),
        (["--flag=false"], {"flag": False}),
        (["--flag=True"], {"flag": True}),
        (["--no-flag=true"], {"flag": False}),
        (["--no-flag=false"], {"flag": True}),
    ],
)
def test_spellings_of_the_command_line(argv, expected) -> None:
    assert parse(*argv) == expected
    assert from_dict(Config, expected)


def test_a_switch_is_true_or_false(capsys) -> None:
    with pytest.raises(SystemExit):
        parse("--flag=maybe")
    said = capsys.readouterr().err
    assert said == "test: argument --flag: needs to be true or false (got 'maybe')\n"


def test_values_that_words_cannot_spell_have_no_option() -> None:
    @dataclass
    class Other:
        make: Callable[[], int] = option(int, "a callable")

    parser = Parser()
    add_arguments(parser, Other)
    assert "--make" not in parser.format_help()


def test_two_stages_leave_the_second_stages_options_to_it() -> None:
    first = Parser(add_help=False)
    first.add_argument("--method", default="a")
    found, rest = first.parse_known_args(["--layers", "3", "--method", "b", "--help"])
    assert found.method == "b"
    assert rest == ["--layers", "3", "--help"]


def test_callables_are_written_by_name() -> None:
    config = override(Config(), layer_type=int)
    assert config.layer_type is int
    assert to_dict(config)["layer_type"] == "int"


def test_numbers_of_numpy_become_plain() -> None:
    config = from_dict(Config, {"layers": np.int64(3), "rate": np.float32(0.5)})
    assert type(config.layers) is int
    assert type(config.rate) is float


def test_a_field_without_default_is_asked_for() -> None:
    @dataclass
    class Needs:
        width: int

    with pytest.raises(MMRecError, match="'width' is missing.*an integer"):
        from_dict(Needs, {})


def test_help_shows_a_default_once_and_no_none() -> None:
    parser = Parser()
    parser.add_argument("--unset", help="first")
    parser.add_argument("--listed", default=["a", "b"], help="second")
    parser.add_argument("--zero", default=0, help="naught")
    parser.add_argument("--own", default=None, help="third (default: all)")
    words = " ".join(parser.format_help().split())
    assert "first --listed" in words
    assert "second (default: a b)" in words
    assert "naught (default: 0)" in words
    assert words.endswith("third (default: all)")
