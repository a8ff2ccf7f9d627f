"""Names of modalities, and titles."""

from __future__ import annotations

import numpy as np

from tests.datasets.bad.damage import (
    ITEMS,
    Case,
    write,
)

NAMES = [
    Case(f"modality {name!r}", write(f"{name}.csv", "item,a\ni0,1\ni1,2\n"), words)
    for name, words in (
        *((n, "a name that PyTorch uses") for n in ("keys", "values", "pop", "update")),
        *((n, "a name that PyTorch uses") for n in ("training", "forward", "clear")),
        *((n, "a name that PyTorch uses") for n in ("float", "half", "train", "eval")),
        *((n, "a name that PyTorch uses") for n in ("to", "type", "apply", "modules")),
        *((n, "a name that PyTorch uses") for n in ("parameters", "state_dict", "cpu")),
        *((n, "a name that PyTorch uses") for n in ("__init__", "_modules")),
        *((n, "letters, digits") for n in ("image.v2", "my words", "_feat", "a+b")),
        *((n, "letters, digits") for n in ("a'b", "naïve!", "a\nb", "50%", "(1)")),
    )
] + [
    Case(
        "modality 'items' as array",
        lambda f: (
            np.save(f / "items_feat.npy", np.ones((12, 2))),
            np.save(f / "items_ids.npy", np.array(ITEMS)),
        ),
        "items_feat.npy gives the modality 'items', a name that PyTorch uses",
    ),
    Case("nameless array", write("_feat.npy", b"x"), "gives the modality ''"),
    Case(
        "unknown modality",
        lambda f: None,
        "did you mean 'image'",
        {"modalities": ["imgae"]},
    ),
    Case("no modality", lambda f: None, "unknown modality of", {"modalities": [""]}),
]

TITLES = [
    Case(f"items.csv: {name}", write("items.csv", content), words)
    for name, content, words in (
        ("null", "item,title\ni0,\0\n", "null character"),
        ("latin-1", "item,title\ni0,é\n".encode("latin-1"), "not UTF-8"),
        ("no ids", "shop,title\ni0,A\n", "no item column"),
        ("an id missing", "item,title\n,A\n", "no item id in data row 1"),
        ("open quote", 'item,title\ni0,"A\n', "EOF inside string"),
        ("of others", "item,title\nI0,A\nI1,B\n", "other items.*without capital le"),
    )
] + [
    Case(
        "pictures of others",
        lambda f: (
            (f / "images").mkdir(),
            [(f / "images" / f"0{n}.jpg").touch() for n in range(9)],
        ),
        "images belongs to other items.*'00'.*'i0'",
        {"image_encoder": "colours"},
    )
]
