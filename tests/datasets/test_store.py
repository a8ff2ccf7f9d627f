"""Kept graphs: by content, whole, for others too, and never in the way."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pyg_mmrec.datasets import Folder, store
from pyg_mmrec.datasets.sources import content_digest
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS, ITEM
from tests.datasets.bad.damage import NUM_ITEMS

ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")


def graphs(folder: Path) -> list[Path]:
    return sorted((folder / "processed").iterdir())


def test_features_changed_with_size_and_time_kept(folder) -> None:
    """As ``cp -p`` and ``rsync -t`` do."""
    before = Folder(folder)[0][ITEM].x_image
    path, was = folder / "image_feat.npy", (folder / "image_feat.npy").stat()
    np.save(path, -np.load(path))
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    now = path.stat()
    assert (now.st_size, now.st_mtime_ns) == (was.st_size, was.st_mtime_ns)
    assert torch.equal(Folder(folder)[0][ITEM].x_image, -before)


def test_a_copy_of_the_folder_finds_its_graph(folder, tmp_path, monkeypatch) -> None:
    Folder(folder)
    (tmp_path / "copy").mkdir()
    shutil.copytree(folder, tmp_path / "copy" / "mine")
    monkeypatch.setattr(Folder, "read", lambda self: pytest.fail("read again"))
    Folder(tmp_path / "copy" / "mine")


def test_a_file_is_hashed_once_while_it_does_not_change(folder, monkeypatch) -> None:
    path = folder / "text.csv"
    first = content_digest(path)
    with monkeypatch.context() as patch:
        patch.setattr("pyg_mmrec.datasets.sources.digest_of", None)
        assert content_digest(path) == first
    path.write_text(path.read_text() + "\n")
    assert content_digest(path) != first


@pytest.mark.parametrize("part", ["folder", "graph.pt"])
def test_a_graph_in_anothers_place_is_not_used(folder, part) -> None:
    shop_edges = Folder(folder)[0][INTERACTS].edge_index
    Folder(folder, seed=1)
    one, two = graphs(folder)
    if part == "folder":
        shutil.rmtree(one)
        shutil.copytree(two, one)
        shutil.rmtree(two)
        shutil.copytree(one, two)
    else:
        for path in (one, two):
            shutil.copy(path / part, path.parent / path.name / f"{part}.was")
        shutil.copy(one / f"{part}.was", two / part)
        shutil.copy(two / f"{part}.was", one / part)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        again = Folder(folder)[0][INTERACTS].edge_index
        Folder(folder, seed=1)
    messages = [str(w.message) for w in caught if "is not used" in str(w.message)]
    assert len(messages) >= 1
    assert all("made anew" in m and "\n" not in m for m in messages)
    assert torch.equal(again, shop_edges)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o755), (0o002, 0o775)])
def test_modes_go_by_the_umask(folder, umask, mode) -> None:
    before = os.umask(umask)
    try:
        Folder(folder)
    finally:
        os.umask(before)
    (made,) = graphs(folder)
    assert stat.S_IMODE(made.stat().st_mode) == mode
    for path in made.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == mode & 0o666


def as_nobody(call: Callable[[], str]) -> str:
    """What a call returns for a user without rights, in a process of its own."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:  # never back into the tests
        try:
            os.setgid(65534)
            os.setuid(65534)
            text = call()
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(theirs, text.encode())
        os._exit(0)
    os.close(theirs)
    with open(ours) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text


@pytest.fixture
def public(folder, monkeypatch) -> Iterator[Path]:
    """The folder where every user may look, who has no place of his own."""
    Folder(folder, cache_dir=folder.parent / "cache")  # whatever is imported late
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        monkeypatch.setenv("XDG_CACHE_HOME", str(place / "no"))
        yield Path(shutil.copytree(folder, place / "mine"))


@ROOT
def test_a_second_user_reads_the_graph_of_the_first(public, monkeypatch) -> None:
    dataset = Folder(public)
    monkeypatch.setattr(Folder, "read", None)
    assert as_nobody(lambda: repr(Folder(public))) == repr(dataset)


