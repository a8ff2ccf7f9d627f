"""The papers' tables and figures: what each needs, and how it is drawn.

What there is stands in :mod:`~pyg_mmrec.exhibits.papers`, a description an exhibit, and
the claims that are judged in :mod:`~pyg_mmrec.exhibits.claims`.
"""
