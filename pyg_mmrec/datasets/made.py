"""Features that are made when a folder is opened, of what lies there in the raw."""

from __future__ import annotations

import logging
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pyg_mmrec.config import Distinct, a_word
from pyg_mmrec.datasets.features import Features
from pyg_mmrec.datasets.raws import Source
from pyg_mmrec.datasets.sources import shown
from pyg_mmrec.encoding import Encoded, encode_all, encoder
from pyg_mmrec.encoding.names import parse
from pyg_mmrec.errors import MMRecError, spelled

logger = logging.getLogger(__name__)
NONE = "none"
"""The encoder that leaves alone what could be encoded."""
SHORT = {"image": "clip", "audio": "clap"}
"""An encoder of each that a hint may name."""
_LISTED = 5  # of what is skipped, in the log
_MISSING = {
    "text": "items.csv with columns item and title",
    "image": "images/<item id>.jpg",
    "audio": "audio/<item id>.wav",
}


def encoder_word(kind: str, none: bool = True) -> Callable[[str], str]:
    """A converter of a word of the command line that names an encoder.

    Args:
        kind: ``"text"``, ``"image"`` or ``"audio"``.
        none: Whether it may be :data:`NONE`.
    """

    def convert(text: str) -> str:
        if not (none and text == NONE):
            try:
                parse(kind, a_word()(text))
            except MMRecError as error:
                raise ArgumentTypeError(str(error)) from None
        return text

    return convert


def add_encoders(add: Callable[..., Any]) -> None:
    """Declare the options that name what makes features, on the command line.

    Args:
        add: ``add_argument`` of a parser.
    """
    made = {"text": "tfidf where there are no such features", "image": NONE,
            "audio": NONE}  # fmt: skip
    for kind, usual in made.items():
        add(
            f"--{kind}-encoder", type=encoder_word(kind), default=None,
            metavar="NAME",
            help=f"make {kind} features by this encoder, as 'pyg-mmrec encode "
            f"--help' lists them (default: {usual})",
        )  # fmt: skip
    add(
        "--text-columns", nargs="+", type=a_word(), action=Distinct, default=None,
        metavar="NAME", help="columns of the items that the text encoder reads "
        "(default: title, description and others of usual names)",
    )  # fmt: skip


def possible(
    wanted: Mapping[str, str],
    asked: Iterable[str],
    sources: Mapping[str, Source],
    folder: Path,
) -> dict[str, str]:
    """The encoder of each modality for which there is enough to encode.

    Args:
        wanted: Encoders by modality.
        asked: Modalities whose encoder the user named.
        sources: What there is, by modality.
        folder: For messages.

    Raises:
        MMRecError: If there is too little for an encoder that was named.
    """
    found = {}
    for kind, name in wanted.items():
        count = len(sources.get(kind, ()))
        if count > 1:
            found[kind] = name
        elif kind in asked:
            what = "titles" if kind == "text" else f"files of {kind}"
            raise MMRecError(
                f"{shown(folder)} has {count} items with {what}, too few to make "
                f"features of: put {_MISSING[kind]} there, or leave out "
                f"{spelled(f'{kind}_encoder')}"
            )
    return found


def make(source: Source, name: str, cache: Path, asked: bool) -> Features:
    """Features of a modality in the order of its source; the log tells of them.

    Args:
        source: The texts or files.
        name: The encoder.
        cache: Folder in which vectors are kept.
        asked: Whether the user named the encoder.
    """
    kind = source.kind
    found = encode_all(source.values, encoder(kind, name), cache, progress=asked)
    other = f"; {spelled(f'{kind}_encoder')} takes another, or {NONE!r} for none"
    logger.info(
        "%s features made by %s of %s%s",
        kind,
        name,
        source.told,
        "" if asked else other,
    )
    tell_skipped(source, found)
    return Features(np.asarray(found.x, np.float32), found.present)


def tell_skipped(source: Source, found: Encoded) -> None:
    """Log the first items that have a value and no features."""
    for row in list(found.skipped)[:_LISTED]:
        why = found.skipped[row]
        logger.info("  %s of %s left out: %s", source.kind, source.ids[row], why)
    more = len(found.skipped) - _LISTED
    if more > 0:
        logger.info("  and %d more", more)


def hint(
    sources: Mapping[str, Source],
    there: Iterable[str],
    folder: Path,
    table: Path | None = None,
) -> None:
    """Say what could be made of files that lie there unused.

    Args:
        sources: What there is to encode, by modality.
        there: Modalities that the data set has, or that the user decided on.
        folder: The folder.
        table: The table of items, if there is one.
    """
    if table is not None and "text" not in sources and "text" not in there:
        logger.info(
            "no text features are made: %s has no column of a usual name, such as "
            "title or description, with words in it; --text-columns names others",
            shown(table),
        )
    for kind, short in SHORT.items():
        if kind in sources and kind not in there:
            logger.info(
                "no %s features are made of %s without an encoder: name one, such as "
                "--%s-encoder %s, or run 'pyg-mmrec encode %s --%s %s'",
                kind, sources[kind].told, kind, short, shown(folder), kind, short,
            )  # fmt: skip
