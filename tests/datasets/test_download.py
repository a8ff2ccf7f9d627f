from __future__ import annotations

import hashlib
import io
import json
import subprocess
from email.message import Message
from urllib.error import HTTPError, URLError

import numpy as np
import pytest

from pyg_mmrec.datasets import Amazon, download, transfer
from pyg_mmrec.errors import MMRecError
from tests.datasets.files import inter_rows

URL = "https://example.org/file.bin"


class Answer(io.BytesIO):
    def __init__(self, content: bytes, length: int | None = None) -> None:
        super().__init__(content)
        self.headers = {} if length is None else {"Content-Length": str(length)}


def answer(monkeypatch, respond):
    monkeypatch.setattr(
        transfer, "urlopen", lambda request, **_: respond(request.full_url)
    )


def test_whole_download(tmp_path, monkeypatch):
    answer(monkeypatch, lambda url: Answer(b"content", 7))
    md5 = hashlib.md5(b"content").hexdigest()
    path = download.fetch(URL, tmp_path / "file", md5)
    assert path.read_bytes() == b"content"
    assert list(tmp_path.iterdir()) == [path]


def test_truncated_download_is_removed(tmp_path, monkeypatch):
    answer(monkeypatch, lambda url: Answer(b"cont", 7))
    with pytest.raises(MMRecError, match="broke off after 4 of 7 bytes"):
        download.fetch(URL, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_changed_download_is_removed(tmp_path, monkeypatch):
    answer(monkeypatch, lambda url: Answer(b"another"))
    with pytest.raises(MMRecError, match=r"example.org/file.bin has md5 .*expected 00"):
        download.fetch(URL, tmp_path / "file", "00")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (URLError("no route"), "cannot be reached.*no route"),
        (HTTPError(URL, 404, "Not Found", Message(), None), "answers 404 Not Found"),
        (TimeoutError("timed out"), "cannot be reached.*timed out"),
    ],
)
def test_unreachable(tmp_path, monkeypatch, error, message):
    def fail(url):
        raise error

    answer(monkeypatch, fail)
    with pytest.raises(download.Unreachable, match=message):
        download.fetch(URL, tmp_path / "file")


def test_pip_that_fails(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "first\nERROR: no such package\n")
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: failed)
    with pytest.raises(download.Unreachable, match=r"cannot download x==1 \(ERROR: no"):
        download.pip_wheel("x==1", tmp_path)


def array(values) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def published(url: str) -> Answer:
    name = url.rsplit("/", 1)[1]
    if name.endswith("_feat.npy"):
        return Answer(array(np.ones((5, 3))))
    label = ("train.npy", "valid.npy", "test.npy").index(name)
    rows = inter_rows()[lambda r: r.x_label == label]
    return Answer(array(rows[["userID", "itemID"]].to_numpy().T))


def test_amazon_downloads_the_published_files(tmp_path, monkeypatch):
    asked = []

    def respond(url):
        asked.append(url)
        return published(url)

    answer(monkeypatch, respond)
    dataset = Amazon(tmp_path, "baby")
    assert "interactions=18/6/6" in repr(dataset)
    assert dataset.modalities == ["image", "text"]
    assert len(asked) == 5
    assert all("/MrShouxingMa/Baby/resolve/main/" in url for url in asked)
    Amazon(tmp_path, "baby")
    assert len(asked) == 5


def test_amazon_out_of_reach_says_what_to_put_where(tmp_path, monkeypatch):
    def fail(url):
        raise URLError("no route")

    answer(monkeypatch, fail)
    with pytest.raises(MMRecError, match=r"put baby.inter.*no route"):
        Amazon(tmp_path, "baby")


def test_published_file_that_is_cut_short_is_removed(tmp_path, monkeypatch):
    answer(monkeypatch, lambda url: Answer(published(url).getvalue()[:-9]))
    with pytest.raises(MMRecError, match="cut short"):
        Amazon(tmp_path, "baby")
    assert not list((tmp_path / "baby").glob("*.npy"))
    answer(monkeypatch, published)
    Amazon(tmp_path, "baby")


def test_a_published_file_that_changes_is_refused(tmp_path, monkeypatch):
    answer(monkeypatch, published)
    Amazon(tmp_path, "baby")
    folder = tmp_path / "baby"
    known = json.loads((folder / download.RECORD).read_text())
    assert len(known) == 5
    for url, digest in known.items():
        content = (folder / url.rsplit("/", 1)[1]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
    (folder / "text_feat.npy").unlink()
    (folder / "test.npy").unlink()
    answer(monkeypatch, lambda url: Answer(array(np.zeros((5, 3)))))
    with pytest.raises(MMRecError, match="had .* when it was downloaded first"):
        Amazon(tmp_path, "baby")
    assert not (folder / "text_feat.npy").exists()
    answer(monkeypatch, published)
    Amazon(tmp_path, "baby")


def test_a_damaged_record_of_downloads_is_named(tmp_path, monkeypatch):
    answer(monkeypatch, published)
    (tmp_path / "baby").mkdir()
    (tmp_path / "baby" / download.RECORD).write_text("[1]")
    with pytest.raises(MMRecError, match=r"downloads.json, the checksums.*mend it"):
        Amazon(tmp_path, "baby")
