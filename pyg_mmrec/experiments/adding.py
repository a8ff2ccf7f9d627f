"""A finished run with items that joined it, in a folder of its own."""

from __future__ import annotations

from pathlib import Path

from pyg_mmrec.datasets import Dataset
from pyg_mmrec.datasets.newcomers import NewItems, read_items_beside
from pyg_mmrec.experiments.loading import load_run, made_again
from pyg_mmrec.experiments.outputs import (
    CHECKPOINT,
    CONFIG,
    HISTORY,
    RESULT,
    check_apart,
    check_free,
    clear,
    read_json,
)
from pyg_mmrec.experiments.tables import with_columns
from pyg_mmrec.files import claimed, replacing
from pyg_mmrec.graph import modalities
from pyg_mmrec.serving.index import Index
from pyg_mmrec.training import checkpoint


def add_items(
    folder: Path | str,
    items: NewItems | Path | str,
    output: Path | str,
    overwrite: bool = False,
    dataset: Dataset | None = None,
) -> Index:
    """Add items to a run, and keep the run with them in a folder.

    That folder is a run like any other, which recommends, and which more items can
    join; only its training does not go on, for which there is ``update``.

    Args:
        folder: Output folder of the run.
        items: The items, or the folder that holds their features, see
            :func:`~pyg_mmrec.datasets.newcomers.read_items_beside`.
        output: Folder for the run with them; the run's own only with ``overwrite``.
        overwrite: Whether a run that is there gives way.
        dataset: As of :func:`~pyg_mmrec.load_run`.

    Returns:
        The index with them.

    Raises:
        MMRecError: For whatever the user can put right; nothing is written then.

    Example:
        >>> import numpy as np
        >>> from pyg_mmrec import Synthetic, load_run, run
        >>> from pyg_mmrec.datasets.newcomers import NewItems
        >>> from pyg_mmrec.experiments.adding import add_items
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> _ = run(data, "vbpr", output="runs/v", epochs=1, progress=False)
        >>> tonight = NewItems([1000], {"text": np.ones((1, 32))}, ["Tonight's"])
        >>> _ = add_items("runs/v", tonight, "runs/tonight")
        >>> len(load_run("runs/tonight").index.item_ids)
        41
    """
    folder, output, where = Path(folder), Path(output), items
    with claimed(output):
        check_free(output, None, overwrite)
        done = load_run(folder, dataset)
        done.model.check_new_items()
        if not isinstance(items, NewItems):
            data = dataset or made_again(read_json(folder / CONFIG)["source"], folder)
            check_apart(output, data.folder)
            names, known = modalities(done.data), done.index.item_ids
            items = read_items_beside(data, items, names, known)
        index = done.index.add_items(items.features, items.ids, items.titles)
        if items.table is not None:
            index = with_columns(index, items.table, str(where))
        state = checkpoint.load(folder / CHECKPOINT)
        rest = {
            name: (folder / name).read_bytes()
            for name in (HISTORY, CONFIG, RESULT)
            if (folder / name).exists()
        }
        if output.resolve() != folder.resolve():
            clear(output)
        checkpoint.save(output / CHECKPOINT, {**state, "index": index.to_tensors()})
        for name, content in rest.items():  # the last of them makes it a finished run
            with replacing(output / name) as file:
                file.write(content)
    return index
