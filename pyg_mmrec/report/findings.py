"""What a report has to load a run for: users, branches, maps, lists."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
import torch
from torch import Tensor

from pyg_mmrec.datasets import Dataset
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.evaluation.candidates import candidate_mask
from pyg_mmrec.evaluation.contribution import model_branches
from pyg_mmrec.experiments.experiment import Run
from pyg_mmrec.experiments.loading import load_run, made_again
from pyg_mmrec.experiments.per_user import kept_users, user_metrics
from pyg_mmrec.graph import INTERACTS, LABELS, train_edges
from pyg_mmrec.plots.contribution import table_of
from pyg_mmrec.plots.embeddings import popularity_kinds
from pyg_mmrec.report.reported import Reported
from pyg_mmrec.serving.ids import codes_of

logger = logging.getLogger(__name__)
LISTED = 8
"""Items of each list that is shown."""
_NO_BRANCHES = (
    "no branches by modality, so what each contributes is unknown (choose a method "
    "that provides 'modal' or 'feats')"
)
_SHARES = (0.25, 0.5, 0.75)  # of the users, by their train interactions


@dataclass
class Findings:
    """What was found of a run; what was not is in ``missing``, with the reason.

    Args:
        users: Each user's metrics on test.
        contribution: Users by what serves them.
        maps: Embeddings to draw by what the map shows, then by kind.
        lists: The best items of some users, internal ids.
        named: Raw ids and titles of these, of items that joined the run as well.
        missing: Why a part is not there, by its name.
    """

    users: pd.DataFrame | None = None
    contribution: pd.DataFrame | None = None
    maps: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    lists: dict[int, list[int]] = field(default_factory=dict)
    named: tuple[pd.Index, list[str] | None] = (pd.Index([]), None)
    missing: dict[str, str] = field(default_factory=dict)


def open_data(runs: Sequence[Reported]) -> tuple[Dataset | None, str]:
    """The data of runs, or why they are not there."""
    run = max(runs, key=lambda one: len(one.told.get("modalities", [])))
    try:
        return made_again(run.told["source"], run.folder), ""
    except (MMRecError, OSError) as error:
        logger.warning("the report does without the data set: %s", error)
        return None, str(error)


class Finder:
    """Loads runs one after another and keeps what is shown of them.

    Args:
        dataset: The data set, ``None`` if it is gone.
        why: Why it is gone.
        chosen: Users whose lists are shown, internal ids.
    """

    def __init__(self, dataset: Dataset | None, why: str, chosen: Sequence[int]):
        self.why, self.chosen = why, chosen
        self._made: dict[str, Dataset] = {}
        self.dataset = dataset

    def __call__(self, run: Reported, maps: bool, lists: bool) -> Findings:
        """What is found of a run.

        Args:
            run: The run.
            maps: Whether its embeddings are shown.
            lists: Whether its lists are.
        """
        found = Findings(kept_users(run.folder, run.test))
        try:
            if self.dataset is None:
                raise MMRecError(self.why)
            done = load_run(run.folder, self._data(run))
        except (MMRecError, OSError) as error:
            parts = ("contribution", "maps", "lists")
            found.missing = dict.fromkeys(parts, str(error))
            if found.users is None:
                found.missing["users"] = str(error)
            return found
        self._measure(done, found)
        if maps:
            found.maps = maps_of(done)
        if lists:
            found.lists = best_items(done, self.chosen)
            found.named = done.index.item_ids, done.index.item_titles
        return found

    def _measure(self, done: Run, found: Findings) -> None:
        try:
            if found.users is None:
                found.users = user_metrics(done)
            if not done.model.provides & {"modal", "feats"}:
                raise MMRecError(_NO_BRANCHES)
            found.contribution = table_of(done)
            check_served(found.contribution, done)
        except MMRecError as error:
            part = "users" if found.users is None else "contribution"
            found.missing[part] = str(error)
            found.contribution = None

    def _data(self, run: Reported) -> Dataset:
        """The data as the run saw them: maybe with other modalities."""
        key = json.dumps(run.told["source"], sort_keys=True)
        if key not in self._made:
            self._made[key] = made_again(run.told["source"], run.folder)
        return self._made[key]


def check_served(table: pd.DataFrame, done: Run) -> None:
    """Hold the users that the fusion serves today against what the run told then.

    Args:
        table: Users by what serves them, within the first 20.
        done: The run.

    Raises:
        MMRecError: If another version of the package gives other figures.
    """
    told = done.result.test.get("hit_rate@20")
    served = [k for k in table.index if k.endswith("_fused")]
    now = float(table.loc[[*served, "synergy", "redundant"], "share"].sum())
    if told is not None and abs(now - told) > 1e-3:
        raise MMRecError(
            f"its weights serve {now:.1%} of the users where the run told {told:.1%}: "
            f"it is of another version of the package, so train it again"
        )


def maps_of(done: Run) -> dict[str, dict[str, Tensor]]:
    """Embeddings of items to draw: by popularity, and by modality.

    Args:
        done: The run.
    """
    kinds = popularity_kinds(done)
    found: dict[str, dict[str, Tensor]] = {}
    if next(iter(kinds.values())).size(1) > 1:
        found["final embeddings by popularity"] = kinds
    if done.model.provides & {"modal", "feats"}:
        rows = {m: b.item for m, b in model_branches(done.model, done.data).items()}
        if len({x.size(1) for x in rows.values()}) == 1 and len(rows) > 1:
            found["branches by modality"] = rows
    return found


def example_users(dataset: Dataset) -> list[int]:
    """Users with few, middling and many train interactions who have a test item."""
    data = dataset[0]
    held_out = data[INTERACTS].get(LABELS["test"])
    if held_out is None or not held_out.numel():
        return []
    users = held_out[0].unique()
    count = torch.bincount(train_edges(data)[0], minlength=int(users.max()) + 1)[users]
    order = users[count.argsort(stable=True)].tolist()
    places = (int(share * (len(order) - 1)) for share in _SHARES)
    return [*dict.fromkeys(order[place] for place in places)]


def best_items(done: Run, users: Sequence[int]) -> dict[int, list[int]]:
    """The first items of users, as the test ranks them.

    Args:
        done: The run.
        users: Internal ids.
    """
    index, allow = done.index, None
    candidates = done.train_config.candidates or "all"
    if candidates != "all":
        mask = candidate_mask(done.data, candidates)
        allow = index.item_ids[mask.numpy()].tolist()
    found = {}
    for user in users:
        raw = index.user_ids[user]
        table = index.recommend(raw, LISTED, exclude_seen="train", allow=allow)
        found[user] = codes_of("item", table["item"].tolist(), index.item_ids).tolist()
    return found


def reasons(found: Mapping[str, Findings], part: str) -> str:
    """Why a part is missing, of which runs, as one sentence; empty if it is not."""
    why: dict[str, list[str]] = {}
    for name, one in found.items():
        if part in one.missing:
            why.setdefault(one.missing[part], []).append(name)
    if len(found) == 1:
        return ". ".join(_capital(text) for text in why)
    return " ".join(f"{', '.join(names)}: {text}." for text, names in why.items())


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