@ROOT
def test_without_a_place_to_write_it_is_one_warning(public) -> None:
    def load() -> str:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            dataset = Folder(public)
        return "\n".join([repr(dataset), *(str(w.message) for w in caught)])

    shown, warning = as_nobody(load).splitlines()
    assert shown.startswith("Folder('mine'")
    assert "is not kept in" in warning
    assert not (public / "processed").exists()


@ROOT
@pytest.mark.parametrize("closed", ["folder", "interactions.csv", "text.csv"])
def test_what_may_not_be_read_is_one_sentence(public, closed) -> None:
    (public if closed == "folder" else public / closed).chmod(0)
    text = as_nobody(lambda: repr(Folder(public)))
    assert text.startswith("MMRecError: ")
    assert "cannot be read (Permission denied): give permission" in text


@pytest.mark.parametrize("where", ["torch.save", "pandas.DataFrame.to_parquet"])
def test_a_full_disk_costs_the_kept_graph_alone(folder, monkeypatch, where) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    expected = str(Folder(folder, cache_dir=folder.parent / "elsewhere"))
    monkeypatch.setattr(where, full)
    with pytest.warns(UserWarning, match=r"not kept in .*No space left.*make room"):
        dataset = Folder(folder)
    assert str(dataset) == expected
    assert graphs(folder) == []


def test_what_is_made_is_what_is_read_back(folder) -> None:
    pd.DataFrame({"item": ["i1"], "title": ["=1+1"]}).to_csv(
        folder / "items.csv", index=False
    )
    made, read = Folder(folder), Folder(folder)
    assert made.user_ids.equals(read.user_ids)
    assert made.user_ids.dtype == read.user_ids.dtype
    assert made.item_titles == read.item_titles
    assert made.item_titles[1] == "=1+1"
    one, two = made[0].to_dict(), read[0].to_dict()
    assert list(one) == list(two)
    for key in one:
        assert list(one[key]) == list(two[key])
    assert torch.equal(made[0][ITEM].x_image, read[0][ITEM].x_image)


def test_nothing_there_is_no_graph(tmp_path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.load(tmp_path / "none", "key") is None


PATHS = {
    "long": "x" * 5000,
    "deep": "x/" * 2500,
    "null": "a\0b",
    "nobody's home": "~nobody-of-this-name/data",
    "line break": "a\nb",
    "empty": "",
}


@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize("argument", ["path", "cache_dir"])
def test_paths_that_cannot_be(folder, kind, argument) -> None:
    if argument == "cache_dir" and kind in ("line break", "empty"):
        pytest.skip("those can be")
    paths = {"path": folder, argument: PATHS[kind]}
    with pytest.raises(MMRecError) as caught:
        Folder(**paths)
    text = str(caught.value)
    assert len(text) < 500
    assert text.isprintable()


def test_a_loop_of_links_is_one_sentence(tmp_path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).symlink_to(tmp_path / {"a": "b", "b": "a"}[name])
    with pytest.raises(MMRecError, match="no folder|no path of a folder"):
        Folder(tmp_path / "a")


def test_a_file_in_the_place_of_the_folder(tmp_path) -> None:
    (tmp_path / "data.csv").touch()
    with pytest.raises(MMRecError, match="no folder .*data.csv"):
        Folder(tmp_path / "data.csv")


def test_features_of_every_item_are_kept(folder) -> None:
    assert Folder(folder)[0][ITEM].x_image.size(0) == NUM_ITEMS


@pytest.mark.parametrize("name", [*store.FILES, "key.json"])
@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir])
def test_a_kept_graph_that_is_no_file_is_made_anew(folder, name, make) -> None:
    Folder(folder)
    (made,) = graphs(folder)
    (made / name).unlink()
    make(made / name)
    with pytest.warns(UserWarning, match="is not used .*it is made anew"):
        Folder(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        Folder(folder)
