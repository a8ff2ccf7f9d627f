"""What is published of each data set: counts, terms, split, size, whom to cite."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class About:
    """A data set as its publishers tell of it, a line each.

    Args:
        what: What it is.
        counts: Users, items and interactions, as published.
        modalities: What there is of items.
        layout: Which files are read.
        weighs: What is downloaded, and how it is known to be whole.
        split: Which interactions the literature holds out.
        terms: On which terms it may be used.
        source: Where it is from.
        cite: Whom to cite.
    """

    what: str
    counts: str
    modalities: str
    layout: str
    weighs: str
    split: str
    terms: str
    source: str
    cite: str

    def lines(self) -> Iterator[str]:
        """The lines, each with its name before it."""
        for part in fields(self):
            yield f"{part.name}: {getattr(self, part.name)}"


_RECORDED = (
    "no checksums are published: those of the first download are kept in downloads.json"
)
_GIT = "checked by git's names of the files, of the commit that is named in swap.py"

_MICROLENS = {
    "what": "micro-videos and who commented on them",
    "split": "each user's last video is the test, the one before validation (paper); "
    "MMRec's variant is 8:1:1 by user (--split random)",
    "terms": "no licence is stated with the data; changed copies may not be offered",
    "cite": "Ni et al., A Content-Driven Micro-Video Recommendation Dataset at Scale, "
    "arXiv:2309.15379, 2023",
}


def _microlens(size: str, counts: str, titles: str, more: str, weighs: str) -> About:
    layout = f"MicroLens-{size}_pairs.csv, {titles}{more}"
    covers = "" if size == "1M" else "; covers as an archive of their own"
    modalities = "text (titles)" if not more else "image, text, video, as published"
    return About(
        counts=counts,
        modalities=modalities + covers,
        layout=layout,
        weighs=f"{weighs}; {_RECORDED}",
        source=f"https://recsys.westlake.edu.cn/MicroLens-{size}-Dataset/",
        **_MICROLENS,
    )


_HARPER = "Harper and Konstan, The MovieLens Datasets, ACM TiiS 5(4), 2015"
_SWAP = (
    "Spillo et al., See the Movie, Hear the Song, Read the Book, RecSys 2025, "
    "doi:10.1145/3705328.3748162"
)

_AMAZON_2014 = {
    "what": "reviews in a shop, 1996 to 2014, 5-core",
    "modalities": "image (4096, CNN), text (384, sentence encoder)",
    "layout": "train.npy, valid.npy, test.npy, image_feat.npy, text_feat.npy",
    "weighs": f"some hundred MB; {_RECORDED}",
    "split": "8:1:1 by user at random, published with the data",
    "terms": "none are stated with the copy that is downloaded",
    "source": "https://huggingface.co/MrShouxingMa (REARM's release)",
    "cite": "McAuley et al., Image-based Recommendations on Styles and Substitutes, "
    "SIGIR 2015",
}

ABOUT: dict[str, About] = {
    "movielens": About(
        what="ratings of films, 1997 to 1998",
        counts="943 users, 1,682 films, 100,000 ratings",
        modalities="text (titles) and genre, made of the published table",
        layout="u.data and u.item, or ml-100k.inter and .item",
        weighs="5 MB; MD5 as GroupLens publishes it",
        split="none is published; 8:1:1 by user at random of ratings from 4 on",
        terms="research, without redistribution and commercial use (its README)",
        source="https://files.grouplens.org/datasets/movielens/ml-100k.zip",
        cite=_HARPER,
    ),
    "movielens-1m": About(
        what="ratings of films, 2000 to 2003, with features of plot, poster, trailer",
        counts="6,040 users, 3,706 films, 1,000,209 ratings; by the published protocol "
        "6,040 users, 2,981 films, 942,799 ratings of whatever height",
        modalities="text, image, audio, video, as published",
        layout="movielens_1m.inter, movielens_1m_og_ids.inter, <encoder>.npy, or with "
        "--protocol all ratings.dat, movies.dat and ml1m_mm_json.zip",
        weighs=f"some 80 MB, {_GIT}; with --protocol all 270 MB, MD5 as GroupLens and "
        f"Zenodo publish them",
        split="8:1:1 by user at random, published (protocol published)",
        terms="research, without redistribution and commercial use (its README); none "
        "are stated for the features",
        source="https://grouplens.org/datasets/movielens/1m/, "
        "https://github.com/swapUniba/multimodal_ml1m_dbbook_lfm2k, "
        "https://zenodo.org/records/15403972",
        cite=f"{_HARPER}; {_SWAP}",
    ),
    "microlens-50k": _microlens(
        "50k", "50,000 users, 19,220 videos, 359,708 interactions",
        "MicroLens-50k_titles.csv", "", "some 10 MB (covers 637 MB)",
    ),
    "microlens-100k": _microlens(
        "100k", "100,000 users, 19,738 videos, 719,405 interactions",
        "MicroLens-100k_title_en.csv",
        ", MicroLens-100k_<modality>_features_<encoder>.npy", "some 240 MB",
    ),
    "microlens-1m": _microlens(
        "1M", "1,000,000 users, 91,402 videos, 9,095,620 interactions",
        "MicroLens-1M_title.csv (in Chinese)", "", "250 MB",
    ),
    "amazon-2023": About(
        what="ratings in a shop, 1996 to 2023, 5-core, by category",
        counts="Video_Games: 94,800 users, 25,600 items, 814,600 ratings; all before "
        "the 5-core 54.5 million users, 48.2 million items, 571.5 million ratings",
        modalities="text of the metadata; addresses of pictures",
        layout="<category>.train.csv, .valid.csv, .test.csv, meta_<category>.jsonl.gz; "
        "or <category>.jsonl.gz in their place",
        weighs=f"from some MB to some GB, by category; {_RECORDED}",
        split="each user's last rating is the test, the one before validation: "
        "published",
        terms="no licence is stated with the data",
        source="https://amazon-reviews-2023.github.io",
        cite="Hou et al., Bridging Language and Items for Retrieval and "
        "Recommendation, arXiv:2403.03952, 2024",
    ),
    "tiktok": About(
        what="micro-videos of TikTok and who watched them",
        counts="9,308 users, 6,710 videos, 68,722 interactions",
        modalities="image (128), audio (128), text (768), as published",
        layout="tiktok.inter, or trnMat.pkl, valMat.pkl and tstMat.pkl; "
        "<modality>_feat.npy",
        weighs="some 25 MB, checked by git's names of the files, of the commit that is "
        "named in tiktok.py",
        split="published",
        terms="no licence is stated with the data",
        source="https://github.com/HKUDS/DiffMM, whose authors shared it first with "
        "https://github.com/HKUDS/MMSSL",
        cite="Wei et al., Multi-Modal Self-Supervised Learning for Recommendation, "
        "WWW 2023, arXiv:2302.10632; Jiang et al., DiffMM, MM 2024, arXiv:2406.11781",
    ),
    "netflix": About(
        what="films of the Netflix Prize with posters that were gathered for LLMRec",
        counts="13,187 users, 17,366 films, 68,933 interactions",
        modalities="image (512, CLIP), text (768, sentence encoder)",
        layout="train.json, val.json, test.json, image_feat.npy, text_feat.npy, "
        "item_attribute_filter.csv",
        weighs=f"some 90 MB, from Google Drive by gdown; {_RECORDED}",
        split="published; validation and test were shared with the same content, which "
        "is refused: --split random",
        terms="the Netflix Prize's: research, without redistribution",
        source="https://github.com/HKUDS/LLMRec",
        cite="Wei et al., LLMRec, WSDM 2024, arXiv:2311.00423",
    ),
    "lastfm": About(
        what="artists that users of Last.fm listened to, with features of tags, "
        "covers and songs",
        counts="1,892 users, 17,632 artists, 92,834 pairs; by the published protocol "
        "1,858 users, 1,425 artists, 56,345 pairs",
        modalities="text (tags of listeners), image, audio, as published",
        layout="lfm2k.inter with lfm2k_og_ids.inter, artists.dat and <encoder>.npy, or "
        "with --protocol all user_artists.dat, artists.dat and lfm2k_mm_json.zip",
        weighs=f"some 15 MB, {_GIT}; with --protocol all 630 MB, MD5 as Zenodo "
        f"publishes it, SHA-256 of GroupLens' archive as OmniRec has it",
        split="8:1:1 by user at random, published (protocol published)",
        terms="non-commercial use (its README); none are stated for the features",
        source="https://grouplens.org/datasets/hetrec-2011/, "
        "https://github.com/swapUniba/multimodal_ml1m_dbbook_lfm2k, "
        "https://zenodo.org/records/15403972",
        cite=f"Cantador, Brusilovsky and Kuflik, HetRec 2011, RecSys 2011; {_SWAP}",
    ),
    "baby": About(
        counts="19,445 users, 7,050 items, 160,792 interactions", **_AMAZON_2014
    ),
    "sports": About(
        counts="35,598 users, 18,357 items, 296,337 interactions", **_AMAZON_2014
    ),
    "clothing": About(
        counts="39,387 users, 23,033 items, 278,677 interactions", **_AMAZON_2014
    ),
}  # fmt: skip


def about(name: str) -> About | None:
    """What is published of a data set, ``None`` where nothing is told here.

    Args:
        name: As the command line calls it.
    """
    return ABOUT.get(name)
