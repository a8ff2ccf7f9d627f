"""Published data sets by name, from a server that holds each in miniature."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pickle
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_matrix

from pyg_mmrec import (
    Amazon2023,
    LastFM,
    MicroLens,
    MovieLens1M,
    Netflix,
    TikTok,
    load_run,
)
from pyg_mmrec.datasets import amazon_2023, download, microvideos, swap, tiktok
from pyg_mmrec.datasets.card import data_card
from pyg_mmrec.datasets.keyed import read_keyed
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.records import command_of
from pyg_mmrec.graph import INTERACTS, ITEM

RNG = np.random.default_rng(0)
USERS, ITEMS = 8, 9


def rows() -> pd.DataFrame:
    """Five videos a user in the order of time, with ids from 1."""
    pairs = [(u, (u + n) % ITEMS + 1, 1000 * n) for u in range(USERS) for n in range(5)]
    return pd.DataFrame(pairs, columns=["user", "item", "timestamp"])


def array(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def archive(**members: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as content:
        for name, text in members.items():
            content.writestr(f"some/folder/{name.replace('__', '.')}", text)
        content.writestr("__MACOSX/some/._artists.dat", "")
    return file.getvalue()


@pytest.fixture
def microlens(site, monkeypatch):
    monkeypatch.setattr(microvideos, "HOST", site.url)
    pairs = rows().to_csv(index=False).encode()
    names = [(i, f"Film, {i}") for i in range(1, ITEMS + 1)]
    titles = pd.DataFrame(names, columns=["item", "title"])
    files = {
        "50k": {"MicroLens-50k_titles.csv": titles.to_csv(index=False).encode()},
        "100k": {
            "MicroLens-100k_title_en.csv": titles.to_csv(
                index=False, header=False
            ).encode(),
            **{
                f"extracted_modality_features/{name}": array(RNG.random((ITEMS, 4)))
                for name in MicroLens.arrays["100k"]
            },
        },
        "1M": {"MicroLens-1M_title.csv": b'1,a "quote\n2,"b, c"\nwent on\n3,\n'},
    }
    for size, content in files.items():
        content[f"MicroLens-{size}_pairs.csv"] = pairs
        for name, data in content.items():
            site.files[f"/MicroLens-{size}-Dataset/{name}"] = data
    return site


def test_microlens_50k(microlens, tmp_path) -> None:
    dataset = MicroLens(tmp_path, "50k")
    assert (dataset.name, dataset.modalities) == ("microlens-50k", ["text"])
    assert dataset.item_titles[0] == "Film, 1"
    last = rows().groupby("user")["item"].last().to_dict()
    held = dataset[0][INTERACTS].test_label_index.T.tolist()
    assert {dataset.user_ids[u]: dataset.item_ids[i] for u, i in held} == last
    assert len(json.loads((dataset.folder / download.RECORD).read_text())) == 2
    asked = len(microlens.asked)
    assert MicroLens(tmp_path, "50k", split="random").name == "microlens-50k"
    assert len(microlens.asked) == asked


def test_microlens_100k_has_published_features_by_id(microlens, tmp_path) -> None:
    dataset = MicroLens(tmp_path, "100k")
    assert dataset.modalities == ["image", "text", "video"]
    x = np.load(tmp_path / "microlens-100k" / MicroLens.arrays["100k"][0])
    found = dataset[0][ITEM].x_image.numpy()
    assert np.allclose(found, x[np.array(dataset.item_ids) - 1])
    made = MicroLens(tmp_path, "100k", text_encoder="tfidf")
    assert made[0][ITEM].x_text.size(1) != 4


def test_microlens_1m_has_titles_whose_quotes_never_end(microlens, tmp_path) -> None:
    titles = MicroLens(tmp_path, "1m").item_titles
    assert titles[:4] == ['a "quote', '"b, c" went on', "3", "4"]


def test_microlens_goes_on_after_a_break(microlens, tmp_path) -> None:
    pairs = "/MicroLens-50k-Dataset/MicroLens-50k_pairs.csv"
    microlens.cuts[pairs] = [100, 0]
    with pytest.raises(MMRecError, match=r"after 100 of \d+ bytes, which are kept"):
        MicroLens(tmp_path, "50k")
    assert MicroLens(tmp_path, "50k")[0][ITEM].num_nodes == ITEMS
    assert [start for path, start in microlens.asked if path == pairs] == [0, 100, 100]


def test_microlens_that_is_not_there(microlens, tmp_path) -> None:
    del microlens.files["/MicroLens-50k-Dataset/MicroLens-50k_pairs.csv"]
    with pytest.raises(MMRecError, match="answers 404 .* by hand to .*microlens-50k"):
        MicroLens(tmp_path, "50k")
    microlens.files["/MicroLens-50k-Dataset/MicroLens-50k_pairs.csv"] = b"<html>moved"
    with pytest.raises(
        MMRecError, match="page in the place of MicroLens-50k_pairs.csv"
    ):
        MicroLens(tmp_path, "50k")
    del microlens.files["/MicroLens-50k-Dataset/MicroLens-50k_titles.csv"]
    with pytest.raises(MMRecError, match="answers 404"):
        MicroLens(tmp_path / "other", "50k")
    assert not (tmp_path / "other" / "microlens-50k").exists()
    with pytest.raises(MMRecError, match="unknown size of MicroLens '10k'"):
        MicroLens(tmp_path, "10k")


@pytest.fixture
def amazon(site, monkeypatch):
    part = f"{site.url}/{{category}}.{{part}}.csv"
    monkeypatch.setattr(amazon_2023, "SPLITS", part)
    monkeypatch.setattr(
        amazon_2023, "METADATA", f"{site.url}/meta_{{category}}.jsonl.gz"
    )
    table = rows().set_axis(["user_id", "parent_asin", "timestamp"], axis=1)
    table = table.astype({"user_id": str, "parent_asin": str}).assign(rating=4.0)
    table["parent_asin"] = "B" + table["parent_asin"]
    place = table.groupby("user_id").cumcount().clip(2) - 2
    for n, name in enumerate(("train", "valid", "test")):
        text = table[place == n].to_csv(index=False)
        site.files[f"/Software.{name}.csv"] = text.encode()
    lines = [
        {"parent_asin": f"B{i}", "title": f"Thing {i}",
         "images": [{"large": f"http://a.example/{i}.jpg"}]}
        for i in range(1, 9)
    ]  # fmt: skip
    content = "\n".join(map(json.dumps, lines)).encode()
    site.files["/meta_Software.jsonl.gz"] = gzip.compress(content)
    return site


def test_amazon_2023_by_its_own_split(amazon, tmp_path) -> None:
    dataset = Amazon2023(tmp_path, "Software")
    assert "interactions=24/8/8" in repr(dataset)
    assert dataset.item_titles[dataset.item_ids.get_loc("B3")] == "Thing 3"
    assert int(dataset[0][ITEM].mask_text.sum()) == 8  # B9 has no metadata
    assert dataset.name == "amazon-2023-Software"
    assert len(Amazon2023(tmp_path, "Software", split="time")) == 1
    (dataset.folder / "Software.valid.csv").write_text("user_id,parent_asin\n1,B1\n")
    with pytest.raises(MMRecError, match="Software.valid.csv needs the columns"):
        Amazon2023(tmp_path, "Software")


def test_addresses_of_pictures_of_amazon_2023(amazon, tmp_path, command) -> None:
    folder = Amazon2023(tmp_path, "Software").folder
    code, out, err = command(f"encode {folder} --image-urls")
    assert (code, "8 addresses" in out) == (0, True), err


def test_amazon_2023_whose_metadata_are_cut(amazon, tmp_path) -> None:
    path = "/meta_Software.jsonl.gz"
    amazon.files[path] = amazon.files[path][:-9]
    with pytest.raises(MMRecError, match="meta_Software.jsonl.gz cannot be unpacked"):
        Amazon2023(tmp_path, "Software")
    assert not (tmp_path / "amazon-2023-Software").exists()


def test_a_run_is_made_again_by_its_command(amazon, tmp_path, command) -> None:
    root, folder = tmp_path / "data", tmp_path / "run"
    line = "train amazon-2023 popularity --category Software"
    code, _, err = command(f"{line} --root {root} --output {folder}")
    assert code == 0, err
    told = json.loads((folder / "config.json").read_text())
    assert command_of(told, {}).startswith(f"pyg-mmrec {line}")
    assert load_run(folder).result.test["recall@20"] > 0


def of_git(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def served(site, release, whole: dict[str, str], titles: str):
    """A release in miniature: raw id is 10 + number, of users 100 + number."""
    table = rows().drop(columns="timestamp").set_axis(["userID", "itemID"], axis=1)
    numbers = table.assign(itemID=table["itemID"] - 1, x_label=[0, 0, 0, 1, 2] * USERS)
    raw = numbers.assign(
        userID=numbers["userID"] + 100, itemID=numbers["itemID"] + 10, rating=1
    )
    base = f"/{swap.COMMIT}"

    def serve(place: str, content: bytes) -> str:
        site.files[f"{base}/{place}"] = content
        return of_git(content)

    def text(frame: pd.DataFrame) -> bytes:
        return frame.to_csv(sep="\t", index=False).encode()

    features = {
        modality: {
            encoder: serve(
                f"{release.arrays}/{encoder}.npy", array(RNG.random((ITEMS, 3)))
            )
            for encoder in encoders
        }
        for modality, encoders in release.features.items()
    }
    inter = f"{release.arrays}/{release.name}.inter"
    original = release.original[0]
    ids = [*(str(i) for i in range(10, 10 + ITEMS - 1)), "777"]
    rows_of = {i: [float(i)] * 3 for i in ids}
    if release is swap.LASTFM:  # several covers and songs of an artist
        rows_of |= {"10_1": [1.0] * 3, "10_2": [2.0] * 3}
        del rows_of["10"]
    name = release.by_id[0]
    site.files[f"/{name}"] = archive(
        **{f"{e}__json": json.dumps(rows_of, indent=4)
           for known in features.values() for e in known}
    )  # fmt: skip
    first = archive(**whole)
    site.files[f"/{release.archive.name}"] = first
    return replace(
        release,
        inter=serve(inter, text(numbers)),
        original=(original, serve(original, text(raw))),
        titles=(release.titles[0], serve(release.titles[0], titles.encode())),
        features=features,
        archive=replace(
            release.archive,
            url=f"{site.url}/{release.archive.name}",
            checksum=("sha256", hashlib.sha256(first).hexdigest()),
        ),
        by_id=(name, hashlib.md5(site.files[f"/{name}"]).hexdigest()),
    )


@pytest.fixture
def releases(site, monkeypatch):
    monkeypatch.setattr(swap, "RAW", site.url)
    monkeypatch.setattr(swap, "ZENODO", site.url)
    pairs = rows().assign(user=lambda r: r["user"] + 100, item=lambda r: r["item"] + 9)
    titles = "movie_id\tdburl\twiki_url\timg_url\tname\tyoutubeId\n"
    titles += "".join(f'{i}\ta\tb\tc\tFilm: "{i} (1999)\td\n' for i in range(10, 19))
    whole = {
        "ratings__dat": "".join(
            f"{u}::{i}::{4 if i < 18 else 3}::{t}\n" for u, i, t in pairs.to_numpy()
        ),
        "movies__dat": "".join(f"{i}::Film {i}::War\n" for i in range(10, 20)),
    }
    monkeypatch.setattr(
        MovieLens1M, "release", served(site, swap.MOVIELENS, whole, titles)
    )
    artists = "id\tname\turl\tpictureURL\n"
    artists += "".join(f'{i}\tThe "{i}\tu\tp\n' for i in range(10, 19))
    heard = "".join(f"{u}\t{i}\t{t}\r\n" for u, i, t in pairs.to_numpy())
    whole = {
        "user_artists__dat": f"userID\tartistID\tweight\r\n{heard}",
        "artists__dat": artists,
    }
    monkeypatch.setattr(LastFM, "release", served(site, swap.LASTFM, whole, artists))
    return site


def test_movielens_1m_by_the_published_split(releases, tmp_path) -> None:
    dataset = MovieLens1M(tmp_path)
    assert "users=8, items=9, interactions=24/8/8" in repr(dataset)
    assert dataset.modalities == ["text", "image", "audio", "video"]
    assert dataset.item_ids.tolist() == list(range(10, 19))
    assert dataset.user_ids[0] == 100
    assert dataset.item_titles[0] == 'Film: "10 (1999)'
    x = np.load(dataset.folder / "vit_cls.npy")
    assert np.allclose(dataset[0][ITEM].x_image.numpy(), x)
    asked = len(releases.asked)
    other = MovieLens1M(tmp_path, ["image"], features={"image": "vgg"})
    assert (other.modalities, len(releases.asked)) == (["image"], asked + 1)


def test_movielens_1m_in_whole_has_features_by_id(releases, tmp_path) -> None:
    with pytest.warns(UserWarning, match="1 items that have no .* such as 777"):
        dataset = MovieLens1M(tmp_path, protocol="all")
    assert dataset.item_ids.tolist() == list(range(10, 18))  # 18 is rated below 4
    assert np.allclose(dataset[0][ITEM].x_text[:, 0], np.arange(10, 18))
    card = data_card(dataset)
    assert list(card.unmatched) == ["text", "image", "audio", "video"]
    assert all(ids.tolist() == [777] for ids in card.unmatched.values())
    files = {p.name for p in dataset.folder.iterdir()} - {"processed"}
    assert files == {"ratings.dat", "movies.dat", "ml1m_mm_json.zip"}
    low = MovieLens1M(tmp_path, protocol="all", min_rating=3)
    assert int(low[0][ITEM].mask_text.sum()) == 8  # 18 has no features


def test_lastfm(releases, tmp_path) -> None:
    dataset = LastFM(tmp_path)
    assert "interactions=24/8/8" in repr(dataset)
    assert (dataset.modalities, dataset.item_titles[0]) == (
        ["text", "image", "audio"], 'The "10'
    )  # fmt: skip
    with pytest.warns(UserWarning, match="such as 777"):
        whole = LastFM(tmp_path, protocol="all")
    assert whole.item_ids.tolist() == list(range(10, 19))
    assert whole[0][ITEM].x_audio[:2, 0].tolist() == [1.5, 11.0]


def test_a_release_that_was_changed_is_refused(releases, tmp_path, monkeypatch) -> None:
    path = next(p for p in releases.files if p.endswith("lfm2k_og_ids.inter"))
    releases.files[path] += b"1\t1\t1\t0\n"
    with pytest.raises(MMRecError, match="lfm2k_og_ids.inter has git .*expected"):
        LastFM(tmp_path)
    name = of_git(releases.files[path])
    release = LastFM.release
    changed = replace(release, original=(release.original[0], name))
    monkeypatch.setattr(LastFM, "release", changed)
    with pytest.raises(MMRecError, match="has 41 interactions and lfm2k.inter 40"):
        LastFM(tmp_path)
    text = releases.files[path].replace(b"\n100\t10\t", b"\n100\t99\t", 1)
    (tmp_path / "lastfm" / "lfm2k_og_ids.inter").write_bytes(
        text[: -len("1\t1\t1\t0\n")]
    )
    with pytest.raises(MMRecError, match="one number several raw ids"):
        LastFM(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"1": [1, 2], "1": [3, 4]}', "item '1' more than once"),
        ('{"1": [1, 2], "2": [3]}', "differ in length"),
        ('{"1": [1, 2], "2": [3, 4', "after 1 items it does not go on"),
        ('{"1": [1, "a"]}', "after 0 items"),
        ('{"1": [1, x]}', "cannot be read as lists"),
        ("{}", "after 0 items"),
        ("[1, 2]", "after 0 items"),
    ],
)
def test_damaged_features_by_id(text, words) -> None:
    with pytest.raises(MMRecError, match=words):
        read_keyed(io.BytesIO(text.encode()), "x.json")


def test_features_by_id_are_what_json_says(monkeypatch) -> None:
    monkeypatch.setattr("pyg_mmrec.datasets.keyed._CHUNK", 7)
    told = {str(i): RNG.random(3).tolist() for i in range(20)}
    for indent in (None, 4):
        file = io.BytesIO(json.dumps(told, indent=indent).encode())
        x, ids = read_keyed(file, "x.json")
        assert np.allclose(x, [told[str(i)] for i in ids])


def netflix(folder, same: bool = False) -> None:
    folder.mkdir()
    parts = {"train": slice(0, 3), "val": slice(3, 4), "test": slice(4, 5)}
    for name, part in parts.items():
        held = parts["val"] if same and name == "test" else part
        told = {
            str(u): (group["item"] - 1).iloc[held].tolist()
            for u, group in rows().groupby("user")
        }
        (folder / f"{name}.json").write_text(json.dumps(told))
    for name, width in (("image", 5), ("text", 4)):
        np.save(folder / f"{name}_feat.npy", RNG.random((ITEMS + 1, width)))
    lines = [f"{i + 100},1999,Film {i}, again" for i in range(ITEMS + 1)]
    (folder / "item_attribute_filter.csv").write_text("\n".join(lines))


def test_tiktok_is_downloaded_and_its_table_written(
    site, tmp_path, monkeypatch
) -> None:
    parts = [[[1, 2], [0, 3], [1, 0]], [[0, 1]], [[0, 0], [1, 1]]]
    whole = {
        name: pickle.dumps(coo_matrix((np.ones(len(p)), np.array(p).T), (2, 4)))
        for name, p in zip(tiktok.MATRICES, parts, strict=True)
    }
    whole |= {name: array(RNG.random((4, 3))) for name in tiktok.FEATURES}
    site.files.update({f"/{name}": content for name, content in whole.items()})
    monkeypatch.setattr(tiktok, "PLACE", site.url)
    for names in (tiktok.MATRICES, tiktok.FEATURES):
        for name in names:
            monkeypatch.setitem(names, name, of_git(whole[name]))
    dataset = TikTok(tmp_path)
    assert "users=2, items=4, interactions=3/1/2" in repr(dataset)
    assert dataset.modalities == ["audio", "image", "text"]
    table = (tmp_path / "tiktok" / "tiktok.inter").read_text()
    assert table.replace("\t", " ").splitlines() == [
        "userID itemID x_label",
        *("0 3 0", "0 1 1", "0 0 2", "1 0 0", "1 2 0", "1 1 2"),
    ]
    asked = len(site.asked)
    TikTok(tmp_path)
    assert len(site.asked) == asked
    monkeypatch.setitem(tiktok.FEATURES, "text_feat.npy", of_git(b"another"))
    with pytest.raises(MMRecError, match="text_feat.npy has git .* expected"):
        TikTok(tmp_path / "again")
    assert not (tmp_path / "again" / "tiktok" / "tiktok.inter").exists()


def test_netflix_as_its_authors_share_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "gdown", None)  # as where it is not installed
    with pytest.raises(
        MMRecError, match=r"gdown.*open https://drive.* in a browser.*train.json"
    ):
        Netflix(tmp_path)
    assert not (tmp_path / "netflix").exists()
    netflix(tmp_path / "netflix")
    dataset = Netflix(tmp_path)
    assert "users=8, items=10, interactions=24/8/8" in repr(dataset)
    assert (dataset.modalities, dataset.item_titles[1]) == (
        ["image", "text"], "Film 1, again"
    )  # fmt: skip
    (tmp_path / "netflix" / "item_attribute_filter.csv").write_text("1,1999,Film\n")
    with pytest.warns(UserWarning, match="has 1 lines and there are 10 items"):
        assert Netflix(tmp_path).item_titles is None
    (tmp_path / "netflix" / "val.json").write_text('{"1": ["a"]}')
    with pytest.raises(MMRecError, match="val.json cannot be read as lists of items"):
        Netflix(tmp_path)


@pytest.mark.filterwarnings("ignore:.*repeats")
def test_netflix_whose_test_is_its_validation_is_refused(tmp_path) -> None:
    netflix(tmp_path / "netflix", same=True)
    with pytest.raises(MMRecError, match="hold the same interactions.*--split"):
        Netflix(tmp_path)
    assert len(Netflix(tmp_path, split="random")) == 1
