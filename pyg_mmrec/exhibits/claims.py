"""What each paper claims of its parts, judged on a data set by paired tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pyg_mmrec.errors import unknown
from pyg_mmrec.experiments.comparison import markdown_rows
from pyg_mmrec.experiments.literature import published
from pyg_mmrec.experiments.significance import (
    LEVEL,
    compare_pairs,
    holm,
    mean_over_seeds,
)

RULE = (
    "Paired tests over users, of each user's mean over seeds, corrected by Holm over "
    "the claims, and of each seed by itself, corrected by Holm over the seeds. Yes: "
    "both tests (t and Wilcoxon) find a gain at 5 % and every seed gains. No: both "
    "find a loss and every seed loses. Tie: anything else. Effect: the mean of the "
    "differences in their standard deviations."
)
Users = Callable[[str, int], pd.DataFrame]


@dataclass(frozen=True)
class Claim:
    """That something helps.

    Args:
        paper: Whose claim it is, by its method's name.
        words: What helps.
        with_it: The case that has it, as compare names it.
        without: The case that does not.
        metric: What it is judged by, as in the paper's own table of it.
        printed: Names of both in that table, if it prints them.
        table: A part of that table's name, as the reference has it.
    """

    paper: str
    words: str
    with_it: str
    without: str
    metric: str = "recall@20"
    printed: tuple[str, str] | None = None
    table: str = "ablation"


CLAIMS = (
    Claim("rearm", "refining the contrast helps", "rearm", "rearm-ref",
          printed=("REARM", "w/o ref")),
    Claim("sand", "alignment and distance help its backbone", "sand", "sand-all"),
    Claim("mgnm", "the gate by features helps", "mgnm", "mgnm-gate"),
    Claim("mgnm", "de-redundancy helps", "mgnm", "mgnm-ddr"),
    Claim("mde", "the trade-off by node helps", "mde", "mde-nlt", "recall@5",
          ("MDE", "w/o NLT")),
    Claim("mde", "learned preferences beat fixed ones", "mde",
          "mde:preference=fixed", "recall@5"),
    Claim("br_mrs", "its terms help VBPR", "vbpr+br_mrs", "vbpr"),
)  # fmt: skip


MODAL = ("mgnm", "rearm")
"""Papers with an exhibit of what each modality adds."""


def of_modalities(modalities: Sequence[str]) -> list[Claim]:
    """That each modality of some data adds to the others, as :data:`MODAL` claim.

    Args:
        modalities: Names of all that the data have; of one alone nothing is claimed.
    """
    return [
        Claim(
            paper, f"{one} adds to the rest", paper,
            f"{paper}@{'+'.join(m for m in modalities if m != one)}",
            printed=(paper.upper(), f"{paper.upper()} w/o {one}"), table="modality",
        )
        for paper in MODAL for one in modalities if len(modalities) > 1
    ]  # fmt: skip


def chosen(papers: Sequence[str], modalities: Sequence[str] = ()) -> list[Claim]:
    """Claims of some papers on some data, paper by paper.

    Args:
        papers: Names of their methods; all if there are none.
        modalities: As of :func:`of_modalities`.

    Raises:
        MMRecError: If there are none of a paper.
    """
    known = list(dict.fromkeys(claim.paper for claim in CLAIMS))
    for paper in papers:
        if paper not in known:
            raise unknown("paper with claims", paper, known)
    found = [*CLAIMS, *of_modalities(modalities)]
    return [
        claim for paper in known if paper in (papers or known)
        for claim in found if claim.paper == paper
    ]  # fmt: skip


def cases(claimed: Sequence[Claim]) -> list[str]:
    """Cases of some claims, each once."""
    pairs = [(claim.with_it, claim.without) for claim in claimed]
    return list(dict.fromkeys(case for pair in pairs for case in pair))


def judge(
    users: Users, seeds: Sequence[int], claimed: Sequence[Claim] = CLAIMS
) -> pd.DataFrame:
    """Some claims, by paired tests over users.

    What makes a verdict is told by :data:`RULE`.

    Args:
        users: Metrics of all users, by case and seed.
        seeds: The seeds.
        claimed: What is judged.

    Returns:
        A row per claim: means ``with`` and ``without``, ``difference`` with the
        interval over users (``low``, ``high``), ``effect``, corrected p-values ``t``
        and ``wilcoxon``, ``by seed`` (differences and corrected p of the t-test) and
        ``verdict``.
    """
    rows = [_row(claim, users, seeds) for claim in claimed]
    for test in ("t", "wilcoxon"):
        for row, p in zip(rows, holm([row[test] for row in rows]), strict=True):
            row[test] = p
    return pd.DataFrame([{**row, "verdict": verdict(row)} for row in rows])


def _row(claim: Claim, users: Users, seeds: Sequence[int]) -> dict[str, Any]:
    pair = {name: [users(name, seed) for seed in seeds]
            for name in (claim.with_it, claim.without)}  # fmt: skip
    each = [
        compare_pairs({name: t[i] for name, t in pair.items()}, claim.metric).iloc[0]
        for i in range(len(seeds))
    ]
    means = {name: mean_over_seeds(tables) for name, tables in pair.items()}
    both = compare_pairs(means, claim.metric).iloc[0].to_dict()
    corrected = holm([one["t"] for one in each])
    return {
        "claim": claim,
        "with": means[claim.with_it][claim.metric].mean(),
        "without": means[claim.without][claim.metric].mean(),
        **{k: both[k] for k in ("difference", "low", "high", "effect", "t",
                                "wilcoxon")},
        "by seed": [(float(one["difference"]), p)
                    for one, p in zip(each, corrected, strict=True)],
    }  # fmt: skip


def verdict(row: dict[str, Any]) -> str:
    """``"yes"``, ``"no"`` or ``"tie"`` of a row of :func:`judge`."""
    found = max(row["t"], row["wilcoxon"]) <= LEVEL
    signs = {np.sign(change) for change, _ in row["by seed"]}
    if not found or len(signs) > 1:
        return "tie"
    return "yes" if row["difference"] > 0 else "no"


def claims_table(judged: pd.DataFrame, seeds: Sequence[int]) -> str:
    """The judged claims in Markdown.

    Args:
        judged: What :func:`judge` returned.
        seeds: The seeds.
    """
    head = ["", "claim", "with", "without", "metric", "with", "without",
            "difference (95 % over users)", f"by seed {' '.join(map(str, seeds))} (p)",
            "p: t, Wilcoxon", "effect", "as printed", "here"]  # fmt: skip
    lines = []
    for row in judged.to_dict("records"):
        claim = row["claim"]
        lines.append([
            claim.paper, claim.words, f"`{claim.with_it}`", f"`{claim.without}`",
            claim.metric, f"{row['with']:.4f}", f"{row['without']:.4f}",
            f"{row['difference']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f})",
            ", ".join(f"{d:+.4f} ({p:.2g})" for d, p in row["by seed"]),
            f"{row['t']:.2g}, {row['wilcoxon']:.2g}", f"{row['effect']:+.2f}",
            _printed(claim), f"**{row['verdict']}**",
        ])  # fmt: skip
    return markdown_rows([head, *lines])


def _printed(claim: Claim) -> str:
    """The gain that the paper prints, by data set."""
    if claim.printed is None:
        return "no figures"
    table = published(claim.paper)
    table = table[table["table"].str.contains(claim.table)]
    table = table[table["metric"] == claim.metric]
    cells = table.pivot(index="dataset", columns="method", values="value")
    own, other = claim.printed
    if other not in cells:
        return "no figures"
    gains = cells[own] / cells[other] - 1
    return ", ".join(f"{name} {gain:+.1%}" for name, gain in gains.items())
