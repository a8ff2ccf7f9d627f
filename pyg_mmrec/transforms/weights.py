"""Weights of modalities in a mix of their graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def modality_weights(
    weights: Mapping[str, float] | None, present: Sequence[str]
) -> dict[str, float]:
    """Weights of the present modalities, with sum 1.

    Those of absent modalities are dropped and the rest renormalised; a present
    modality that is not named weighs 0. Without weights, or where all present
    modalities weigh 0, they weigh the same.

    Args:
        weights: Weights by name.
        present: Modalities at hand.
    """
    named = {m: float((weights or {}).get(m, 0.0)) for m in present}
    total = sum(named.values())
    if total == 0:
        return dict.fromkeys(present, 1.0 / max(len(present), 1))
    return {m: weight / total for m, weight in named.items()}
