"""Planted data: preferences whose origin in the modalities is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from pyg_mmrec.datasets.base import Dataset, Raw
from pyg_mmrec.datasets.features import Features
from pyg_mmrec.datasets.interactions import Interactions
from pyg_mmrec.datasets.places import user_cache
from pyg_mmrec.datasets.store import Processed
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.graph import INTERACTS

USUAL = ("image", "text")
_ELEMENTS = 1 << 22  # of the largest temporary tensor: 16 MiB of float32


class Synthetic(Dataset):
    r"""Users who choose by what modalities share, tell alone, and tell only together.

    Items have latents :math:`s` (shared), :math:`z_m` (unique to modality :math:`m`)
    and signs :math:`a_m \in \{-1, 1\}^k` (synergy). A modality's features mix what it
    sees, by a random matrix, and noise:

    .. math::
        x_m = [s, z_m, a_m] W_m + \sigma \epsilon

    A user's utility of an item is

    .. math::
        \frac{1}{\sqrt k} \Big( w_s \langle p_s, s \rangle + \sum_m w_m \langle p_m,
        z_m \rangle + w_{syn} \langle p_{syn}, \textstyle\prod_m a_m \rangle \Big)

    The product of signs (XOR) is independent of every proper subset of the
    :math:`a_m`: only all modalities together tell it. Each user takes the items of
    highest utility plus Gumbel noise out of a random sample of candidates, which costs
    memory by chunk, never users times items.

    Args:
        num_users: Number of users ``U``.
        num_items: Number of items ``I``.
        modalities: Names, or how many (``"m0"``, ``"m1"``, ...); ``image`` and ``text``
            if ``None``.
        shared: Weight of the shared part.
        unique: Weight of the unique parts, one for all or by modality.
        synergy: Weight of the synergistic part; needs two modalities.
        dim: Dimensions of features, one for all or by modality.
        latent_dim: Dimensions ``k`` of each latent.
        noise: Standard deviation of the noise in features.
        missing: Share of items without features, drawn for each modality by itself.
        degree: Mean number of interactions of a user (at least 5 each).
        candidates: Items that a user chooses from; ``8 * degree`` by default.
        temperature: Of the choice: 0 takes the highest utilities.
        seed: Of everything, the split too.
        hidden: Modalities that shape what users take and that the graph lacks, to see
            what they add to the others. Without its name among ``modalities``, users
            would take other items.
        root: Where graphs that methods derive are kept, in ``root/synthetic/``.
        **options: As in :class:`~pyg_mmrec.datasets.Dataset`.

    Attributes:
        latents: ``{"user": {part: [U, k]}, "item": {part: [I, k]}}`` with the parts
            ``shared``, ``unique_<modality>`` and ``synergy``; items also have
            ``sign_<modality>``.

    Raises:
        MMRecError: For an option out of its range, or an unknown modality.

    Example:
        >>> from pyg_mmrec import Synthetic
        >>> dataset = Synthetic(num_users=50, num_items=40, unique={"text": 2.0})
        >>> dataset.modalities, dataset[0]["item"].x_text.shape
        (['image', 'text'], torch.Size([40, 32]))
        >>> dataset.weights
        {'shared': 1.0, 'unique_image': 0.0, 'unique_text': 2.0, 'synergy': 0.0}
    """

    latents: dict[str, dict[str, Tensor]]

    def __init__(
        self,
        num_users: int = 500,
        num_items: int = 300,
        modalities: Sequence[str] | int | None = None,
        shared: float = 1.0,
        unique: float | Mapping[str, float] = 1.0,
        synergy: float = 0.0,
        dim: int | Mapping[str, int] = 32,
        latent_dim: int = 8,
        noise: float = 0.1,
        missing: float = 0.0,
        degree: float = 20.0,
        candidates: int | None = None,
        temperature: float = 0.3,
        seed: int = 0,
        hidden: Sequence[str] = (),
        root: Path | str | None = None,
        **options: Any,
    ) -> None:
        self.names = _names(USUAL if modalities is None else modalities)
        self.num_users, self.num_items = num_users, num_items
        self.weights = _weights(self.names, shared, unique, synergy)
        self.dim, self.latent_dim = dim, latent_dim
        self.noise, self.missing, self.temperature = noise, missing, temperature
        self.degree = degree
        self.candidates = int(8 * degree) if candidates is None else candidates
        self.hidden = [hidden] if isinstance(hidden, str) else list(hidden)
        for name in self.hidden:
            if name not in self.names:
                raise unknown("modality to hide", name, self.names or ["none"])
        _check_ranges(self)
        if root is None:
            options.setdefault("cache_dir", user_cache() / "synthetic")
        super().__init__(root or ".", "synthetic", None, seed=seed, **options)

    @classmethod
    def by_name(
        cls,
        root: Path | str,
        modalities: Sequence[str] | int | None = None,
        **options: Any,
    ) -> Synthetic:
        """Planted data as the name ``"synthetic"`` opens them.

        As of all data sets that are opened by name, modalities are those to read: of
        the usual two, the other one still shapes what users take. Names of others are
        planted.

        Args:
            root: As of the class.
            modalities: As said; ``None`` for the usual two.
            **options: As of the class; with ``hidden``, all names are planted.
        """
        names = set(USUAL if modalities is None else _names(modalities))
        if "hidden" in options or not names < set(USUAL):
            return cls(modalities=modalities, root=root, **options)
        hidden = [name for name in USUAL if name not in names]
        return cls(hidden=hidden, root=root, **options)

    @property
    def raw_file_names(self) -> list[str]:
        """No files: the data is drawn."""
        return []

    def _download(self) -> None:
        """There is nothing to download."""

    def _process(self) -> None:
        """Draw in memory: that is as fast as reading."""
        data, raw = self.build(self.read())
        self.user_ids = raw.interactions.user_ids
        self.item_ids = raw.interactions.item_ids
        self.item_titles = raw.titles
        self._processed = Processed(data, pd.DataFrame(), pd.DataFrame())

    def _restore(self, found: Processed) -> None:
        self._data = found.data

    def process(self) -> None:
        """Nothing is kept on disk."""

    def read(self) -> Raw:
        """Draw latents, features and interactions."""
        generator = torch.Generator().manual_seed(self.seed)
        self.latents = self._draw_latents(generator)
        features = {m: self._features(m, generator) for m in self.names}
        user, item = self._choices(generator)
        features = {m: x for m, x in features.items() if m not in self.hidden}
        ids = pd.RangeIndex(self.num_users), pd.RangeIndex(self.num_items)
        titles = [f"item {i}" for i in range(self.num_items)]
        return Raw(Interactions(user.numpy(), item.numpy(), *ids), features, titles)

    def utility(self, user: Tensor, item: Tensor) -> Tensor:
        """What users truly think of items, without the noise of the choice.

        Args:
            user: Internal user ids, ``[n]``.
            item: Internal item ids, ``[n]`` or ``[n, c]``.

        Returns:
            Utilities, in the shape of ``item``.
        """
        left, right = self._joined()
        rows = left[user].view(len(user), -1, 1)
        chosen_items = right[item.view(len(user), -1)]
        return (chosen_items @ rows).view(item.shape)

    def _draw_latents(self, generator: torch.Generator) -> dict[str, dict[str, Tensor]]:
        def normal(size: int) -> Tensor:
            return torch.randn(size, self.latent_dim, generator=generator)

        user = {part: normal(self.num_users) for part in self.weights}
        item = {part: normal(self.num_items) for part in self.weights}
        signs = {f"sign_{m}": normal(self.num_items).sign() for m in self.names}
        if signs:
            item["synergy"] = torch.stack(list(signs.values())).prod(0)
        return {"user": user, "item": {**item, **signs}}

    def _features(self, modality: str, generator: torch.Generator) -> Features:
        item = self.latents["item"]
        parts = ("shared", f"unique_{modality}", f"sign_{modality}")
        seen = torch.cat([item[part] for part in parts], 1)
        dim = _by_name(self.names, self.dim)[modality]
        mixing = torch.randn(seen.size(1), dim, generator=generator)
        x = seen @ mixing / math.sqrt(seen.size(1))
        x += self.noise * torch.randn(x.shape, generator=generator)
        present = torch.rand(self.num_items, generator=generator) >= self.missing
        return Features((x * present.unsqueeze(-1)).numpy(), present.numpy())

    def _joined(self) -> tuple[Tensor, Tensor]:
        """Latents whose inner product is the utility, ``[U, k P]`` and ``[I, k P]``."""
        user, item = self.latents["user"], self.latents["item"]
        scale = 1 / math.sqrt(self.latent_dim)
        parts = [(part, w * scale) for part, w in self.weights.items() if w] or [
            ("shared", 0.0)
        ]
        left = torch.cat([w * user[part] for part, w in parts], 1)
        return left, torch.cat([item[part] for part, _ in parts], 1)

    def _choices(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What each user takes, (user, item), ``[E]`` each."""
        left, right = self._joined()
        size = min(self.candidates, self.num_items)
        rate = torch.full((self.num_users,), max(self.degree - 5.0, 0.0))
        count = (torch.poisson(rate, generator=generator) + 5).clamp(max=size).long()
        rows = max(1, _ELEMENTS // (size * right.size(1)))
        parts = [
            _take(
                left[start : start + rows],
                right,
                count[start : start + rows],
                size,
                self.temperature,
                generator,
            )
            for start in range(0, self.num_users, rows)
        ]
        user = torch.arange(self.num_users).repeat_interleave(count)
        return user, torch.cat(parts)

    def __repr__(self) -> str:
        edges = self._data[INTERACTS].edge_index.size(1)
        return (
            f"Synthetic(users={self.num_users}, items={self.num_items}, "
            f"train={edges}, weights={self.weights}, seed={self.seed})"
        )


def _take(
    left: Tensor,
    right: Tensor,
    count: Tensor,
    size: int,
    temperature: float,
    generator: torch.Generator,
) -> Tensor:
    """Items that a chunk of users takes, user by user, ``[sum(count)]``.

    Args:
        left: Users' latents, ``[n, k]``.
        right: Items' latents, ``[I, k]``.
        count: How many each user takes, ``[n]``.
        size: Number of candidates ``c``.
        temperature: Scale of the Gumbel noise.
        generator: Source of randomness.
    """
    shape = (left.size(0), size)
    # One candidate from each of c strata of the items: random, and no two equal. The
    # turn gives each item the same chance where strata differ in width.
    bounds = torch.arange(size + 1) * right.size(0) // size
    place = torch.rand(shape, generator=generator) * bounds.diff()
    place = torch.minimum(place.long(), bounds.diff() - 1)  # rand may round up
    turn = torch.randint(right.size(0), (left.size(0), 1), generator=generator)
    item = (bounds[:-1] + place + turn) % right.size(0)
    score = (right[item] @ left.unsqueeze(-1)).squeeze(-1)
    uniform = torch.rand(shape, generator=generator).clamp(1e-20, 1 - 1e-7)
    score -= temperature * uniform.log().neg().log()
    order = score.argsort(1, descending=True)
    return item.gather(1, order)[torch.arange(size) < count.unsqueeze(-1)]


def _names(modalities: Sequence[str] | int) -> list[str]:
    if isinstance(modalities, int):
        return [f"m{i}" for i in range(modalities)]
    return [modalities] if isinstance(modalities, str) else list(modalities)


def _weights(
    names: list[str], shared: float, unique: float | Mapping[str, float], synergy: float
) -> dict[str, float]:
    """Weight of each part."""
    if isinstance(unique, Mapping):
        for name in unique:
            if name not in names:
                raise unknown("modality of unique", name, names or ["none"])
        by_name = {m: float(unique.get(m, 0.0)) for m in names}
    else:
        by_name = {m: float(unique) for m in names}
    if synergy and len(names) < 2:
        raise MMRecError(
            f"synergy={synergy} needs two modalities or more (found {len(names)}): add "
            f"one, or leave synergy out"
        )
    parts = {f"unique_{m}": weight for m, weight in by_name.items()}
    return {"shared": float(shared), **parts, "synergy": float(synergy)}


def _by_name(names: list[str], dim: int | Mapping[str, int]) -> dict[str, int]:
    """Dimensions of each modality's features."""
    if not isinstance(dim, Mapping):
        return dict.fromkeys(names, dim)
    for name in dim:
        if name not in names:
            raise unknown("modality of dim", name, names or ["none"])
    for name in names:
        if name not in dim:
            raise MMRecError(f"Synthetic got no dim of {name!r}: name one for each")
    return dict(dim)


def _check_ranges(dataset: Synthetic) -> None:
    dims = _by_name(dataset.names, dataset.dim).values()
    rules: dict[str, tuple[Callable[[Any], bool], str]] = {
        "num_users": (lambda v: v >= 1, "1 or more"),
        "num_items": (lambda v: v >= 5, "5 or more"),
        "dim": (lambda v: min(dims, default=1) >= 1, "1 or more"),
        "latent_dim": (lambda v: v >= 1, "1 or more"),
        "noise": (lambda v: v >= 0, "0 or more"),
        "missing": (lambda v: 0 <= v < 1, "in [0, 1)"),
        "degree": (lambda v: v >= 5, "5 or more"),
        "candidates": (lambda v: v >= 5, "5 or more"),
        "temperature": (lambda v: v >= 0, "0 or more"),
    }
    for name, (holds, expected) in rules.items():
        value = getattr(dataset, name)
        if not holds(value):
            raise MMRecError(f"Synthetic got {name}={value}: choose {expected}")
