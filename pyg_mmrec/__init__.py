"""Multimodal recommendation, graph-native in PyTorch Geometric.

What is exported here is imported when it is first used: the package itself is there at
once, without PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyg_mmrec.moved import install

if TYPE_CHECKING:  # editors and type checkers; kept equal to _HOMES by a test
    from pyg_mmrec.config import option as option
    from pyg_mmrec.datasets import Amazon as Amazon
    from pyg_mmrec.datasets import Amazon2023 as Amazon2023
    from pyg_mmrec.datasets import Dataset as Dataset
    from pyg_mmrec.datasets import Folder as Folder
    from pyg_mmrec.datasets import LastFM as LastFM
    from pyg_mmrec.datasets import MicroLens as MicroLens
    from pyg_mmrec.datasets import MovieLens1M as MovieLens1M
    from pyg_mmrec.datasets import MovieLens100K as MovieLens100K
    from pyg_mmrec.datasets import Netflix as Netflix
    from pyg_mmrec.datasets import Synthetic as Synthetic
    from pyg_mmrec.datasets import TikTok as TikTok
    from pyg_mmrec.datasets import encode_folder as encode_folder
    from pyg_mmrec.datasets import load as load
    from pyg_mmrec.embeddings import Branch as Branch
    from pyg_mmrec.embeddings import Embeddings as Embeddings
    from pyg_mmrec.encoding import encode as encode
    from pyg_mmrec.errors import MMRecError as MMRecError
    from pyg_mmrec.evaluation.contribution import (
        modality_contribution as modality_contribution,
    )
    from pyg_mmrec.evaluation.evaluator import Evaluator as Evaluator
    from pyg_mmrec.experiments.assembly import build as build
    from pyg_mmrec.experiments.experiment import Run as Run
    from pyg_mmrec.experiments.experiment import run as run
    from pyg_mmrec.experiments.literature import published as published
    from pyg_mmrec.experiments.loading import load_run as load_run
    from pyg_mmrec.experiments.refit import refit as refit
    from pyg_mmrec.methods import Recommender as Recommender
    from pyg_mmrec.methods import available as available
    from pyg_mmrec.methods import get as get
    from pyg_mmrec.methods import register as register
    from pyg_mmrec.objectives import Objective as Objective
    from pyg_mmrec.objectives import Plug as Plug
    from pyg_mmrec.objectives import Step as Step
    from pyg_mmrec.objectives import Term as Term
    from pyg_mmrec.plots import plot_comparison as plot_comparison
    from pyg_mmrec.plots import plot_contribution as plot_contribution
    from pyg_mmrec.plots import plot_embeddings as plot_embeddings
    from pyg_mmrec.plots import plot_graph as plot_graph
    from pyg_mmrec.plots import plot_history as plot_history
    from pyg_mmrec.plots import plot_popularity as plot_popularity
    from pyg_mmrec.plots import plot_slices as plot_slices
    from pyg_mmrec.serving.index import Index as Index
    from pyg_mmrec.training.config import TrainConfig as TrainConfig
    from pyg_mmrec.training.trainer import Trainer as Trainer
    from pyg_mmrec.transforms import KNN as KNN
    from pyg_mmrec.transforms import BipartiteNorm as BipartiteNorm
    from pyg_mmrec.transforms import CoOccurrence as CoOccurrence
    from pyg_mmrec.transforms import DropEdge as DropEdge
    from pyg_mmrec.transforms import Impute as Impute
    from pyg_mmrec.transforms import KCore as KCore
    from pyg_mmrec.transforms import MixEdges as MixEdges
    from pyg_mmrec.transforms import Split as Split
    from pyg_mmrec.transforms import UserInterest as UserInterest

__version__ = "0.1.0"

_EXPORTS = {
    "experiments.assembly": ("build",),
    "config": ("option",),
    "evaluation.contribution": ("modality_contribution",),
    "datasets": (
        *("Amazon", "Amazon2023", "Dataset", "Folder", "LastFM", "MicroLens"),
        *("MovieLens100K", "MovieLens1M", "Netflix", "Synthetic", "TikTok"),
        *("encode_folder", "load"),
    ),
    "embeddings": ("Branch", "Embeddings"),
    "encoding": ("encode",),
    "errors": ("MMRecError",),
    "evaluation.evaluator": ("Evaluator",),
    "experiments.experiment": ("Run", "run"),
    "experiments.literature": ("published",),
    "experiments.loading": ("load_run",),
    "experiments.refit": ("refit",),
    "methods": ("Recommender", "available", "get", "register"),
    "objectives": ("Objective", "Plug", "Step", "Term"),
    "plots": (
        *("plot_comparison", "plot_contribution", "plot_embeddings", "plot_graph"),
        *("plot_history", "plot_popularity", "plot_slices"),
    ),
    "serving.index": ("Index",),
    "training.config": ("TrainConfig",),
    "training.trainer": ("Trainer",),
    "transforms": (
        *("KNN", "BipartiteNorm", "CoOccurrence", "DropEdge", "Impute", "KCore"),
        *("MixEdges", "Split", "UserInterest"),
    ),
}
install()

_HOMES = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        from pyg_mmrec.errors import unknown

        # A dunder is asked for by tools that take no for an answer.
        hint = name if name.startswith("__") else unknown("name", name, __all__)
        raise AttributeError(f"module {__name__!r}: {hint}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value  # from now on without this function
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
