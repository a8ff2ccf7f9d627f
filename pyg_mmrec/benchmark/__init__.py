"""What things cost, side by side in one process; run by ``scripts/benchmark.py``.

Absolute times depend on the machine and on what else it does, so what is compared is
timed in turn, and ratios are what counts. Each part is a module with a ``measure``:

* ``propagation``: the light propagation, against PyG's and the memory's bandwidth
* ``epochs``: a training epoch of each method, phase by phase; ``ways`` puts the ways to
  train into one table
* ``floors``: a training step of each method, beside what its products alone take
* ``negatives``: drawing negatives
* ``graphs``: building relations among items
* ``evaluation``: ranking all items for every user
* ``encoders``: features of a title, a picture, a sound
* ``growth``: an epoch on ever larger data
* ``peer``: an epoch of the MMRec toolbox, from a checkout of it
"""

from pyg_mmrec.benchmark.timing import Case, Row, Settings, side_by_side

__all__ = ["Case", "Row", "Settings", "side_by_side"]
