"""Old names of modules and parts, which warn for one version."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MODULES: Mapping[str, str] = {
    "transforms.topk": "ranking.sparse",
    "objectives.l2": "objectives.ranking",
    "objectives.bpr": "objectives.ranking",
    "nn.content": "nn.projector",
    "nn.conv.bipartite_conv": "nn.conv.light",
    "nn.conv.weighted_conv": "nn.conv.light",
    "datasets.text": "encoding.text",
    "checkpoint": "training.checkpoint",
    "cli": "commands.cli",
    "contribution": "evaluation.contribution",
    "environment": "experiments.environment",
    "evaluator": "evaluation.evaluator",
    "exports": "serving.exports",
    "identity": "training.identity",
    "loading": "experiments.loading",
    "nn.attention": "methods.parts.rearm",
    "nn.behaviour_fusion": "methods.parts.mgcn",
    "nn.conv.modal_conv": "methods.parts.mmgcn",
    "nn.denoiser": "methods.parts.diffmm",
    "nn.diffusion": "methods.parts.apegnn",
    "nn.global_attention": "methods.parts.mig_gt",
    "nn.meta": "methods.parts.rearm",
    "nn.mixed": "methods.parts.sand",
    "nn.modality_mix": "methods.parts.mmssl",
    "nn.routing": "methods.parts.grcn",
    "objectives.adversarial": "methods.parts.mmssl",
    "objectives.amplify": "methods.parts.mde",
    "objectives.bootstrap": "methods.parts.bm3",
    "objectives.decorrelation": "methods.parts.mgnm",
    "objectives.denoising": "methods.parts.diffmm",
    "objectives.distance": "methods.parts.sand",
    "objectives.fine_coarse": "methods.parts.slmrec",
    "objectives.info_bpr": "methods.parts.mgdn",
    "objectives.interaction_contrast": "methods.parts.slmrec",
    "objectives.item_pairs": "methods.parts.mde",
    "objectives.modal_bpr": "methods.parts.mde",
    "objectives.preference_contrast": "methods.parts.mmssl",
    "objectives.sampled_club": "methods.parts.sand",
    "objectives.unsmooth": "methods.parts.mig_gt",
    "objectives.view_contrast": "methods.parts.slmrec",
    "objectives.weighted_alignment": "methods.parts.mde",
    "outputs": "experiments.outputs",
    "recommend": "serving.index",
    "reporting": "training.reporting",
    "resuming": "training.resuming",
    "sampler": "sampling.sampler",
    "schema": "training.schema",
    "stopping": "training.stopping",
    "study": "experiments.study",
    "train_config": "training.config",
    "trainer": "training.trainer",
    "transforms.nearest": "ranking.nearest",
    "transforms.ties": "ranking.ties",
    "tune": "experiments.tune",
}
"""Where modules of version 0.1 are now, both within the package."""


class _Elsewhere(Loader):
    def __init__(self, new: str) -> None:
        self.new = new

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = import_module(self.new)


class _Finder(MetaPathFinder):
    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        package, _, old = fullname.partition(".")
        if package != __package__ or old not in MODULES:
            return None
        new = f"{package}.{MODULES[old]}"
        _warn(fullname, new)
        return ModuleSpec(fullname, _Elsewhere(new))


def install() -> None:
    """Let old names of modules be imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


def moved(package: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """A ``__getattr__`` for a package that parts have left.

    Args:
        package: Its name.
        names: For each part, the module within ``pyg_mmrec`` where it is now.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        new = f"{__package__}.{names[name]}"
        _warn(f"{package}.{name}", f"{new}.{name}")
        return getattr(import_module(new), name)

    return find


def _warn(old: str, new: str) -> None:
    warnings.warn(
        f"{old} is {new} now; the old name goes with the next version",
        DeprecationWarning,
        stacklevel=3,
    )
