"""Downloads from a server that breaks off, changes, and answers with pages."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import shutil

import pytest

from pyg_mmrec.datasets import download, transfer
from pyg_mmrec.datasets.download import Remote, get
from pyg_mmrec.errors import MMRecError
from tests.datasets.site import Site

CONTENT = bytes(range(256)) * 40
MD5 = ("md5", hashlib.md5(CONTENT).hexdigest())


@pytest.fixture
def file(site) -> Remote:
    site.files["/set/file.bin"] = CONTENT
    return Remote(f"{site.url}/set/file.bin", "file.bin", MD5)


def test_what_breaks_off_goes_on_at_once(site, file, tmp_path) -> None:
    site.cuts["/set/file.bin"] = [1000, 2000]
    get([file], tmp_path)
    assert [start for _, start in site.asked] == [0, 1000, 3000]
    assert [p.name for p in tmp_path.iterdir()] == ["file.bin"]
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    get([file], tmp_path)
    assert len(site.asked) == 3


def test_what_breaks_off_for_good_goes_on_the_next_time(site, file, tmp_path) -> None:
    site.cuts["/set/file.bin"] = [1000, 0]
    with pytest.raises(MMRecError, match="after 1000 of 10240 bytes, which are kept"):
        get([file], tmp_path)
    assert not (tmp_path / "file.bin").exists()
    site.asked.clear()
    get([file], tmp_path)
    assert [start for _, start in site.asked] == [1000]
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_file_that_has_changed_meanwhile_begins_anew(site, file, tmp_path) -> None:
    site.cuts["/set/file.bin"] = [1000, 0]
    with pytest.raises(MMRecError, match="broke off"):
        get([file], tmp_path)
    site.files["/set/file.bin"] = b"another" * 500
    get([Remote(file.url, "file.bin")], tmp_path)
    assert (tmp_path / "file.bin").read_bytes() == b"another" * 500


def test_a_file_that_has_shrunk_begins_anew(site, file, tmp_path) -> None:
    site.cuts["/set/file.bin"] = [1000, 0]
    with pytest.raises(MMRecError, match="broke off"):
        get([file], tmp_path)
    site.files["/set/file.bin"] = b"short"
    with pytest.raises(MMRecError, match="has md5"):
        get([file], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_cannot_go_on(site, file, tmp_path) -> None:
    site.ranges = False
    site.cuts["/set/file.bin"] = [1000]
    with pytest.raises(MMRecError, match="after 1000 of 10240 bytes and was removed"):
        get([file], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_was_killed_with_all_in_hand(site, file, tmp_path) -> None:
    partial = transfer.Partial(
        tmp_path / ".file.bin.download", tmp_path / ".file.bin.from"
    )
    partial.file.write_bytes(CONTENT)
    headers = {"Accept-Ranges": "bytes", "ETag": '"1"', "Content-Length": "10240"}
    partial.begin(file.url, headers)
    get([file], tmp_path)
    assert (site.asked, len(list(tmp_path.iterdir()))) == ([], 1)


@pytest.mark.parametrize("kind", ["md5", "sha256", "git"])
def test_a_wrong_checksum_is_refused_in_a_sentence(site, file, tmp_path, kind) -> None:
    with pytest.raises(MMRecError, match=f"file.bin has {kind} [0-9a-f]+, expected 00"):
        get([Remote(file.url, "file.bin", (kind, "00"))], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_git_names_a_content(site, tmp_path) -> None:
    site.files["/a"] = b"hello\n"  # git hash-object
    name = ("git", "ce013625030ba8dba906f756967f9e9ca394464a")
    get([Remote(f"{site.url}/a", "a", name)], tmp_path)
    assert (tmp_path / "a").read_bytes() == b"hello\n"


def test_what_is_not_there(site, tmp_path) -> None:
    with pytest.raises(download.Unreachable, match=f"answers 404 .*hand to {tmp_path}"):
        get([Remote(f"{site.url}/no", "no")], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_network(tmp_path) -> None:
    closed = Site()
    closed.close()
    with pytest.raises(download.Unreachable, match="cannot be reached.*the connection"):
        get([Remote(f"{closed.url}/a", "a")], tmp_path / "data" / "new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><p>Sign in", b"\n <HTML lang='en'>"])
def test_a_page_in_the_place_of_an_archive(site, tmp_path, page) -> None:
    site.files["/set.zip"] = page
    with pytest.raises(MMRecError, match="answers with a page in the place of set.zip"):
        get([Remote(f"{site.url}/set.zip", "set.zip")], tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["set.zip", "set.csv.gz", "set.npy"])
def test_what_is_damaged_is_not_trusted(site, tmp_path, name) -> None:
    site.files["/set"] = gzip.compress(CONTENT)[:-20]
    with pytest.raises(MMRecError, match="cut short"):
        get([Remote(f"{site.url}/set", name)], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_room_is_told_before(site, file, tmp_path, monkeypatch) -> None:
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, 100))
    with pytest.raises(MMRecError, match="takes 10,240 bytes more, and 100 are free"):
        get([file], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_no_broken_connection(site, file, tmp_path, monkeypatch) -> None:
    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(transfer, "open", lambda *_: Full(), raising=False)
    with pytest.raises(MMRecError, match="file.bin cannot be written .No space left"):
        get([file], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_first_download_is_recorded_and_another_refused(site, tmp_path) -> None:
    site.files["/a.csv"] = b"a,b\n"
    remote = Remote(f"{site.url}/a.csv", "a.csv")
    get([remote], tmp_path)
    (tmp_path / "a.csv").unlink()
    site.files["/a.csv"] = b"c,d\n"
    with pytest.raises(MMRecError, match="when it was downloaded first"):
        get([remote], tmp_path)
    assert not (tmp_path / "a.csv").exists()


def test_a_second_process_does_not_write_into_the_part_of_the_first(
    site, file, tmp_path
) -> None:
    with transfer.partial_of(tmp_path / "file.bin") as first:
        first.file.write_bytes(b"begun")
        get([file], tmp_path)
        assert first.file.read_bytes() == b"begun"
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert [p.name for p in tmp_path.iterdir()] == ["file.bin"]
