"""Raw releases of others: Amazon's reviews, MicroLens, RecBole's atomic files."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pandas as pd
import pytest

from pyg_mmrec import Folder, encode_folder
from pyg_mmrec.datasets.amazon_raw import clean
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS, ITEM
from tests.datasets.files import raw_rows
from tests.datasets.test_folder import all_edges
from tests.encoding import models

PAIRS = raw_rows()[["user", "item"]]
WORDS = ["shoes", "boots", "lamp", "book", "desk"]
TITLES = {f"i{n}": f"{WORDS[n % 5]} number {n} &amp; more" for n in range(9)}  # not i9


def write_lines(path, lines, packed=True):
    path.parent.mkdir(exist_ok=True)
    data = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data) if packed else data)


def reviews(year):
    for n, row in enumerate(raw_rows().to_dict("records")):
        if year == 2023:
            yield {"user_id": row["user"], "parent_asin": row["item"], "asin": f"v{n}",
                   "rating": float(row["rating"]), "timestamp": 1000 * row["time"],
                   "title": "fine", "text": "good, \"very\"", "images": []}  # fmt: skip
        else:
            yield {"reviewerID": row["user"], "asin": row["item"],
                   "overall": row["rating"], "unixReviewTime": row["time"],
                   "reviewText": "it's good"}  # fmt: skip


def metadata(year):
    for item, title in TITLES.items():
        if year == 2014:
            yield {"asin": item, "title": title, "categories": [["Baby", "Feeding"]],
                   "description": "It's <b>good</b>", "related": {"also_bought": ["x"]},
                   "imUrl": f"http://a.example/{item}.jpg"}  # fmt: skip
        elif year == 2018:
            yield {"category": ["Baby", "Feeding"], "description": ["It's", "good"],
                   "title": title, "also_buy": ["x"], "brand": "B", "asin": item,
                   "imageURL": [f"http://a.example/{item}.small.jpg"],
                   "imageURLHighRes": [f"http://a.example/{item}.jpg"]}  # fmt: skip
        else:
            yield {"main_category": "Baby", "title": title, "store": "B",
                   "features": [], "description": ["It's", "good"], "price": None,
                   "images": [{"thumb": "http://a.example/t.jpg", "hi_res": None,
                               "large": f"http://a.example/{item}.jpg"}],
                   "categories": ["Baby", "Feeding"], "parent_asin": item}  # fmt: skip


def amazon(folder, year, packed=True):
    end = {2014: "json", 2018: "json", 2023: "jsonl"}[year] + (".gz" if packed else "")
    name = "reviews_Baby_5" if year == 2014 else "Baby"
    write_lines(folder / f"{name}.{end}", map(json.dumps, reviews(year)), packed)
    as_line = repr if year == 2014 else json.dumps  # literals, not JSON
    write_lines(folder / f"meta_Baby.{end}", map(as_line, metadata(year)), packed)
    return folder


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("year", [2014, 2018, 2023])
def test_amazon(tmp_path, year, packed) -> None:
    folder = amazon(tmp_path / "baby", year, packed)
    dataset = Folder(folder, min_rating=2, split="time")
    kept = raw_rows()[lambda r: r.rating >= 2]
    assert all_edges(dataset) == set(map(tuple, kept[["user", "item"]].to_numpy()))
    titles = dict(zip(dataset.item_ids, dataset.item_titles, strict=True))
    assert titles["i1"] == "boots number 1 & more"
    assert titles["i9"] == "i9"
    assert dataset.modalities == ["text"]
    assert int(dataset[0][ITEM].mask_text.sum()) == 9
    core = Folder(folder, split={"method": "random", "k_core": 4})
    assert core[0][ITEM].num_nodes <= 10
    other = Folder(folder, text_columns=["title"])
    assert not other[0][ITEM].x_text.equal(Folder(folder)[0][ITEM].x_text)


def test_amazon_by_two_commands(tmp_path, command) -> None:
    folder = amazon(tmp_path / "baby", 2018)
    code, out, _ = command(f"encode {folder} --image-urls")
    assert (code, "9 addresses" in out) == (0, True)
    listed = (folder / "images.curl").read_text().splitlines()
    assert listed[:2] == [
        'url = "http://a.example/i0.jpg"', f'output = "{folder}/images/i0.jpg"'
    ]  # fmt: skip
    models.pictures(folder / "images", 7)
    made = encode_folder(folder, text="tfidf", image="colours", progress=False)
    assert (made["text"].present, made["image"].present) == (9, 7)
    assert Folder(folder).modalities == ["image", "text"]


@pytest.mark.parametrize(
    ("name", "line", "words"),
    [
        ("Baby", '{"user_id": "u", "parent', "Baby.jsonl.gz: line 4 is no record"),
        ("Baby", "[1, 2]", "Baby.jsonl.gz: line 4 is no record of names"),
        ("Baby", '{"user_id": "u"}', "line 4 has no 'parent_asin' or 'asin'"),
        ("Baby", '{"parent_asin": "u"}', "line 4 has no 'user_id' or 'reviewerID'"),
        ("Baby", "__import__('os').getpid()", "line 4 is no record"),
        ("Baby", "(" * 5000, "line 4 is no record"),
        ("Baby", b"\xff\xfe", "Baby.jsonl.gz: line 4 is not UTF-8"),
        ("meta_Baby", '{"parent_asin": "i3", ', "meta_Baby.jsonl.gz: line 4 is no rec"),
        ("meta_Baby", '{"title": "x"}', "meta_Baby.jsonl.gz: line 4 has no 'parent_as"),
    ],
)
def test_a_damaged_line_is_named_by_its_number(tmp_path, name, line, words) -> None:
    folder = amazon(tmp_path / "baby", 2023)
    path = folder / f"{name}.jsonl.gz"
    lines = gzip.decompress(path.read_bytes()).splitlines()
    lines[3] = line if isinstance(line, bytes) else line.encode()
    path.write_bytes(gzip.compress(b"\n".join(lines)))
    with pytest.raises(MMRecError, match=words):
        Folder(folder)


def test_a_file_that_is_cut_is_named_by_its_last_line(tmp_path) -> None:
    folder = amazon(tmp_path / "baby", 2014)
    path = folder / "reviews_Baby_5.json.gz"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(MMRecError, match=r"json.gz: line \d+ (cannot|is no rec)"):
        Folder(folder)
    path.write_bytes(b"\x1f\x8bnothing")
    with pytest.raises(MMRecError, match="line 1 cannot be read"):
        Folder(folder)


def test_blank_lines_and_other_files_do_no_harm(tmp_path) -> None:
    folder = amazon(tmp_path / "baby", 2023, packed=False)
    path = folder / "Baby.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\n\n"))
    (folder / "notes.json").write_text("{}")
    (folder / "broken.json").write_text("{")
    assert all_edges(Folder(folder)) == set(map(tuple, PAIRS.to_numpy()))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("a &lt;b&gt; <br/>c", "a <b> c"),
        ([["A", "B"], ["A", "C"]], "A B C"),
        (["", "x\n y"], "x y"),
        ({"a": 1}, ""),
        (5, ""),
    ],
)
def test_texts_lose_their_marks(value, text) -> None:
    assert clean(value) == text


def micro_ids():
    return raw_rows().assign(
        user=lambda r: r["user"].str[1:].astype(int),
        item=lambda r: r["item"].str[1:].astype(int) + 1,
    )


def microlens(folder, lines=False, header=True):
    folder.mkdir()
    rows = micro_ids()
    if lines:
        text = [
            f"{u}\t{' '.join(map(str, g['item']))}" for u, g in rows.groupby("user")
        ]
        (folder / "MicroLens-50k_pairs.tsv").write_text("\n".join(text))
    else:
        rows[["user", "item", "time"]].set_axis(
            ["user", "item", "timestamp"], axis=1
        ).to_csv(folder / "MicroLens-50k_pairs.csv", index=False)
    titles = pd.DataFrame({"item": range(1, 10), "title": [*TITLES.values()]})
    titles.to_csv(folder / "MicroLens-50k_titles.csv", index=False, header=header)
    (folder / "tags_to_summary.csv").write_text("1,Food\n2,Game\n")
    return folder


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("lines", [True, False])
def test_microlens(tmp_path, lines, header) -> None:
    folder = microlens(tmp_path / "micro", lines, header)
    dataset = Folder(folder, split="leave-one-out")
    assert all_edges(dataset) == set(
        map(tuple, micro_ids()[["user", "item"]].to_numpy())
    )
    store = dataset[0][INTERACTS]
    last = micro_ids().groupby("user")["item"].last()
    found = {dataset.user_ids[u]: dataset.item_ids[i]
             for u, i in store.test_label_index.T.tolist()}  # fmt: skip
    assert found == last.to_dict()
    assert dataset.item_titles[0] == TITLES["i0"]
    assert dataset.modalities == ["text"]
    pytest.importorskip("PIL")
    for n, path in enumerate(models.pictures(folder / "MicroLens-50k_covers", 6), 1):
        path.rename(path.with_stem(str(n)))
    assert encode_folder(folder, image="colours", progress=False)["image"].present == 6
    assert Folder(folder).modalities == ["image", "text"]


@pytest.mark.parametrize("line", ["7", "7\t", "\t1 2", "7 8 9"])
def test_a_damaged_line_of_pairs(tmp_path, line) -> None:
    folder = microlens(tmp_path / "micro", lines=True)
    path = folder / "MicroLens-50k_pairs.tsv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], line, *lines[2:]]))
    with pytest.raises(MMRecError, match="pairs.tsv: line 3 is no user, a tab and it"):
        Folder(folder)


def atomic(folder, parts=False):
    folder.mkdir()
    names = ["user_id:token", "item_id:token", "timestamp:float", "rating:float"]
    rows = raw_rows().set_axis(names, axis=1)
    if parts:
        label = np.arange(len(rows)) % 6
        for name, keep in (
            ("train", label < 4), ("valid", label == 4), ("test", label == 5)
        ):  # fmt: skip
            path = folder / f"{folder.name}.{name}.inter"
            rows[keep].to_csv(path, sep="\t", index=False)
    else:
        rows.to_csv(folder / f"{folder.name}.inter", sep="\t", index=False)
    items = pd.DataFrame({"item_id:token": [*TITLES], "movie_title:token_seq":
                          [*TITLES.values()], "year:float": 1.0})  # fmt: skip
    items["image_emb:float_seq"] = [f"{n} 0.5 {-n}" for n in range(9)]
    items.loc[4, "image_emb:float_seq"] = None
    items.to_csv(folder / f"{folder.name}.item", sep="\t", index=False)
    (folder / f"{folder.name}.user").write_text("user_id:token\tage:float\nu1\t3\n")
    return folder


@pytest.mark.parametrize("parts", [True, False])
def test_atomic_files(tmp_path, parts) -> None:
    folder = atomic(tmp_path / "ml", parts)
    dataset = Folder(folder)
    assert all_edges(dataset) == set(map(tuple, PAIRS.to_numpy()))
    assert dataset.modalities == ["image", "text"]
    x = dataset[0][ITEM].x_image
    assert x[3].tolist() == [3, 0.5, -3]
    assert dataset[0][ITEM].mask_image.tolist() == [n not in (4, 9) for n in range(10)]
    assert dataset.item_titles[1] == TITLES["i1"]
    if parts:
        assert dataset[0][INTERACTS].test_label_index.size(1) == 8
    else:
        assert Folder(folder, min_rating=3)[0][INTERACTS].edge_index.size(1) < 30


def test_damaged_atomic_files(tmp_path) -> None:
    folder = atomic(tmp_path / "ml")
    path = folder / "ml.item"
    whole = path.read_text()
    path.write_text(whole.replace("3 0.5 -3", "3 0.5"))
    with pytest.raises(MMRecError, match="ml.item: line 5 has no 3 numbers in 'i"):
        Folder(folder)
    path.write_text(whole.replace("3 0.5 -3", "3 none -3"))
    with pytest.raises(MMRecError, match="ml.item: line 5 has no 3 numbers"):
        Folder(folder)
    path.write_text(whole.replace("year:float", "year:number"))
    with pytest.raises(MMRecError, match="column 'year:number', where a name and a ty"):
        Folder(folder)
    path.write_text(whole)
    inter = folder / "ml.inter"
    inter.write_text(inter.read_text().replace("\t5\n", "\tfive\n", 1))
    with pytest.raises(MMRecError, match="has the rating 'five' in data row"):
        Folder(folder)
