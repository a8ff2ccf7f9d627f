"""Make features of the texts, pictures and sounds in a folder, and keep them there.

Encoders are LIBRARY:MODEL, with a model's name, hub id or folder, or a short name.
Killed at any time, the same command goes on where it was.
"""

from __future__ import annotations

from pathlib import Path

from pyg_mmrec.commands.guarded import AGAIN
from pyg_mmrec.config import Distinct, Parser, a_word, number
from pyg_mmrec.datasets.encode import encode_folder, unused, write_urls
from pyg_mmrec.datasets.made import SHORT as HINTED
from pyg_mmrec.datasets.made import encoder_word
from pyg_mmrec.encoding import ALONE, KINDS, LIBRARIES, SHORT
from pyg_mmrec.encoding.engine import BATCH

LEFT = AGAIN
_WHAT = {
    "text": "titles, descriptions, ... of items.csv",
    "image": "images/<item id>.jpg (.png, .webp), or files named by a column 'image'",
    "audio": "audio/<item id>.wav (.mp3, .flac), or files named by a column 'audio'",
}


def names(kind: str) -> str:
    """The encoders of a kind, as ``--help`` lists them."""
    libraries = [n if n in ALONE else f"{n}:MODEL" for n in LIBRARIES[kind]]
    return ", ".join([*libraries, *SHORT[kind]])


def parser() -> Parser:
    """The parser of the command."""
    made = Parser(description=__doc__)
    add = made.add_argument
    add("folder", metavar="FOLDER", help="the folder of your data")
    for kind in KINDS:
        default = "; default: tfidf, if no other is named" if kind == "text" else ""
        add(
            f"--{kind}", type=encoder_word(kind, none=False), default=None,
            metavar="ENCODER",
            help=f"encode {_WHAT[kind]}, by one of {names(kind)}{default}",
        )  # fmt: skip
    add(
        "--columns", nargs="+", type=a_word(), action=Distinct, default=None,
        metavar="NAME", help="columns of items.csv that make the text (default: title, "
        "description and others of usual names)",
    )  # fmt: skip
    add(
        "--image-urls", action="store_true",
        help="write the addresses of pictures in items.csv as a list for curl, and "
        "encode nothing",
    )  # fmt: skip
    add("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or cuda:N")
    add(
        "--batch-size", type=number(int, min=1, max=65_536), default=None,
        metavar="N", help=f"values at once (default: {BATCH['text']}, of sounds "
        f"{BATCH['audio']})",
    )  # fmt: skip
    add("--no-progress", action="store_true", help="show no bar")
    return made


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    args = parser().parse_args()
    folder = Path(args.folder).expanduser()
    if args.image_urls:
        path, count = write_urls(folder)
        print(f"{count:,} addresses: curl --parallel --create-dirs --fail -K {path}")
        return
    encoders = {kind: getattr(args, kind) for kind in KINDS}
    made = encode_folder(
        folder,
        **encoders,
        columns=args.columns,
        device=args.device,
        batch_size=args.batch_size,
        progress=not args.no_progress,
    )
    for kept in made.values():
        print(kept)
    for kind in unused(folder.absolute()):
        print(
            f"there are {kind} files without features, too: --{kind} {HINTED[kind]} "
            f"makes them, or another encoder of --help"
        )
