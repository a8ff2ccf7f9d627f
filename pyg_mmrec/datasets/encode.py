"""Features of a folder's texts, pictures and sounds, made once and kept there."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyg_mmrec.datasets.contents import Contents
from pyg_mmrec.datasets.items import Items
from pyg_mmrec.datasets.made import SHORT, tell_skipped
from pyg_mmrec.datasets.places import is_writable, writable_cache
from pyg_mmrec.datasets.raws import (
    FOLDERS,
    Source,
    find_sources,
    made_of,
    write_features,
    write_skipped,
)
from pyg_mmrec.datasets.sources import as_folder, shown
from pyg_mmrec.encoding import KINDS, encode_all, encoder, fingerprint
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.files import replacing

URLS = "images.curl"
_NAME = re.compile(r"[\w.-]{1,200}")
_ADDRESS = re.compile(r"https?://[\x21\x23-\x5b\x5d-\x7e]+")  # no quotes, no spaces


@dataclass
class Kept:
    """What :func:`encode_folder` made of one modality.

    Args:
        path: The file of the features.
        encoder: What made them.
        present: How many items have features.
        total: How many items have a text or a file.
        dim: Dimensions.
        computed: How many went through the encoder; others had been kept.
        seconds: What they took.
        skipped: File that lists those without, ``None`` where there are none.
    """

    path: Path
    encoder: str
    present: int
    total: int
    dim: int
    computed: int
    seconds: float
    skipped: Path | None

    def __str__(self) -> str:
        each = ""
        if self.computed:
            each = f", {1000 * self.seconds / self.computed:.3g} ms each"
        others = self.total > self.computed
        again = ", the others kept from before, or equal," if others else ""
        text = (
            f"{shown(self.path)}: {self.present:,} of {self.total:,} items, {self.dim} "
            f"columns, by {self.encoder}; {self.computed:,} encoded{again} in "
            f"{self.seconds:.1f} s{each}"
        )
        return text if self.skipped is None else f"{text}; the rest: {self.skipped}"


def encode_folder(
    folder: Path | str,
    text: str | None = None,
    image: str | None = None,
    audio: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    cache_dir: Path | str | None = None,
    progress: bool = True,
) -> dict[str, Kept]:
    r"""Make ``<modality>.parquet`` of the texts, pictures and sounds in a folder.

    Texts are those of its table of items, pictures and sounds ``images/<item id>.*``
    and ``audio/<item id>.*`` or the files that a column of the table names. What is
    missing or broken is left out and listed in ``<modality>_skipped.csv``. Vectors are
    kept by the content of each value and the encoder, so that a call that was killed
    goes on, and a later one makes what is new alone.

    Args:
        folder: The folder.
        text: The encoder of texts, see :func:`pyg_mmrec.encoding.encoder`. Where none
            of the three is named, texts are encoded by ``"tfidf"``.
        image: The encoder of pictures.
        audio: The encoder of sounds.
        columns: Columns of the texts; all of usual names if ``None``.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
        batch_size: How many values go through an encoder at once; ``None`` for 32,
            of sounds 4.
        cache_dir: Folder of what is kept; ``folder/processed`` by default.
        progress: Whether to show a bar.

    Returns:
        What was made, by modality.

    Raises:
        MMRecError: If there is nothing to encode, features that were not made here
            are in the way, or an encoder cannot be had.

    Example:
        >>> from pathlib import Path
        >>> from pyg_mmrec import encode_folder
        >>> Path("shop").mkdir()
        >>> rows = ["item,title", "a,red shoes", "b,red boots", "c,a lamp", "d,"]
        >>> _ = Path("shop/items.csv").write_text("\n".join(rows))
        >>> made = encode_folder("shop", text="tfidf")["text"]
        >>> made.path.name, made.present, made.total
        ('text.parquet', 3, 3)
    """
    place = as_folder(folder).absolute()
    if not place.is_dir():
        raise MMRecError(f"no folder {shown(place)}: name the folder of your data")
    held = Contents(place)
    items = _items(held)
    sources = find_sources(place, items, columns)
    named = {k: v for k, v in zip(KINDS, (text, image, audio), strict=True) if v}
    wanted = named or ({"text": "tfidf"} if "text" in sources else {})
    _check(held, sources, wanted, items)
    cache = writable_cache(place) if cache_dir is None else as_folder(cache_dir)
    return {
        kind: _keep(
            place, sources[kind], name, cache / "encoded", device, batch_size, progress
        )
        for kind, name in wanted.items()
    }


def unused(folder: Path) -> list[str]:
    """Kinds of files in a folder of which no features were made.

    Args:
        folder: The folder.
    """
    held = Contents(folder)
    found, there = find_sources(folder, _items(held)), held.features()
    return [kind for kind in SHORT if kind in found and kind not in there]


def _items(held: Contents) -> Items | None:
    """What is known of items; in a release, of those that somebody took."""
    if held.table is None and held.layout is not None:
        return held.items(held.interactions()[0].item_ids)
    return held.items(None)


def _check(
    held: Contents,
    sources: dict[str, Source],
    wanted: dict[str, str],
    items: Items | None,
) -> None:
    """Refuse what cannot be, before anything is loaded or made."""
    folder = held.folder
    if not wanted:
        raise MMRecError(
            f"{shown(folder)} has nothing to encode: put items.csv with columns item "
            f"and title there, or images/<item id>.jpg with --image"
        )
    if not is_writable(folder):
        raise MMRecError(
            f"{shown(folder)} cannot be written, where the features go: give "
            f"permission, or copy it"
        )
    there = held.features()
    for kind, name in wanted.items():
        fingerprint(kind, name)
        if kind not in sources:
            has = {"text": "items.csv with columns item and title"}
            other = f"{FOLDERS[kind][0]}/<item id>*" if kind in FOLDERS else ""
            addresses = ""
            if kind == "image" and items is not None and items.urls():
                addresses = f"; for the addresses in {items.path.name} see --image-urls"
            raise MMRecError(
                f"{shown(folder)} has no {kind} to encode: put {has.get(kind, other)} "
                f"there{addresses}"
            )
        paths = there.get(kind, [])
        if paths and made_of(paths[0]) is None:
            raise MMRecError(
                f"{shown(paths[0])} holds {kind} features of yours, which stay: move "
                f"it away to have others made"
            )


def _keep(
    folder: Path,
    source: Source,
    name: str,
    cache: Path,
    device: str,
    batch_size: int | None,
    progress: bool,
) -> Kept:
    """Encode one modality and write its files."""
    made = encoder(source.kind, name, device)
    found = encode_all(source.values, made, cache, batch_size, progress)
    path = folder / f"{source.kind}.parquet"
    skipped = folder / f"{source.kind}_skipped.csv"
    write_skipped(skipped, source, found)
    write_features(path, source, found, {"encoder": name, **made.identity()})
    tell_skipped(source, found)
    return Kept(
        path,
        name,
        int(found.present.sum()),
        len(source),
        found.x.shape[1],
        found.computed,
        found.seconds,
        skipped if found.skipped else None,
    )


def write_urls(folder: Path | str) -> tuple[Path, int]:
    """Write the addresses of items' pictures as a list that curl downloads.

    Args:
        folder: The folder, whose table of items has a column of addresses.

    Returns:
        The list, in which each picture goes to ``images/<item id>.<ending>``, and the
        number of pictures.

    Raises:
        MMRecError: If there are no addresses.
    """
    place = as_folder(folder).absolute()
    items = _items(Contents(place)) if place.is_dir() else None
    urls = {} if items is None else items.urls()
    lines = []
    for raw, url in urls.items():
        # What stands in the table becomes options of a program and names of files.
        if _ADDRESS.fullmatch(url) and _NAME.fullmatch(str(raw)):
            end = Path(url.partition("?")[0]).suffix.lower()
            end = end if end in FOLDERS["image"][1] else ".jpg"
            target = place / "images" / f"{raw}{end}"
            lines += [f"url = {json.dumps(url)}", f"output = {json.dumps(str(target))}"]
    if not lines:
        raise MMRecError(
            f"{shown(place)} has no addresses of pictures: a column image_url in "
            f"items.csv is expected, with ids that can be names of files"
        )
    with replacing(place / URLS) as file:
        file.write(("\n".join(lines) + "\n").encode())
    return place / URLS, len(lines) // 2
