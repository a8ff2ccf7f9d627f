"""Amazon reviews: baby, sports, clothing, video games, beauty."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from pyg_mmrec.datasets.download import Remote, get
from pyg_mmrec.datasets.prepared import Prepared, missing
from pyg_mmrec.datasets.readers import SPLIT_FILES
from pyg_mmrec.errors import MMRecError, unknown

logger = logging.getLogger(__name__)
_HUB = "https://huggingface.co/datasets/{repo}/resolve/main/{file}"


class Amazon(Prepared):
    """Amazon reviews, 5-core: baby, sports, clothing, video_games, beauty.

    Reads ``root/<name>/`` in any layout of :mod:`pyg_mmrec.datasets.readers`. Baby,
    sports and clothing are downloaded if they are not there (REARM's release: the
    split of the papers, ``image`` 4096 and ``text`` 384). No checksums of these are
    published: those of the first download are recorded in ``downloads.json`` beside
    the files, and a later download that differs is refused.

    Args:
        root: Parent folder of the data sets.
        name: ``"baby"``, ``"sports"``, ``"clothing"``, ``"video_games"`` or
            ``"beauty"``.
        modalities: Which modalities to load; all that there are if ``None``.
        **options: As in :class:`~pyg_mmrec.datasets.Dataset`.

    Example:
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from pyg_mmrec import Amazon
        >>> Path("data/baby").mkdir(parents=True)  # else the release is downloaded
        >>> for n, part in enumerate(("train", "valid", "test")):
        ...     np.save(f"data/baby/{part}.npy", [[user, n] for user in range(5)])
        ...
        >>> Amazon("data", "baby")[0]["item"].num_nodes
        3
        >>> Amazon("data", "babi")
        Traceback (most recent call last):
            ...
        pyg_mmrec.errors.MMRecError: unknown Amazon data set 'babi': did you ...
    """

    published: ClassVar[dict[str, str]] = {
        "baby": "MrShouxingMa/Baby",
        "sports": "MrShouxingMa/Sports",
        "clothing": "MrShouxingMa/Clothing",
    }
    names: ClassVar[tuple[str, ...]] = (*published, "video_games", "beauty")

    def __init__(
        self,
        root: Path | str,
        name: str,
        modalities: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        if name not in self.names:
            raise unknown("Amazon data set", name, self.names)
        super().__init__(root, name, modalities, **options)

    def download(self) -> None:
        """Download the published files.

        Raises:
            MMRecError: If there are none, or they cannot be had whole.
        """
        if self.name not in self.published:
            raise MMRecError(missing(self.folder, self.name))
        repo = self.published[self.name]
        # Interactions last: without them the folder counts as not downloaded.
        files = [*(f"{m}_feat.npy" for m in ("image", "text")), *reversed(SPLIT_FILES)]
        with self.downloading():
            get(
                [Remote(_HUB.format(repo=repo, file=file), file) for file in files],
                self.folder,
            )
        logger.info("%s: downloaded from %s", self.name, repo)
