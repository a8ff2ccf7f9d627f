from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pyg_mmrec import Folder
from pyg_mmrec import run as train

SMALL = {"epochs": 2, "dim": 8, "batch_size": 64, "progress": False, "device": "cpu"}
BAD = "<script>alert(1)</script>"


@pytest.fixture(scope="package")
def kept(tmp_path_factory) -> Path:
    """A data set whose titles try to be more than text, and three runs on it."""
    place = tmp_path_factory.mktemp("kept")
    rng = np.random.default_rng(0)
    shop = place / "shop"
    shop.mkdir()
    rows = [
        (f"u{u}", f"i{i}") for u in range(30) for i in rng.choice(40, 8, replace=False)
    ]
    table = pd.DataFrame(rows, columns=["user", "item"])
    table.to_csv(shop / "interactions.csv", index=False)
    titles = {"item": [f"i{i}" for i in range(40)], "title": [BAD] * 40}
    pd.DataFrame(titles).to_csv(shop / "items.csv", index=False)
    for name in ("image", "text"):
        features = pd.DataFrame(rng.normal(size=(40, 6)))
        features.insert(0, "item", titles["item"])
        features.to_csv(shop / f"{name}.csv", index=False)
    data = Folder(shop)
    train(data, "vbpr", output=place / "runs/vbpr", **SMALL)
    for seed in (0, 1):
        out = place / f"runs/lightgcn/seed{seed}"
        train(data, "lightgcn", output=out, seed=seed, **SMALL)
    return place
