"""Models of the MMRec toolbox (https://github.com/enoche/MMRec), from a checkout.

Or of a repository that is built on it, as many of the authors' own are.
"""

from __future__ import annotations

import importlib
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS, ITEM, USER, features, modalities, relation
from pyg_mmrec.parity.checkout import double, plain
from pyg_mmrec.parity.peer import LR, Peer, switched
from pyg_mmrec.sampling.sampler import Batch
from pyg_mmrec.transforms import CoOccurrence

NAME = "graph"  # of the data set that is written for it
FEATURES = ("vision.npy", "text.npy")  # it knows two modalities
USER_GRAPH, USER_K = "users.npy", 40  # the number is written into its code
ITEM_GRAPH, ITEM_K = "items.npy", 2  # and this one into a file's name
# Tensors of its models that are registered as parameters where there is no GPU.
_PLAIN = tuple(f"result_embed{x}" for x in ("", "_guide", "_v", "_t", "_n1", "_n2"))


def check(
    checkout: Path | str, repository: str = "enoche/MMRec", package: str = "utils"
) -> Path:
    """The folder of the checkout's sources.

    Args:
        checkout: The folder that is meant to be one.
        repository: Of the toolbox, or of what is built on it.
        package: What its package of utilities is called.

    Raises:
        MMRecError: If it is no checkout of the repository.
    """
    source = Path(checkout).expanduser().absolute() / "src"
    files = ("configs/overall.yaml", "common/trainer.py", f"{package}/dataset.py")
    for name in files:
        if not (source / name).is_file():
            raise MMRecError(
                f"{checkout} is no checkout of {repository.partition('/')[2]}, for "
                f"src/{name} is not in it: clone https://github.com/{repository} and "
                f"name its folder"
            )
    return source


def write_data(data: HeteroData, folder: Path) -> Path:
    """Write a graph's interactions and features in the toolbox's layout.

    Of more than two modalities, the first two.

    Returns:
        The data set's own folder, in ``folder``.
    """
    target = folder / NAME
    target.mkdir()
    store = data[INTERACTS]
    parts = (store.edge_index, store.val_label_index, store.test_label_index)
    frames = [_labelled(part, label) for label, part in enumerate(parts)]
    table = pd.concat(frames)
    table.to_csv(target / f"{NAME}.inter", sep="\t", index=False)
    num_items = int(table["itemID"].max()) + 1  # which is how it counts them
    for file, modality in zip(FEATURES, modalities(data), strict=False):
        np.save(target / file, features(data, modality)[:num_items].cpu().numpy())
    return target


def _labelled(pairs: Tensor, label: int) -> pd.DataFrame:
    user, item = pairs.cpu().numpy()
    return pd.DataFrame({"userID": user, "itemID": item, "x_label": label})


def write_user_graph(data: HeteroData, folder: Path, k: int = USER_K) -> None:
    """Write users of common items as the toolbox's preprocessing does.

    Equal numbers are in our order, since theirs is left to PyTorch.

    Args:
        data: The graph.
        folder: The data set's own folder, as :func:`write_data` returns it.
        k: Neighbours of a user.
    """
    _write_counts(data, folder / USER_GRAPH, USER, k)


def write_item_graph(data: HeteroData, folder: Path, k: int = ITEM_K) -> None:
    """Write items that two users or more have in common, as DA-MRS' preprocessing does.

    Args:
        data: The graph.
        folder: The data set's own folder, as :func:`write_data` returns it.
        k: Neighbours of an item.
    """
    _write_counts(data, folder / ITEM_GRAPH, ITEM, k, least=2)


