"""Where MovieLens-1M and Last.fm-2K are published with multimodal features.

Spillo, Musacchio, Musto, de Gemmis, Lops, Semeraro, "See the movie, hear the song, read
the book: extending MovieLens-1M, Last.fm-2K, and DBbook with multimodal data", RecSys
2025: a repository (https://github.com/swapUniba/multimodal_ml1m_dbbook_lfm2k) with the
split of the paper and arrays of features, and https://zenodo.org/records/15403972 with
the features of all items by their ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyg_mmrec.datasets.download import Remote

RAW = "https://raw.githubusercontent.com/swapUniba/multimodal_ml1m_dbbook_lfm2k"
COMMIT = "e8c90c3f93ed14753fec4905d37c401de2255160"
ZENODO = "https://zenodo.org/records/15403972/files"
GROUPLENS = "https://files.grouplens.org/datasets"


@dataclass(frozen=True)
class Release:
    """What is published of one data set.

    Args:
        name: What the authors call it; the split is in ``<name>.inter``.
        inter: Git's name of the split, in numbers from 0.
        original: The same with raw ids, line by line: place in the repository, name.
        titles: Table of the items' titles, likewise.
        arrays: Place of the arrays of features.
        features: Git's name of each array, by modality and encoder.
        archive: The data set as it was published first, from here below GroupLens'.
        members: Its files of interactions and of items.
        by_id: Archive of the features by raw id, and its MD5 as Zenodo tells it.
    """

    name: str
    inter: str
    original: tuple[str, str]
    titles: tuple[str, str]
    arrays: str
    features: Mapping[str, Mapping[str, str]]
    archive: Remote
    members: tuple[str, str]
    by_id: tuple[str, str]

    def split(self) -> list[Remote]:
        """The split of the paper, and titles."""
        inter = f"{self.arrays}/{self.name}.inter"
        return [
            _of_git(*self.titles),
            _of_git(*self.original),
            _of_git(inter, self.inter),
        ]

    def array(self, modality: str, encoder: str) -> Remote:
        """An array of features, a row for each number of an item."""
        name = self.features[modality][encoder]
        return _of_git(f"{self.arrays}/{encoder}.npy", name)

    def keyed(self) -> Remote:
        """The features of all items by raw id."""
        name, md5 = self.by_id
        return Remote(f"{ZENODO}/{name}", name, ("md5", md5))


def _of_git(place: str, name: str) -> Remote:
    return Remote(f"{RAW}/{COMMIT}/{place}", place.rpartition("/")[2], ("git", name))


_MOVIES = "3_data_processing/ml-1m_grouplens"
MOVIELENS = Release(
    name="movielens_1m",
    inter="bc00e77458b2a2f8ceb63c9d72b92057b70a23ca",
    original=(
        f"{_MOVIES}/processed_data/movielens_1m_og_ids.inter",
        "515716b163336c7d7323cf87c0ce30fbed465f98",
    ),
    titles=(
        f"{_MOVIES}/ml1m_full_extended_mapping.tsv",
        "8f77d05cb56d29f30772abbc158826ce53f26bfc",
    ),
    arrays="4_mmrec/data/movielens_1m",
    features={
        "text": {
            "all-MiniLM-L6-v2": "87f2cd9ab6a9365da57d66c2e6d2f6a33b550a22",
            "all-mpnet-base-v2": "107fbf53dac94f46a7b3e074cf81f67fb629fe26",
        },
        "image": {
            "vit_cls": "22ca94dc909850acbbb88fc80cd0684f4265b8bc",
            "vit_avg": "34d66a1784b4af4b9de82d3c965efb65eade692c",
            "vgg": "0b549bdc6a0cdfbad79f18274aab8762b9922353",
            "resnet152": "c844904cc8f052dade7dbeffdb5bdc8e0bf3dc4d",
        },
        "audio": {
            "whisper": "b76ae73152b83d9a41b17aa24552954722a579f6",
            "vggish": "dc56a878955547e52fd99e86985ce6d0a469173c",
        },
        "video": {
            "r2p1d": "9d8a0f8bfa229c90e94e0f9c6f038983a995a168",
            "i3d": "ccfaa7c5d629386feb5096dea05b651ec95c3ff3",
        },
    },
    # The MD5 is that of GroupLens' ml-1m.zip.md5.
    archive=Remote(
        f"{GROUPLENS}/movielens/ml-1m.zip",
        "ml-1m.zip",
        ("md5", "c4d9eecfca2ab87c1945afe126590906"),
    ),
    members=("ratings.dat", "movies.dat"),
    by_id=("ml1m_mm_json.zip", "8f184920d99edd58d1f2063450f4c0c6"),
)

_ARTISTS = "3_data_processing/hetrec2011-lastfm-2k"
LASTFM = Release(
    name="lfm2k",
    inter="456ee385aff6e2cf59acfb39329b555986c8709e",
    original=(
        f"{_ARTISTS}/processed_data/lfm2k_og_ids.inter",
        "ddaa801f5188e555d5de300621244ea458059963",
    ),
    titles=(
        f"{_ARTISTS}/original_data/artists.dat",
        "c33103eeaf8f7024748f5b370d6689d9e61ab1e0",
    ),
    arrays="4_mmrec/data/lfm2k",
    features={
        "text": {
            "all-MiniLM-L6-v2": "721dc2b7aaaca963e048aef7cc8f57a6ec0e7807",
            "all-mpnet-base-v2": "fc1684081b6fedebd6a541504e386a6e40f8cb77",
        },
        "image": {
            "vit_cls": "f234e736274e58fa7940e5626437497fe7eb635c",
            "vit_avg": "1c70612d744b2fc408c911e7d43992735c3f1bbc",
            "vgg": "50a912125f32c46dcd227375ff9c54062a8152fc",
            "resnet152": "6b206825b316ee536d3f66a6a060f4da1150830f",
        },
        "audio": {
            "whisper": "17f76f7f1b9ba593123f96027906b367d0864ffe",
            "vggish": "bd44578e4aaef76d361f9f1fbea7e2f0e3f1a782",
        },
    },
    # GroupLens tells no checksum; this is the one that OmniRec's loader holds it to.
    archive=Remote(
        f"{GROUPLENS}/hetrec2011/hetrec2011-lastfm-2k.zip",
        "hetrec2011-lastfm-2k.zip",
        ("sha256", "6738f48195667ff03caaab4d32ca9a3133d8cc026b7c3cdaf6ce1010e913c59c"),
    ),
    members=("user_artists.dat", "artists.dat"),
    by_id=("lfm2k_mm_json.zip", "7e5ba969073f5886743d301450083c0b"),
)
