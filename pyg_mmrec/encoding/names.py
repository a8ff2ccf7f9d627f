"""Encoders by name: of a library and a model, or short for both."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from pyg_mmrec.devices import resolve_device
from pyg_mmrec.encoding.audio import TransformersAudio
from pyg_mmrec.encoding.base import Encoder
from pyg_mmrec.encoding.images import Colours, OpenClip, Timm, TransformersImage
from pyg_mmrec.encoding.text import MiniLM, Model2Vec, SentenceTransformers, Tfidf
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.files import digest_of

_CLASSES: tuple[type[Encoder], ...] = (
    *(Tfidf, MiniLM, SentenceTransformers, Model2Vec),
    *(Colours, OpenClip, Timm, TransformersImage),
    TransformersAudio,
)
LIBRARIES: dict[str, dict[str, type[Encoder]]] = {
    kind: {c.library: c for c in _CLASSES if c.kind == kind}
    for kind in ("text", "image", "audio")
}
"""Encoders by what they read and the name of their library."""

SHORT: dict[str, dict[str, str]] = {
    "text": {
        "potion": "model2vec:minishlab/potion-base-8M",
        "multilingual": "sentence-transformers:sentence-transformers/"
        "paraphrase-multilingual-MiniLM-L12-v2",
    },
    "image": {
        "clip": "open_clip:ViT-B-32/laion2b_s34b_b79k",
        "resnet50": "timm:resnet50.a1_in1k",
        "dinov2": "transformers:facebook/dinov2-small",
        "siglip": "transformers:google/siglip-base-patch16-224",
    },
    "audio": {
        "clap": "transformers:laion/clap-htsat-unfused",
        "wav2vec2": "transformers:facebook/wav2vec2-base",
    },
}
"""Short names, and what they are short for."""

ALONE = ("tfidf", "minilm", "colours")
"""Libraries that have no models to choose from."""


def parse(kind: str, name: str) -> tuple[type[Encoder], str]:
    """The class of an encoder and the model that it loads.

    Args:
        kind: ``"text"``, ``"image"`` or ``"audio"``.
        name: See :func:`encoder`.

    Raises:
        MMRecError: If nothing goes by this name.
    """
    known = LIBRARIES[kind]
    if name in ALONE and name in known:
        return known[name], ""
    library, colon, model = SHORT[kind].get(name, name).partition(":")
    if colon and model and library in known and library not in ALONE:
        return known[library], model
    folder = Path(name).expanduser()
    if folder.is_dir():
        return known[_library_of(kind, folder)], str(folder)
    if "/" in name and not colon:  # a hub id, of the library that most are for
        usual = "sentence-transformers" if kind == "text" else "transformers"
        return known[usual], name
    models = [f"{word}:MODEL" for word in known if word not in ALONE]
    alone = [word for word in known if word in ALONE]
    wrong = unknown(f"{kind} encoder", name, [*alone, *SHORT[kind], *models])
    raise MMRecError(f"{wrong}, a hub id or a folder")


def _library_of(kind: str, folder: Path) -> str:
    """Which library a folder's model is of, by the files that it holds.

    Raises:
        MMRecError: If that cannot be told.
    """
    told: dict = {}
    with suppress(OSError, ValueError):
        told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    marks = {
        "sentence-transformers": (folder / "modules.json").exists()
        and told.get("model_type") != "model2vec",
        "model2vec": told.get("model_type") == "model2vec",
        "open_clip": (folder / "open_clip_config.json").exists(),
        "timm": "architecture" in told,
        "transformers": "architectures" in told,
    }
    found = [library for library, is_it in marks.items() if is_it]
    library = next((name for name in found if name in LIBRARIES[kind]), None)
    if library is None:
        names = ", ".join(f"{n}:{folder}" for n in LIBRARIES[kind] if n not in ALONE)
        raise MMRecError(
            f"{folder} holds no {kind} encoder that can be told by its files: name its "
            f"library as one of {names}"
        )
    return library


def encoder(kind: str, name: str, device: str = "auto") -> Encoder:
    """The encoder of this name, loaded.

    Args:
        kind: ``"text"``, ``"image"`` or ``"audio"``.
        name: ``LIBRARY:MODEL`` with a model's name, hub id or folder; a name of
            :data:`SHORT`; ``"tfidf"``, ``"minilm"`` or ``"colours"``; a hub id or a
            folder alone.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.

    Raises:
        MMRecError: If there is none, its library is not installed, or it cannot be
            loaded.
    """
    where = resolve_device(device)
    cls, model = parse(kind, name)
    return cls(model, where)


def fingerprint(kind: str, name: str) -> str:
    """What tells an encoder from another without loading it.

    A folder is known by the content of its files; the model of a hub by its name.

    Raises:
        MMRecError: If nothing goes by this name.
    """
    cls, model = parse(kind, name)
    folder = Path(model).expanduser()
    if not model or not folder.is_dir():
        return f"{cls.library}:{model}"
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(f"{path.relative_to(folder)} {digest_of(path)}\n".encode())
    return f"{cls.library}:{digest.hexdigest()[:16]}"
