"""Files of a shared folder, by gdown itself; the drive's answers are ours."""

from __future__ import annotations

import io
import re
import sys

import numpy as np
import pytest
import requests
from urllib3 import HTTPResponse

from pyg_mmrec.datasets.drive import get_shared
from pyg_mmrec.datasets.sources import check_file, read_npy
from pyg_mmrec.errors import MMRecError

SHARED = "folder" + "0" * 24
CHECKS = {"titles.csv": check_file, "image_feat.npy": read_npy}


def array(value: float) -> bytes:
    file = io.BytesIO()
    np.save(file, np.full((2, 3), value))
    return file.getvalue()


class Drive:
    """What Google's drive answers, of files by their path in the shared folder."""

    def __init__(self) -> None:
        self.files = {"image_feat.npy": array(1), "old/image_feat.npy": array(2)}
        self.files["titles.csv"] = b"1,a\n"
        self.asked: list[str] = []
        self.broken: set[str] = set()

    def identity(self, path: str) -> str:
        return re.sub(r"\W", "-", path).ljust(30, "0")

    def send(self, adapter, request, **_) -> requests.Response:
        self.asked.append(request.url)
        status, headers, body = self.answer(request.url)
        raw = HTTPResponse(
            io.BytesIO(body), headers, status, preload_content=False
        )  # fmt: skip
        return adapter.build_response(request, raw)

    def answer(self, url: str) -> tuple[int, dict[str, str], bytes]:
        if "embeddedfolderview" in url:
            return 200, {"Content-Type": "text/html"}, self.listing(url).encode()
        for path, content in self.files.items():
            if url.endswith(self.identity(path)):
                if path in self.broken:
                    return 200, {"Content-Type": "text/html"}, b"<p>too many</p>"
                name = path.rpartition("/")[2]
                told = {"Content-Disposition": f'attachment; filename="{name}"'}
                kind = {"Content-Type": "application/octet-stream"}
                return (
                    200,
                    {**kind, **told, "Content-Length": str(len(content))},
                    content,
                )
        return 404, {"Content-Type": "text/html"}, b""

    def listing(self, url: str) -> str:
        folder = "old/" if url.endswith(self.identity("old")) else ""
        links = [
            f'<a href="https://drive.google.com/file/d/{self.identity(path)}/view">'
            f"{path.removeprefix(folder)}</a>"
            for path in self.files
            if path.startswith(folder) and "/" not in path.removeprefix(folder)
        ]
        if not folder:
            old = self.identity("old")
            links.append(
                f'<a href="https://drive.google.com/drive/folders/{old}">old</a>'
            )
        return f"<title>shared</title>{''.join(links)}"


@pytest.fixture
def drive(monkeypatch) -> Drive:
    pytest.importorskip("gdown")
    there = Drive()
    monkeypatch.setattr(
        requests.adapters.HTTPAdapter, "send", lambda *a, **kw: there.send(*a, **kw)
    )
    return there


def test_files_come_by_their_names_and_are_recorded(drive, tmp_path) -> None:
    folder = tmp_path / "data" / "films"
    get_shared(SHARED, folder, CHECKS)
    assert (folder / "titles.csv").read_text() == "1,a\n"
    assert np.load(folder / "image_feat.npy").max() == 1  # not that of the older folder
    assert sorted(p.name for p in folder.iterdir()) == [
        "downloads.json", "image_feat.npy", "titles.csv"
    ]  # fmt: skip
    asked = len(drive.asked)
    get_shared(SHARED, folder, CHECKS)
    assert len(drive.asked) == asked  # nothing lacks


def test_a_file_that_changed_is_refused(drive, tmp_path) -> None:
    get_shared(SHARED, tmp_path, CHECKS)
    (tmp_path / "image_feat.npy").unlink()
    drive.files["image_feat.npy"] = array(3)
    with pytest.raises(MMRecError, match="it was changed"):
        get_shared(SHARED, tmp_path, CHECKS)
    assert not (tmp_path / "image_feat.npy").exists()


def test_a_damaged_file_is_refused(drive, tmp_path) -> None:
    drive.files["image_feat.npy"] = array(1)[:-8]
    with pytest.raises(MMRecError, match="cut short"):
        get_shared(SHARED, tmp_path, CHECKS)
    assert not (tmp_path / "image_feat.npy").exists()


def test_what_the_folder_lacks_is_named(drive, tmp_path) -> None:
    del drive.files["titles.csv"]
    with pytest.raises(
        MMRecError, match=f"folders/{SHARED} has no titles.csv any more"
    ):
        get_shared(SHARED, tmp_path / "films", CHECKS)
    assert not (tmp_path / "films").exists()
    get_shared(SHARED, tmp_path / "films", CHECKS, optional=["titles.csv"])
    assert (tmp_path / "films" / "image_feat.npy").exists()


def test_a_file_that_the_drive_keeps_back_is_one_sentence(drive, tmp_path) -> None:
    drive.broken.add("image_feat.npy")
    with pytest.raises(MMRecError, match="gives no file.*try again later") as raised:
        get_shared(SHARED, tmp_path, CHECKS)
    assert "\n" not in str(raised.value)


def test_a_drive_out_of_reach_is_one_sentence(drive, tmp_path, monkeypatch) -> None:
    def refuse(*_, **__):
        raise requests.ConnectionError("no route to host")

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", refuse)
    with pytest.raises(MMRecError, match=r"folders/folder0+ gives no file \(Conn"):
        get_shared(SHARED, tmp_path / "films", CHECKS)
    assert not (tmp_path / "films").exists()


def test_without_gdown_the_folder_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "gdown", None)
    with pytest.raises(
        MMRecError, match=r"needs the package gdown.*\[drive\]'.*in a browser.*titles"
    ):
        get_shared(SHARED, tmp_path / "films", CHECKS)
    assert not (tmp_path / "films").exists()
