"""Amazon's reviews of 2023, by category, as they were split for benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pyg_mmrec.datasets.amazon_splits import PARTS
from pyg_mmrec.datasets.download import Remote, get
from pyg_mmrec.datasets.folder import Folder
from pyg_mmrec.datasets.made import add_encoders
from pyg_mmrec.datasets.places import check_writable
from pyg_mmrec.datasets.sources import as_folder
from pyg_mmrec.errors import unknown

SPLITS = (
    "https://huggingface.co/datasets/McAuley-Lab/Amazon-Reviews-2023/resolve/main/"
    "benchmark/5core/last_out/{category}.{part}.csv"
)
METADATA = (
    "https://mcauleylab.ucsd.edu/public_datasets/data/amazon_2023/raw/meta_categories/"
    "meta_{category}.jsonl.gz"
)


class Amazon2023(Folder):
    """Amazon's ratings of 1996 to 2023, 5-core, with metadata, by category.

    Read from ``root/amazon-2023-<category>/``; what is not there is downloaded: the
    authors' split for benchmarks, which holds out each user's last two items, and the
    metadata, of which ``text`` is made. ``pyg-mmrec encode FOLDER --image-urls`` lists
    the addresses of the pictures. The reviews themselves
    (``<category>.jsonl.gz``) are read as well where they lie there instead.

    Hou et al., "Bridging language and items for retrieval and recommendation", 2024
    (https://arxiv.org/abs/2403.03952).

    Args:
        root: Parent folder of the data sets.
        category: ``"Video_Games"``, ``"Baby_Products"``, ..., one of
            :attr:`categories`.
        modalities: Which modalities to load; all that there are if ``None``.
        **options: As in :class:`~pyg_mmrec.datasets.Folder`.

    Example:
        >>> from pathlib import Path
        >>> import pandas as pd
        >>> from pyg_mmrec import Amazon2023
        >>> folder = Path("data/amazon-2023-Software")
        >>> folder.mkdir(parents=True)  # else the files are downloaded
        >>> for n, part in enumerate(("train", "valid", "test")):
        ...     rows = [(f"u{u}", f"B{n}", 5.0, n) for u in range(5)]
        ...     names = ["user_id", "parent_asin", "rating", "timestamp"]
        ...     table = pd.DataFrame(rows, columns=names)
        ...     table.to_csv(folder / f"Software.{part}.csv", index=False)
        ...
        >>> Amazon2023("data", "Software")[0]["item"].num_nodes
        3
        >>> Amazon2023("data", "Softwear")
        Traceback (most recent call last):
            ...
        pyg_mmrec.errors.MMRecError: unknown category 'Softwear': did you mean ...
    """

    fetched = True
    categories: ClassVar[tuple[str, ...]] = (
        *("All_Beauty", "Amazon_Fashion", "Appliances", "Arts_Crafts_and_Sewing"),
        *("Automotive", "Baby_Products", "Beauty_and_Personal_Care", "Books"),
        *("CDs_and_Vinyl", "Cell_Phones_and_Accessories", "Clothing_Shoes_and_Jewelry"),
        *("Digital_Music", "Electronics", "Gift_Cards", "Grocery_and_Gourmet_Food"),
        *("Handmade_Products", "Health_and_Household", "Health_and_Personal_Care"),
        *("Home_and_Kitchen", "Industrial_and_Scientific", "Kindle_Store"),
        *("Magazine_Subscriptions", "Movies_and_TV", "Musical_Instruments"),
        *("Office_Products", "Patio_Lawn_and_Garden", "Pet_Supplies", "Software"),
        *("Sports_and_Outdoors", "Subscription_Boxes", "Tools_and_Home_Improvement"),
        *("Toys_and_Games", "Video_Games", "Unknown"),
    )

    def __init__(
        self,
        root: Path | str,
        category: str = "Video_Games",
        modalities: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        if category not in self.categories:
            raise unknown("category", category, self.categories)
        self.category = category
        folder = as_folder(root) / f"amazon-2023-{category}"
        super().__init__(folder, modalities, **options)

    @classmethod
    def add_options(cls, add: Callable[..., Any]) -> None:
        """Options of the command line."""
        add(
            "--category", default="Video_Games", metavar="NAME",
            choices=cls.categories,
            help=f"one of {', '.join(cls.categories)} (default: Video_Games)",
        )  # fmt: skip
        add_encoders(add)

    def remote(self) -> list[Remote]:
        """The published files; no checksums are published."""
        about = METADATA.format(category=self.category)
        splits = [SPLITS.format(category=self.category, part=p) for p in PARTS]
        return [Remote(url, url.rpartition("/")[2]) for url in (about, *splits)]

    def download(self) -> None:
        """Download the published files.

        Raises:
            MMRecError: If they cannot be had whole, or the folder cannot be written.
        """
        splits = [f"{self.category}.{part}.csv" for part in PARTS]
        check_writable(self.folder, self.category, splits)
        get(self.remote(), self.folder)
