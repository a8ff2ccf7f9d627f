"""Last.fm-2K with published features of tags, album covers and songs."""

from __future__ import annotations

from collections.abc import Mapping

from pyg_mmrec.datasets import swap
from pyg_mmrec.datasets.dat import columns_of, rows_of
from pyg_mmrec.datasets.extended import Extended
from pyg_mmrec.datasets.ids import numbered
from pyg_mmrec.datasets.interactions import Interactions


class LastFM(Extended):
    """Last.fm-2K with published features of tags, album covers and songs.

    By the published protocol 1,858 users, 1,425 artists that have every modality and
    56,345 listened-to artists, split 8:1:1; with ``protocol="all"`` all 92,834. What
    their listeners called an artist is the text, so that it tells of interactions.

    Args:
        root: Parent folder of the data sets; files are in ``root/lastfm/``.
        modalities: Which modalities to load; all that there are if ``None``.
        protocol: ``"published"`` or ``"all"``, see :class:`Extended`.
        features: Encoder by modality: ``text`` is ``"all-MiniLM-L6-v2"`` or
            ``"all-mpnet-base-v2"``; ``image`` ``"vit_cls"``, ``"vit_avg"``, ``"vgg"``
            or ``"resnet152"``; ``audio`` ``"whisper"`` or ``"vggish"``.
        **options: As in :class:`~pyg_mmrec.datasets.Dataset`.

    Example:
        >>> from pyg_mmrec import LastFM
        >>> LastFM("data", protocol="some")
        Traceback (most recent call last):
            ...
        pyg_mmrec.errors.MMRecError: unknown protocol 'some': choose one of all, ...
    """

    release = swap.LASTFM
    own_name = "lastfm"

    def _whole(self) -> Interactions:
        path = self.folder / "user_artists.dat"
        columns = columns_of(path, "\t", (0, 1, 2), skip=1)
        (user, user_ids), (item, item_ids) = map(numbered, columns[:2])
        return Interactions(user, item, user_ids, item_ids)

    def _titles(self) -> Mapping[str, str]:
        rows = rows_of(self.folder / "artists.dat", "\t")[1:]
        return {row[0]: row[1] for row in rows if len(row) > 1}
