"""The greatest of each row, by the greatest of groups of its columns."""

from __future__ import annotations

import torch
from torch import Tensor

_GROUP = 16  # columns of a group
_MANY = 256  # columns for each that is asked for, from which on groups are faster


def largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` greatest of each row, descending, as :meth:`torch.Tensor.topk`.

    On a CPU, of rows much longer than ``k``, first the ``k`` groups of columns with the
    greatest maxima are found, which have all that is asked for, and then that among
    them: half the time, for most columns are read for their groups' maxima alone.

    Args:
        scores: ``[n, m]``.
        k: How many, at most ``m``.

    Returns:
        Values and columns, both ``[n, k]``; which of equals is left open.
    """
    num_rows, num_columns = scores.shape
    if scores.device.type != "cpu" or num_columns < _MANY * max(k, 1):
        found = scores.topk(k, dim=1)
        return found.values, found.indices
    # A group's columns lie this far apart, so that maxima are taken row by row.
    apart = num_columns // _GROUP
    groups = scores[:, : apart * _GROUP].unflatten(1, (_GROUP, apart)).amax(1)
    best = groups.topk(k, dim=1, sorted=False).indices
    members = best.unsqueeze(-1) + torch.arange(_GROUP) * apart
    rest = torch.arange(apart * _GROUP, num_columns).expand(num_rows, -1)
    columns = torch.cat([members.flatten(1), rest], dim=1)
    found = scores.gather(1, columns).topk(k, dim=1)
    return found.values, columns.gather(1, found.indices)