def _write_counts(
    data: HeteroData, path: Path, node_type: str, k: int, least: int = 1
) -> None:
    """Neighbours of each node, and what they have in common with it."""
    counted = CoOccurrence(k, node_type, weight="count")(data.clone())
    store = counted[relation(node_type, "co_occurs")]
    kept = store.edge_weight >= least
    neighbour, centre = store.edge_index[:, kept].cpu().numpy()
    order = np.argsort(centre, kind="stable")
    ends = np.cumsum(np.bincount(centre, minlength=int(data[node_type].num_nodes)))[:-1]
    columns = neighbour[order], store.edge_weight[kept].cpu().numpy()[order]
    parts = [np.split(column, ends) for column in columns]
    found = {
        node: [mine.tolist() for mine in both]
        for node, both in enumerate(zip(*parts, strict=True))
    }
    np.save(path, np.array(found, dtype=object), allow_pickle=True)


def data_options(folder: Path) -> dict[str, Any]:
    """The toolbox's options that say where :func:`write_data` wrote, and how."""
    vision, text = FEATURES
    return {
        "data_path": f"{folder}/",
        "inter_file_name": f"{NAME}.inter",
        "vision_feature_file": vision,
        "text_feature_file": text,
        "USER_ID_FIELD": "userID",
        "ITEM_ID_FIELD": "itemID",
        "inter_splitting_label": "x_label",
        "field_separator": "\t",
        "user_graph_dict_file": USER_GRAPH,
        "item_graph_dict_file": ITEM_GRAPH,
        "filter_out_cod_start_users": False,
        "seed": 0,
    }


def load(
    model: str, options: Mapping[str, Any], package: str = "utils"
) -> tuple[Any, Any]:
    """The toolbox's trainer and its training batches, as its own start makes them.

    Of options that its files leave to a search, the first values.

    Called where its sources can be imported, in a folder that holds its ``configs``.
    """
    from common.trainer import Trainer

    def utility(module: str, name: str) -> Any:
        return getattr(importlib.import_module(f"{package}.{module}"), name)

    Config = utility("configurator", "Config")
    TrainDataLoader = utility("dataloader", "TrainDataLoader")
    RecDataset = utility("dataset", "RecDataset")
    get_model, init_seed = (utility("utils", x) for x in ("get_model", "init_seed"))
    _alias_common()
    config = Config(model, NAME, dict(options))
    for name in config["hyper_parameters"]:
        if isinstance(config[name], list):
            config[name] = config[name][0]
    init_seed(config["seed"])
    train = RecDataset(config).split()[0]
    str(train)  # counts its interactions as a side effect, which the loader reads
    batches = TrainDataLoader(
        config, train, batch_size=config["train_batch_size"], shuffle=True
    )
    batches.pretrain_setup()
    network = get_model(model)(config, batches).to(config["device"])
    plain(network, *_PLAIN)
    return Trainer(config, network), batches


