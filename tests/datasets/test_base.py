from __future__ import annotations

import os
import shutil
import warnings

import numpy as np
import pytest
import torch
from torch_geometric.transforms import BaseTransform, Compose

from pyg_mmrec.datasets import Amazon
from pyg_mmrec.datasets.places import is_writable
from pyg_mmrec.datasets.store import FILES
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS, ITEM, USER
from pyg_mmrec.transforms import KCore, Split
from tests.datasets.files import inter_rows, write_feature, write_inter


class Mark(BaseTransform):
    def __init__(self, value):
        self.value = value

    def forward(self, data):
        data[ITEM].mark = torch.tensor(self.value)
        return data

    def __repr__(self):
        return f"Mark({self.value})"


def test_changed_files_are_processed_anew(tmp_path):
    write_inter(tmp_path / "baby")
    assert len(Amazon(tmp_path, "baby").user_ids) == 6
    write_inter(tmp_path / "baby", inter_rows()[lambda r: r.userID < 4])
    assert len(Amazon(tmp_path, "baby").user_ids) == 4
    write_feature(tmp_path / "baby", "image")
    assert Amazon(tmp_path, "baby").modalities == ["image"]


def test_options_are_part_of_the_digest(tmp_path):
    write_inter(tmp_path / "baby")
    for value in (1, 2):
        dataset = Amazon(tmp_path, "baby", pre_transform=Mark(value))
        assert dataset[0][ITEM].mark.item() == value
    assert "mark" not in Amazon(tmp_path, "baby")[0][ITEM]
    data = Amazon(tmp_path, "baby", transform=Mark(3))[0]
    assert data[ITEM].mark.item() == 3


def test_processed_once(tmp_path, monkeypatch):
    write_inter(tmp_path / "baby")
    Amazon(tmp_path, "baby")
    monkeypatch.setattr(Amazon, "read", lambda self: pytest.fail("read again"))
    Amazon(tmp_path, "baby")
    with pytest.raises(pytest.fail.Exception):
        Amazon(tmp_path, "baby", force_reload=True)


def test_transform_without_repr_is_refused(tmp_path):
    write_inter(tmp_path / "baby")
    with pytest.raises(MMRecError, match=r"pre_transform=.*memory address"):
        Amazon(tmp_path, "baby", pre_transform=lambda data: data)
    with pytest.raises(MMRecError, match=r"split=0.8 is no way to split"):
        Amazon(tmp_path, "baby", split=0.8)


@pytest.mark.parametrize("name", [*FILES, "key.json"])
def test_damaged_processed_graph(tmp_path, name):
    write_inter(tmp_path / "baby")
    Amazon(tmp_path, "baby")
    path = next((tmp_path / "baby" / "processed").rglob(name))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1  # in a tensor it would load without a complaint
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=r"not used .*it is made anew") as caught:
        Amazon(tmp_path, "baby")
    assert len([w for w in caught if w.category is UserWarning]) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        Amazon(tmp_path, "baby")  # whole again


def test_stopped_while_writing_leaves_nothing(tmp_path, monkeypatch):
    write_inter(tmp_path / "baby")

    def stop(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            Amazon(tmp_path, "baby")
    assert list((tmp_path / "baby" / "processed").iterdir()) == []
    Amazon(tmp_path, "baby")


def test_read_only_folder_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_inter(tmp_path / "baby")
    (tmp_path / "baby").chmod(0o555)
    try:
        assert not is_writable(tmp_path / "baby" / "processed")
        dataset = Amazon(tmp_path, "baby")
        assert not (tmp_path / "baby" / "processed").exists()
        assert dataset.processed_dir.startswith(str(tmp_path / "cache"))
    finally:
        (tmp_path / "baby").chmod(0o755)


def test_cache_dir(tmp_path):
    write_inter(tmp_path / "baby")
    dataset = Amazon(tmp_path, "baby", cache_dir=tmp_path / "elsewhere")
    assert dataset.processed_dir == str(tmp_path / "elsewhere")
    assert not (tmp_path / "baby" / "processed").exists()


def test_k_core_takes_ids_and_titles_along(tmp_path):
    rows = inter_rows()
    rows.loc[len(rows)] = (6, 0, 0)  # a user with one interaction
    write_inter(tmp_path / "baby", rows)
    x = write_feature(tmp_path / "baby", "image")
    split = Compose([KCore(5), Split(seed=1)])
    dataset = Amazon(tmp_path, "baby", split=split)
    assert dataset[0][USER].num_nodes == len(dataset.user_ids) == 6
    assert np.array_equal(dataset[0][ITEM].x_image.numpy(), x[dataset.item_ids])
    assert "kept" not in dataset[0][USER]


def test_split_without_labels_is_refused(tmp_path):
    write_inter(tmp_path / "baby")
    with pytest.raises(MMRecError, match="without validation or test"):
        Amazon(tmp_path, "baby", split=KCore(1))


def test_graph_is_copied_at_every_access(tmp_path):
    write_inter(tmp_path / "baby")
    dataset = Amazon(tmp_path, "baby")
    dataset[0][INTERACTS].edge_weight = torch.ones(18)
    assert "edge_weight" not in dataset[0][INTERACTS]
    assert len(dataset) == 1


def test_another_process_may_win_the_race(tmp_path, monkeypatch):
    write_inter(tmp_path / "baby")
    replace = os.replace

    def late(source, target):
        shutil.copytree(source, target)  # the other one, a moment earlier
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", late)
        Amazon(tmp_path, "baby")
    assert len(list((tmp_path / "baby" / "processed").iterdir())) == 1
