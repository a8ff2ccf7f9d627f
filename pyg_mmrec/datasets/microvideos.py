"""MicroLens' micro-videos, downloaded as they were published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pyg_mmrec.datasets.download import Remote, get
from pyg_mmrec.datasets.folder import Folder
from pyg_mmrec.datasets.made import add_encoders
from pyg_mmrec.datasets.microlens import ARRAYS
from pyg_mmrec.datasets.places import check_writable
from pyg_mmrec.datasets.sources import as_folder
from pyg_mmrec.errors import unknown

HOST = "https://recsys.westlake.edu.cn"
_PLACE = "{host}/MicroLens-{size}-Dataset/{name}"


class MicroLens(Folder):
    """MicroLens: who commented on which micro-video, with titles, 50k, 100k and 1M.

    Read from ``root/microlens-<size>/``, as it was published; what is not there is
    downloaded. Of 100k the authors publish features of cover, title and video, which
    are taken; elsewhere ``text`` is made of the titles. Covers are an archive of their
    own: once it is unpacked to ``MicroLens-<size>_covers/``, ``pyg-mmrec encode
    FOLDER --image clip`` makes features of them.

    Held out for validation and test are the last two videos of each user, as in the
    paper, unless ``split`` says otherwise.

    Ni et al., "A content-driven micro-video recommendation dataset at scale", 2023
    (https://arxiv.org/abs/2309.15379).

    Args:
        root: Parent folder of the data sets.
        size: ``"50k"``, ``"100k"`` or ``"1m"``.
        modalities: Which modalities to load; all that there are if ``None``.
        split: As in :class:`~pyg_mmrec.datasets.Dataset`; ``"leave-one-out"`` if
            ``None``.
        **options: As in :class:`~pyg_mmrec.datasets.Folder`.

    Example:
        >>> from pathlib import Path
        >>> import pandas as pd
        >>> from pyg_mmrec import MicroLens
        >>> folder = Path("data/microlens-50k")
        >>> folder.mkdir(parents=True)  # else the release is downloaded
        >>> rows = [(u, (u + n) % 9 + 1, n) for u in range(9) for n in range(5)]
        >>> pairs = pd.DataFrame(rows, columns=["user", "item", "timestamp"])
        >>> pairs.to_csv(folder / "MicroLens-50k_pairs.csv", index=False)
        >>> MicroLens("data", "50k")[0]["item"].num_nodes
        9
    """

    fetched = True
    titles: ClassVar[dict[str, str]] = {
        "50k": "MicroLens-50k_titles.csv",
        "100k": "MicroLens-100k_title_en.csv",
        "1m": "MicroLens-1M_title.csv",
    }
    arrays: ClassVar[dict[str, tuple[str, ...]]] = {
        "100k": (
            "MicroLens-100k_image_features_CLIPRN50.npy",
            "MicroLens-100k_title_en_text_features_BgeM3.npy",
            "MicroLens-100k_video_features_VideoMAE.npy",
        )
    }

    def __init__(
        self,
        root: Path | str,
        size: str = "50k",
        modalities: Sequence[str] | None = None,
        split: Any = None,
        **options: Any,
    ) -> None:
        if size not in self.titles:
            raise unknown("size of MicroLens", size, self.titles)
        self.size = size
        folder = as_folder(root) / f"microlens-{size}"
        super().__init__(
            folder, modalities, split="leave-one-out" if split is None else split,
            **options,
        )  # fmt: skip

    @classmethod
    def add_options(cls, add: Callable[..., Any]) -> None:
        """Options of the command line."""
        add_encoders(add)

    def remote(self) -> list[Remote]:
        """The published files; no checksums are published."""
        size = self.size.replace("1m", "1M")
        names = [f"{ARRAYS}/{name}" for name in self.arrays.get(self.size, ())]
        # Pairs last: without them the folder counts as not downloaded.
        names += [self.titles[self.size], f"MicroLens-{size}_pairs.csv"]
        urls = [_PLACE.format(host=HOST, size=size, name=name) for name in names]
        return [Remote(u, Path(n).name) for u, n in zip(urls, names, strict=True)]

    def download(self) -> None:
        """Download the published files.

        Raises:
            MMRecError: If they cannot be had whole, or the folder cannot be written.
        """
        check_writable(self.folder, "MicroLens", [self.remote()[-1].name])
        get(self.remote(), self.folder)