@contextmanager
def working_folder(source: Path) -> Iterator[Path]:
    """A temporary working folder in which the toolbox finds its ``configs``."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "configs").symlink_to(source / "configs")
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(before)


@dataclass(frozen=True)
class Toolbox:
    """How to load a model of the toolbox, and to take its loss apart.

    Args:
        model: Its name there.
        options: Its options.
        terms: For each of our terms beside the first, the attribute of the model
            that weighs it, or the option as ``config.<name>``: the loss is linear in
            these.
        first: Our name of what is left without them.
        pairs: Whether it draws no negatives.
        sums: Terms that are sums over a batch, of which the mean is taken.
        times: For a term, how many times theirs is ours.
        bits: Whether the first is in bits.
        patch: What to change in the modules of the code before it builds the model.
        mend: What to do with the model before anything else.
        before: What it needs before it scores, such as a forward pass.
        write: Writes what more it reads into its data set's folder.
        repository: Of the toolbox, or of what is built on it.
        package: What its package of utilities is called.
    """

    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    terms: Mapping[str, str] = field(default_factory=dict)
    first: str = "bpr"
    pairs: bool = False
    sums: tuple[str, ...] = ()
    times: Mapping[str, float] = field(default_factory=dict)
    bits: bool = False
    patch: Callable[[], None] | None = None
    mend: Callable[[Any], None] | None = None
    before: Callable[[Any], Any] | None = None
    write: Callable[[HeteroData, Path], None] | None = None
    repository: str = "enoche/MMRec"
    package: str = "utils"

    def with_options(self, options: Mapping[str, Any]) -> Toolbox:
        """The model as the toolbox ships it, with some options of its own."""
        return replace(self, options=options, patch=None, mend=None)

    def sources(self, checkout: Path) -> tuple[Path, ...]:
        """Folders that it is imported from."""
        source = check(checkout, self.repository, self.package)
        return source, source.parent

    def __call__(self, checkout: Path, data: HeteroData) -> Peer:
        """Build the model on a graph."""
        source = check(checkout, self.repository, self.package)
        with working_folder(source) as folder:
            target = write_data(data, folder)
            if self.write is not None:
                self.write(data, target)
            options = {
                "train_batch_size": 2048,
                "learning_rate": LR,
                **data_options(folder),
                "use_gpu": False,
                **self.options,
            }
            _alias_common()  # before a patch imports a model
            if self.patch is not None:
                self.patch()
            trainer, _ = load(self.model, options, self.package)
        if self.mend is not None:
            self.mend(trainer.model)
        return _ToolboxPeer(trainer, self)


def _alias_common() -> None:
    """Some models import ``common`` as ``models.common``, where it is not."""
    for name in ("", ".abstract_recommender", ".loss"):
        module = importlib.import_module(f"common{name}")
        sys.modules.setdefault(f"models.common{name}", module)


class _ToolboxPeer(Peer):
    def __init__(self, trainer: Any, how: Toolbox) -> None:
        module: nn.Module = double(trainer.model)
        super().__init__(module)
        self.trainer, self.how = trainer, how

    def start(self) -> None:
        self.module.pre_epoch_processing()
        double(self.module)

    def optimizer(self) -> torch.optim.Optimizer:
        return self.trainer._build_optimizer()

    def scores(self, users: Tensor) -> Tensor:
        if self.how.before is not None:
            self.how.before(self.module)
        return self.module.full_sort_predict([users])

    def total(self, batch: Batch) -> Tensor:
        loss = self._loss(batch)
        if self.how.first in self.how.sums:
            loss = loss / batch.user.numel()  # Adam does not see it
        return loss * math.log(2) if self.how.bits else loss

    def _loss(self, batch: Batch) -> Tensor:
        columns = [batch.user, batch.pos, batch.neg[:, 0]]
        rows = torch.stack(columns[:2] if self.how.pairs else columns)
        # As many as there are: some divide by this in the place of the rows.
        with switched(self.module, {"batch_size": batch.user.numel()}):
            loss = self.module.calculate_loss(rows)
        return torch.stack(loss).sum() if isinstance(loss, tuple) else loss

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        weights = set(self.how.terms.values())
        off = dict.fromkeys(weights, 0.0)
        with self._weighed(off):
            first = self._loss(batch)
        found = {self.how.first: first * math.log(2) if self.how.bits else first}
        for name, weight in self.how.terms.items():
            with self._weighed({**off, weight: 1.0}):
                found[name] = self._loss(batch) - first
        for name in self.how.sums:
            found[name] = found[name] / batch.user.numel()
        for name, factor in self.how.times.items():
            found[name] = found[name] * factor
        return found

    @contextmanager
    def _weighed(self, weights: Mapping[str, float]) -> Iterator[None]:
        """Give its terms other weights for a while."""
        prefix = "config."
        plain = {k: v for k, v in weights.items() if not k.startswith(prefix)}
        options = self.trainer.config.final_config_dict
        with (
            switched(self.module, plain),
            mock.patch.dict(
                options,
                {
                    k.removeprefix(prefix): v
                    for k, v in weights.items()
                    if k.startswith(prefix)
                },
            ),
        ):
            yield
