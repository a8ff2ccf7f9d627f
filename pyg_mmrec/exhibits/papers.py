"""The papers' tables and figures, a description each."""

from __future__ import annotations

from collections.abc import Sequence

from pyg_mmrec.exhibits import looks
from pyg_mmrec.exhibits.described import (
    BOTH,
    EIGHT,
    FOUR,
    Counts,
    Exhibit,
    Looked,
    Modalities,
    Rows,
    Shares,
    Sweep,
    Sweeps,
    Variants,
)

# Which seven the draft's table has is not known: these have branches by modality.
BACKBONES = ("VBPR", "MMGCN", "GRCN", "DualGNN", "FREEDOM", "LGMRec", "MGCN")
SHARES = (0.0, 0.2, 0.4, 0.6, 0.8)
FLEXIBLE = {
    "SAND_a": "sand:align=solosim:distance=mi",
    "SAND_b": "sand:align=solosim:distance=l2",
    "SAND_c": "sand:align=infonce:distance=mi",
    "SAND_d": "sand:align=infonce:distance=l2",
}
EFFICIENT = ("BPR", "LightGCN", "VBPR", "MMGCN", "LATTICE", "FREEDOM")
TABLE_5 = {**{name: name.lower() for name in EFFICIENT}, **FLEXIBLE}
# What its losses weigh by modality, fixed for all nodes.
FIXED = "mde:preference=fixed:fixed_weights="
LEARNED = {"MDE": "mde", "variant B": "mde:trade_off=independent"}
OTHERS = {  # of the terms of BR-MRS
    "BR-MRS": "br_mrs",
    "w/o hard negatives": "br_mrs-hard",
    "w/o synergy": "br_mrs-synergy",
    "w/o both": "br_mrs-terms",
    "BR-MRS CHNS only": "br_mrs-chns_only",
    "BR-MRS synergy only": "br_mrs-synergy_only",
}
TERMS = {name: OTHERS[name] for name in [*OTHERS][:4]}
WEIGHTS = {
    "weight of synergy 0.01": "br_mrs:synergy_weight=0.01",
    "weight of synergy 1": "br_mrs:synergy_weight=1.0",
    "BR-MRS": "br_mrs",
    "weight of hard negatives 0.01": "br_mrs:hard_weight=0.01",
    "weight of hard negatives 1": "br_mrs:hard_weight=1.0",
}
PLANTED_TASTES = {
    f"{name}, taste {taste}": f"{OTHERS[name]}@{kind}"
    for kind, taste in (("shared", "shared"), ("unique", "of the image"),
                        ("together", "of both together"))
    for name in ("BR-MRS", "w/o both")
}  # fmt: skip


def _alone(names: Modalities) -> Rows:
    """Each modality by itself, and all of them."""
    return {**{f"{m} alone": f"rearm@{m}" for m in names}, "REARM": "rearm"}


def _without(names: Modalities) -> Rows:
    """Each modality left out, and none."""
    rest = {m: "+".join(n for n in names if n != m) for m in names}
    rows = {f"MGNM w/o {m}": f"mgnm@{others}" for m, others in rest.items() if others}
    return {**rows, "MGNM": "mgnm"}


def _fixed(names: Modalities, weight: float) -> str:
    """A weight for the text, or else the first modality; the others share the rest."""
    first = "text" if "text" in names else names[0]
    rest = (1 - weight) / max(len(names) - 1, 1)
    given = (f"{m}={weight if m == first else rest:.4g}" for m in names)
    return FIXED + ",".join(given)


def _plugged(plug: str, backbones: Sequence[str]) -> Rows:
    """Backbones without a plug and with it."""
    rows: dict[str, str] = {}
    terms = plug.upper().replace("_", "-")
    for name in backbones:
        method = name.lower()
        rows |= {name: method, f"{name} + {terms}": f"{method}+{plug}"}
    return rows


def _deredundancy(table: str = "hyper") -> tuple[Sweep, Sweep]:
    """MGNM's beta and delta, over the values of its Tables IV to VI."""
    return (
        Sweep("beta, of ids", "mgnm:ddr_weight={}", (0.1, 0.01, 1e-3, 1e-4, 1e-5),
              table, "beta"),
        Sweep("delta, of modalities", "mgnm:modal_ddr_weight={}",
              (0.01, 1e-3, 1e-4, 1e-5, 1e-6), table, "delta"),
    )  # fmt: skip


