"""From what lies in a folder in the raw to features, by command and by opening."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from pyg_mmrec import Folder, encode_folder
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import ITEM
from tests.datasets.files import raw_rows
from tests.encoding import models

TITLES = ["red shoes", "red boots", "a lamp", "blue lamp", "old book", None,
          "new book", "a desk", "a chair", "i9"]  # fmt: skip


def shop(folder, **columns):
    folder.mkdir(exist_ok=True)
    raw_rows().to_csv(folder / "interactions.csv", index=False)
    items = pd.DataFrame({"item": [f"i{n}" for n in range(10)], "title": TITLES})
    items.assign(**columns).to_csv(folder / "items.csv", index=False)
    return folder


def test_text_becomes_a_file_aligned_by_id(tmp_path) -> None:
    folder = shop(tmp_path / "shop")
    made = encode_folder(folder, progress=False)["text"]
    assert (made.present, made.total, made.path) == (8, 8, folder / "text.parquet")
    table = pd.read_parquet(made.path)
    assert table["item"].tolist() == [f"i{n}" for n in range(9) if n != 5]
    dataset = Folder(folder)
    assert dataset.modalities == ["text"]
    assert dataset[0][ITEM].mask_text.tolist() == [n not in (5, 9) for n in range(10)]
    direct = Folder(shop(tmp_path / "other"))[0][ITEM]
    assert np.allclose(dataset[0][ITEM].x_text, direct.x_text, atol=1e-6)


def test_columns_are_those_of_usual_names_or_those_given(tmp_path) -> None:
    words = [f"word{n}" for n in range(10)]
    folder = shop(tmp_path / "shop", description=words, colour=["x"] * 10)

    def told(**options):
        encode_folder(folder, text="tfidf", progress=False, **options)
        about = pq.read_schema(folder / "text.parquet").metadata[b"pyg_mmrec"]
        return json.loads(about)["columns"]

    assert told() == ["title", "description"]
    assert told(columns=["colour", "title"]) == ["colour", "title"]
    with pytest.raises(MMRecError, match="unknown column of .*items.csv 'colours'"):
        told(columns=["colours"])
    one, other = (Folder(folder, text_encoder="tfidf", text_columns=c)[0][ITEM].x_text
                  for c in (None, ["title"]))  # fmt: skip
    assert not one.equal(other)


def test_pictures_become_features_and_broken_ones_are_listed(tmp_path, caplog) -> None:
    pytest.importorskip("PIL")
    folder = shop(tmp_path / "shop")
    models.pictures(folder / "images", 6)
    (folder / "images" / "i8.jpg").write_bytes(b"no picture")
    (folder / "images" / "i9.png").touch()
    (folder / "images" / ".i1.jpg").touch()
    made = encode_folder(folder, image="colours", progress=False)
    assert made.keys() == {"image"}
    assert (made["image"].present, made["image"].total) == (6, 8)
    skipped = pd.read_csv(folder / "image_skipped.csv")
    assert skipped["item"].tolist() == ["i8", "i9"]
    # Files of equal content share the reason, which can name neither.
    assert skipped["reason"].tolist() == ["cannot identify image file"] * 2
    dataset = Folder(folder)
    assert dataset.modalities == ["image", "text"]
    assert int(dataset[0][ITEM].mask_image.sum()) == 6
    again = encode_folder(folder, image="colours", progress=False)["image"]
    assert again.computed == 0
    models.pictures(folder / "images", 7)
    more = encode_folder(folder, image="colours", progress=False)["image"]
    assert (more.computed, more.present) == (1, 7)


def test_pictures_are_encoded_when_a_folder_is_opened_with_an_encoder(
    tmp_path, caplog
) -> None:
    pytest.importorskip("PIL")
    folder = shop(tmp_path / "shop")
    models.pictures(folder / "images", 6)
    with caplog.at_level("INFO"):
        assert Folder(folder).modalities == ["text"]
    assert (
        "no image features are made of 6 files of images/ without an encoder: name "
        "one, such as --image-encoder clip, or run 'pyg-mmrec encode" in caplog.text
    )
    caplog.clear()
    with caplog.at_level("INFO"):
        dataset = Folder(folder, image_encoder="colours")
    assert "image features made by colours of 6 files" in caplog.text
    made = encode_folder(folder, image="colours", progress=False)["image"]
    assert made.computed == 0  # both keep vectors in one place
    x = dataset[0][ITEM].x_image[:6].numpy()
    assert np.array_equal(x, np.stack(pd.read_parquet(made.path)["vector"]))
    shutil.copy(folder / "images" / "i1.png", folder / "images" / "i0.png")
    (folder / "images" / "i0.jpg").unlink()
    other = Folder(folder, image_encoder="colours")[0][ITEM].x_image
    assert other[0].equal(other[1])  # another picture is another graph


def test_files_that_a_column_names(tmp_path) -> None:
    pytest.importorskip("PIL")
    paths = models.pictures(tmp_path / "shop" / "photos", 4)
    column = [f"photos/{p.name}" for p in paths] + ["photos/gone.jpg"] + [None] * 5
    folder = shop(tmp_path / "shop", image=column)
    made = encode_folder(folder, image="colours", progress=False)["image"]
    assert (made.present, made.total) == (4, 5)
    assert "no such file" in (folder / "image_skipped.csv").read_text()


def test_sounds(tmp_path) -> None:
    pytest.importorskip("soundfile")
    folder = shop(tmp_path / "shop")
    for n in range(3):
        models.sound(folder / "audio" / f"i{n}.wav", 100 + 50 * n, 0.2)
    model = models.wav2vec2(tmp_path / "model")
    made = encode_folder(folder, audio=f"transformers:{model}", progress=False)
    assert made["audio"].present == 3
    assert Folder(folder, modalities=["audio"]).modalities == ["audio"]


def test_features_of_other_titles_than_now_are_told(tmp_path) -> None:
    folder = shop(tmp_path / "shop")
    encode_folder(folder, progress=False)
    table = pd.read_csv(folder / "items.csv")
    table.loc[0, "title"] = "green shoes"
    table.to_csv(folder / "items.csv", index=False)
    with pytest.warns(UserWarning, match="text.parquet was made of other values"):
        Folder(folder)
    encode_folder(folder, progress=False)
    Folder(folder)


def test_features_of_other_pictures_than_now_are_told_each_time(tmp_path) -> None:
    folder = shop(tmp_path / "shop")
    first, *_ = models.pictures(folder / "images")
    encode_folder(folder, image="colours", progress=False)
    Folder(folder)  # which is kept, and no file that it reads changes
    first.write_bytes(first.read_bytes() + b"more")
    for _ in range(2):
        with pytest.warns(UserWarning, match="image.parquet was made of other values"):
            Folder(folder)


def test_features_of_the_user_stay(tmp_path) -> None:
    folder = shop(tmp_path / "shop")
    pd.DataFrame({"item": ["i0", "i1"], "x": [1, 2]}).to_csv(
        folder / "text.csv", index=False
    )
    with pytest.raises(MMRecError, match="text.csv holds text features of yours, whi"):
        encode_folder(folder, progress=False)
    assert not (folder / "text.parquet").exists()
    assert Folder(folder).coverage()["present"].tolist() == [2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image": "colours"}, "has no image to encode: put images/<item id>"),
        ({"text": "tfid"}, "unknown text encoder 'tfid': did you mean 'tfidf'"),
        ({"text": "tfidf", "audio": "clap"}, "has no audio to encode"),
        ({"batch_size": 0, "text": "tfidf"}, "'batch_size' needs to be above 0"),
        ({"device": "gpu", "text": "tfidf"}, "unknown device 'gpu'"),
    ],
)
def test_what_cannot_be_encoded_writes_nothing(tmp_path, options, words) -> None:
    folder = shop(tmp_path / "shop")
    before = sorted(folder.iterdir())
    with pytest.raises(MMRecError, match=words):
        encode_folder(folder, progress=False, **options)
    assert sorted(folder.iterdir()) == before


def test_nothing_to_encode(tmp_path) -> None:
    with pytest.raises(MMRecError, match="no folder"):
        encode_folder(tmp_path / "none")
    with pytest.raises(MMRecError, match="has nothing to encode: put items.csv"):
        encode_folder(tmp_path)
    (tmp_path / "images").mkdir()
    for end in ("jpg", "png"):
        (tmp_path / "images" / f"a.{end}").touch()
    with pytest.raises(MMRecError, match=r"a.jpg and a.png for the item 'a': keep one"):
        encode_folder(tmp_path, image="colours")
    with pytest.raises(MMRecError, match="no table of items, so the columns plot"):
        encode_folder(tmp_path, columns=["plot"])


def test_a_table_of_numbers_and_raw_ids(tmp_path) -> None:
    """As some releases have it: itemID 0, 1, 2, ... beside the id."""
    folder = shop(tmp_path / "shop")
    items = pd.read_csv(folder / "items.csv").rename(columns={"item": "asin"})
    items.insert(0, "itemID", range(10))
    items.to_csv(folder / "items.csv", index=False)
    dataset = Folder(folder)
    assert dataset.item_titles[:2] == ["red shoes", "red boots"]
    assert int(dataset[0][ITEM].mask_text.sum()) == 8


def test_the_command(tmp_path, command) -> None:
    folder = shop(tmp_path / "shop")
    models.pictures(folder / "images", 3)
    code, out, _ = command(f"encode {folder} --no-progress")
    assert code == 0
    assert "text.parquet: 8 of 8 items" in out
    assert "there are image files without features, too: --image clip makes" in out
    code, out, _ = command(f"encode {folder} --image colours --no-progress")
    assert (code, "image.parquet: 3 of 3 items, 248 columns, by colours" in out) == (
        0, True,
    )  # fmt: skip
    code, out, err = command(f"encode {folder} --image colour")
    assert (code, out) == (2, "")
    assert "unknown image encoder 'colour': did you mean 'colours'" in err
    code, out, _ = command("encode --help")
    assert (
        "tfidf, minilm, sentence-transformers:MODEL, model2vec:MODEL, potion"
        in " ".join(out.split())
    )


def test_titles_alone_become_recommendations(tmp_path, command) -> None:
    folder = shop(tmp_path / "shop")
    code, out, err = command(
        f"train {folder} freedom --output {tmp_path / 'run'} --epochs 1 --dim 8 "
        f"--no-progress --device cpu"
    )
    assert code == 0, err
    assert "text: 8 of 10 items (80 %)" in err
    assert "freedom" in out
    code, out, _ = command(f"recommend {tmp_path / 'run'} u0 -k 3")
    assert code == 0
    assert any(title in out for title in TITLES if title)


def test_addresses_of_pictures_are_listed_for_curl(tmp_path, command) -> None:
    urls = ["https://shop.example/a.jpg", "http://shop.example/b.png?size=1"]
    urls += ['https://shop.example/"-o evil', "ftp://x/y.jpg", *[None] * 6]
    folder = shop(tmp_path / "shop", image_url=urls)
    code, out, _ = command(f"encode {folder} --image-urls")
    assert code == 0
    assert "2 addresses: curl --parallel" in out
    lines = (folder / "images.curl").read_text().splitlines()
    assert lines == [
        'url = "https://shop.example/a.jpg"', f'output = "{folder}/images/i0.jpg"',
        'url = "http://shop.example/b.png?size=1"',
        f'output = "{folder}/images/i1.png"',
    ]  # fmt: skip
    with pytest.raises(MMRecError, match="addresses in items.csv see --image-u"):
        encode_folder(folder, image="colours")
