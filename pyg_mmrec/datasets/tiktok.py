"""TikTok micro-videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pyg_mmrec.datasets.download import Remote, get
from pyg_mmrec.datasets.matrices import read_pairs
from pyg_mmrec.datasets.prepared import Prepared
from pyg_mmrec.files import replacing

PLACE = (
    "https://raw.githubusercontent.com/HKUDS/DiffMM/"
    "fae20e642aeeaad4284be6f7fb3432ebb551da8e/Datasets/tiktok"
)
# What git calls the contents there; a part of the split each, then a modality each.
MATRICES = {
    "trnMat.pkl": "e2592cf4a18e9ddcd6a0814679d4faf34d08a373",
    "valMat.pkl": "88e3722afb991c295d7987866e2284877a46ddde",
    "tstMat.pkl": "1daea6b69c98210371168e1965aaa1d135e0d0ea",
}
FEATURES = {
    "image_feat.npy": "27ac000dc2feaefdfa06d238d588793dd8ea80ba",
    "audio_feat.npy": "1d0671948dfc54756f5f20a0dbc3026e40f74452",
    "text_feat.npy": "f056985c131d90c19c5265af033b095f525e5ce2",
}


class TikTok(Prepared):
    """TikTok micro-videos with features of image, audio and text, published split.

    Reads ``root/tiktok/`` in any layout of :mod:`pyg_mmrec.datasets.readers`. If it is
    not there it is downloaded as DiffMM's authors share it
    (https://github.com/HKUDS/DiffMM, each file checked by git's name of it), and
    ``tiktok.inter`` is written from their three matrices: 9,308 users, 6,710 videos,
    ``image`` and ``audio`` 128, ``text`` 768. MMSSL (https://arxiv.org/abs/2302.10632)
    and DiffMM (https://arxiv.org/abs/2406.11781) use it.

    Args:
        root: Parent folder of the data sets.
        modalities: Which modalities to load; all that there are if ``None``.
        **options: As in :class:`~pyg_mmrec.datasets.Dataset`.

    Example:
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from pyg_mmrec import TikTok
        >>> Path("data/tiktok").mkdir(parents=True)  # else the release is downloaded
        >>> for n, part in enumerate(("train", "valid", "test")):
        ...     np.save(f"data/tiktok/{part}.npy", [[user, n] for user in range(5)])
        ...
        >>> np.save("data/tiktok/audio_feat.npy", np.ones((3, 8)))
        >>> TikTok("data").modalities
        ['audio']
    """

    def __init__(
        self,
        root: Path | str,
        modalities: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(root, "tiktok", modalities, **options)

    def download(self) -> None:
        """Download what is published, and write its interactions as a table.

        Raises:
            MMRecError: If it cannot be had whole.
        """
        files = {**FEATURES, **MATRICES}
        with self.downloading():
            get(
                [Remote(f"{PLACE}/{f}", f, ("git", files[f])) for f in files],
                self.folder,
            )
        self._write_table()

    def _write_table(self) -> None:
        parts = [
            pd.DataFrame(
                read_pairs(self.folder / name), columns=["userID", "itemID"]
            ).assign(x_label=label)
            for label, name in enumerate(MATRICES)
        ]
        table = pd.concat(parts).sort_values("userID", kind="stable")
        with replacing(self.folder / "tiktok.inter") as file:
            table.to_csv(file, sep="\t", index=False)