EXHIBITS = {
    "data": Exhibit(
        "rearm", "table 1; SAND, table 1; MGNM, table II",
        "users, items, interactions and sparsity of the data set", Counts(),
    ),
    "rearm-methods": Exhibit(
        "rearm", "table 2", "all methods",
        Variants(metrics=FOUR, table="table2"),
    ),
    "rearm-parts": Exhibit(
        "rearm", "table 3", "each part off", Variants(table="table3-ablation"),
    ),
    "rearm-sweeps": Exhibit(
        "rearm", "figure 3",
        "weight of co-occurrence of users and of items, rank, layers",
        Sweeps((
            Sweep("users' co-occurrence", "rearm:user_co_weight={}", SHARES),
            Sweep("items' co-occurrence", "rearm:item_co_weight={}", SHARES),
            Sweep("rank of the meta-network", "rearm:rank={}", (1, 3, 5, 7, 9)),
            Sweep("layers", "rearm:num_layers={}", (0, 2, 4, 6, 8)),
        )),
    ),
    "rearm-modalities": Exhibit(
        "rearm", "figure 4", "each modality alone", Variants(_alone, BOTH),
    ),
    "rearm-refinement": Exhibit(
        "rearm", "figure 5",
        "change of interaction probability by refinement; train framed, test starred, "
        "rises with a plus",
        Looked(("rearm", "rearm-ref"), looks.refinement),
    ),
    "sand-methods": Exhibit(
        "sand", "table 2", "all methods", Variants(metrics=FOUR, table="table2"),
    ),
    "sand-parts": Exhibit(
        "sand", "figure 3", "alignment off, distance off, both off",
        Variants({"w/o All": "sand-all", "w/o Distancing": "sand-distance",
                  "w/o Alignment": "sand-alignment", "SAND": "sand"}, BOTH),
    ),
    "sand-sweeps": Exhibit(
        "sand", "figure 4", "weights of alignment and distance, temperature",
        Sweeps((
            Sweep("alignment, alpha", "sand:align_weight={}",
                  (0.0, 0.003, 0.012, 0.05, 0.2)),
            Sweep("distance, beta", "sand:distance_weight={}",
                  (0.0, 0.0015, 0.006, 0.025, 0.1)),
            Sweep("temperature, tau", "sand:tau={}", (0.05, 0.1, 0.2, 0.5, 1.0)),
        )),
    ),
    "sand-plugged": Exhibit(
        "sand", "table 3", "its terms on other backbones",
        Variants(metrics=FOUR, table="table3-plugin"),
    ),
    "sand-flexible": Exhibit(
        "sand", "table 4", "kinds of alignment and of distance",
        Variants(FLEXIBLE, FOUR, "table4-flexibility"),
    ),
    "sand-efficiency": Exhibit(
        "sand", "table 5", "memory, and seconds an epoch",
        Variants(TABLE_5, ("memory_gb", "seconds_per_epoch"), "table5-efficiency"),
        apart=True,
    ),
    "sand-halves": Exhibit(
        "sand", "figures 5 and 6",
        "generic beside unique halves: t-SNE with a kernel density, and by direction",
        Looked(("sand",), looks.halves),
    ),
    "mgnm-methods": Exhibit(
        "mgnm", "table I", "all methods", Variants(metrics=EIGHT, table="table1"),
    ),
    "mgnm-modalities": Exhibit(
        "mgnm", "table III", "each modality left out",
        Variants(_without, EIGHT, "table3-modality"),
    ),
    "mgnm-sweeps": Exhibit(
        "mgnm", "tables IV to VI", "weights of de-redundancy, of ids and of modalities",
        Sweeps(_deredundancy(), ("recall@20", *(m for m in EIGHT if m != "recall@20"))),
    ),
    "mde-methods": Exhibit(
        "mde", "table I", "all methods",
        Variants(metrics=("recall@5", "precision@5", "map@5", "ndcg@5"),
                 table="table1"),
    ),
    "mde-parts": Exhibit(
        "mde", "table II", "each part off",
        Variants(metrics=("recall@5",), table="table2-ablation"),
    ),
    "mde-tradeoff": Exhibit(
        "mde", "figure 2",
        "preferences fixed for all (A), by the weight of the text or else of the first "
        "modality, free weights (B), its own",
        Sweeps((Sweep("weight of text or first (A)", _fixed,
                      (0.1, 0.3, 0.5, 0.7, 0.9), levels=LEARNED),), ("recall@5",)),
    ),
    "br_mrs-plugged": Exhibit(
        "br_mrs", "plug-in table", "its terms on seven backbones",
        Variants(_plugged("br_mrs", BACKBONES), FOUR),
    ),
    "br_mrs-parts": Exhibit(
        "br_mrs", "ablation", "its terms against each other",
        Variants(OTHERS, ("recall@10", "ndcg@10"), "draft ablation"),
    ),
    "br_mrs-sweeps": Exhibit(
        "br_mrs", "weights", "weights of both terms",
        Sweeps((
            Sweep("hard negatives", "br_mrs:hard_weight={}", (0.0, 0.01, 0.1, 1.0)),
            Sweep("synergy", "br_mrs:synergy_weight={}", (0.0, 0.01, 0.1, 1.0)),
        )),
    ),
    "br_mrs-users": Exhibit(
        "br_mrs", "shares of users",
        "users by what serves them, with each term off; METHOD adds others",
        Shares(TERMS, more=True),
    ),
    "br_mrs-kinds": Exhibit(
        "br_mrs", "shares of users of any method",
        "users by what serves them; METHOD adds others",
        Shares({"BR-MRS": "br_mrs"}, more=True),
    ),
    "br_mrs-weighed": Exhibit(
        "br_mrs", "shares of users by weight", "the same against the terms' weights",
        Shares(WEIGHTS, sort=False),
    ),
    "br_mrs-types": Exhibit(
        "br_mrs", "synthetic users",
        "users whose taste is planted: shared, unique to a modality, of both together",
        Shares(PLANTED_TASTES, sort=False, planted=True),
    ),
}  # fmt: skip
