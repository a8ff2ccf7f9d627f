"""TikTok micro-videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyg_mmrec.datasets.prepared import Prepared


class TikTok(Prepared):
    """TikTok micro-videos with image and audio features, published split.

    Reads ``root/tiktok/tiktok.inter`` and ``<modality>_feat.npy``.

    Args:
        root: Parent folder of the data sets.
        modalities: Which modalities to load; all that there are if ``None``.
        **options: As in :class:`~pyg_mmrec.datasets.Dataset`.

    Example:
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from pyg_mmrec import TikTok
        >>> Path("data/tiktok").mkdir(parents=True)
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
