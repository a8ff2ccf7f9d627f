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
    "nn.attentive_fusion": "nn.gating",
    "nn.behaviour_fusion": "methods.mgcn",
    "nn.channels": "nn.inputs",
    "nn.content": "nn.inputs",
    "nn.conv.bipartite_conv": "nn.conv.propagate",
    "nn.conv.modal_conv": "methods.mmgcn",
    "nn.conv.weighted_conv": "nn.conv.propagate",
    "nn.denoiser": "methods.parts.diffmm",
    "nn.diffusion": "methods.apegnn",
    "nn.embedding": "nn.inputs",
    "nn.functional": "objectives.basic",
    "nn.generated": "nn.modality_graphs",
    "nn.global_attention": "methods.parts.mig_gt",
    "nn.interest": "nn.inputs",
    "nn.learned_edges": "learned_edges",
    "nn.meta": "methods.parts.rearm",
    "nn.mixed": "nn.fusion",
    "nn.modal_channels": "nn.fusion",
    "nn.modality_mix": "methods.parts.mmssl",
    "nn.node_features": "nn.inputs",
    "nn.projector": "nn.inputs",
    "nn.propagate": "nn.conv.propagate",
    "nn.purifier": "nn.gating",
    "nn.restart": "nn.markov_diffusion",
    "nn.routing": "methods.grcn",
    "objectives.adversarial": "methods.parts.mmssl",
    "objectives.amplify": "methods.parts.mde",
    "objectives.bootstrap": "methods.bm3",
    "objectives.bpr": "objectives.basic",
    "objectives.decorrelation": "methods.mgnm",
    "objectives.denoising": "methods.parts.diffmm",
    "objectives.distance": "objectives.club",
    "objectives.feature_bpr": "objectives.basic",
    "objectives.fine_coarse": "methods.slmrec",
    "objectives.fusion_contrast": "objectives.basic",
    "objectives.generic_contrast": "objectives.generic_unique",
    "objectives.halves": "objectives.generic_unique",
    "objectives.hard_negative": "objectives.modal_ranking",
    "objectives.info_bpr": "methods.mgdn",
    "objectives.info_nce": "objectives.contrast",
    "objectives.interaction_contrast": "methods.slmrec",
    "objectives.item_pairs": "methods.parts.mde",
    "objectives.l2": "objectives.basic",
    "objectives.modal_bpr": "methods.parts.mde",
    "objectives.orthogonal": "objectives.contrast",
    "objectives.preference_contrast": "methods.parts.mmssl",
    "objectives.ranking": "objectives.basic",
    "objectives.sampled_club": "methods.sand",
    "objectives.solosim": "objectives.generic_unique",
    "objectives.synergy": "objectives.modal_ranking",
    "objectives.unsmooth": "methods.parts.mig_gt",
    "objectives.view_contrast": "methods.slmrec",
    "objectives.weighted_alignment": "methods.parts.mde",
    "outputs": "experiments.outputs",
    "parallel.batches": "parallel.declared",
    "parallel.columns": "parallel.declared",
    "recommend": "serving.index",
    "reporting": "training.reporting",
    "resuming": "training.resuming",
    "sampler": "sampling.sampler",
    "schema": "training.schema",
    "stopping": "training.stopping",
    "published": "experiments.literature",
    "run": "experiments.experiment",
    "study": "experiments.comparison",
    "train_config": "training.config",
    "trainer": "training.trainer",
    "transforms.bipartite_norm": "transforms.relations",
    "transforms.co_occurrence": "transforms.interactions",
    "transforms.degree": "transforms.interactions",
    "transforms.drop_edge": "transforms.relations",
    "transforms.edges": "graph",
    "transforms.knn": "transforms.relations",
    "transforms.mix_edges": "transforms.interactions",
    "transforms.nearest": "ranking.nearest",
    "transforms.ties": "ranking.ties",
    "transforms.topk": "ranking.sparse",
    "transforms.user_interest": "transforms.interactions",
    "transforms.weights": "edge_weights",
    "tune": "experiments.tune",
}
"""Where modules of version 0.1 are now, both within the package."""

PARTS: Mapping[str, Mapping[str, str]] = {
    "cli": {"guarded": "commands.guarded"},
    "nn.channels": {
        "Channels": "nn.inputs:NodeFeatures",
        "normalize_channels": "embeddings:normalize_blocks",
    },
    "nn.functional": {"rescale": "embeddings"},
    "nn.generated": {
        "generated_graphs": "nn.modality_graphs:modality_graphs",
        "generated_relation": "nn.modality_graphs:modality_relation",
        "store_generated": "nn.modality_graphs:store_modality_graphs",
    },
    "nn.interest": {"ItemMeans": "nn.conv.propagate"},
    "nn.mixed": {"MixedPropagate": "nn.fusion:FusedGraphPropagate"},
    "nn.modal_channels": {"ModalChannels": "nn.fusion:ModalityGCN"},
    "nn.restart": {
        "RestartPropagate": "nn.markov_diffusion:MarkovDiffusion",
        "restart_weights": "nn.markov_diffusion:markov_weights",
    },
    "objectives.fusion_contrast": {"FusionContrast": "methods.micro"},
    "objectives.halves": {
        "Halves": "objectives.generic_unique:GenericUnique",
        "HalvesObjective": "objectives.generic_unique:GenericUniqueObjective",
        "halves": "objectives.generic_unique:generic_unique",
    },
    "parallel.batches": {"Exchange": "parallel.exchange"},
    "parallel.columns": {
        "Split": "parallel.shares",
        "check": "parallel.shares",
        "split": "parallel.shares",
        "way": "parallel.shares",
    },
    "published": {},
    "run": {
        "configure": "experiments.assembly",
        "prepare": "experiments.assembly",
    },
    "transforms.co_occurrence": {
        "common_neighbours": "ranking.sparse",
        "group_softmax": "edge_weights",
    },
    "transforms.knn": {"MixEdges": "transforms.interactions"},
    "transforms.mix_edges": {"mixed_graph": "methods.parts.rearm"},
    "tune": {
        "Dimension": "experiments.space",
        "read_dimension": "experiments.space",
        "read_space": "experiments.space",
    },
}
"""What of such a module is elsewhere than the rest of it, or has another name."""


class _Scattered(ModuleType):
    """An old module whose parts are in several, or are called otherwise.

    A package exports functions by the name of such a module, which the module hides as
    soon as it is imported: called, it is that function.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(self, self.__name__.rpartition(".")[2])(*args, **kwargs)


class _Elsewhere(Loader):
    def __init__(self, new: str, parts: Mapping[str, str] | None) -> None:
        self.new = new
        self.parts = parts

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Scattered(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        new, parts = import_module(self.new), self.parts
        if parts is None:
            sys.modules[module.__name__] = new
            return
        elsewhere = moved(module.__name__, parts)

        def find(name: str) -> Any:
            return elsewhere(name) if name in parts else getattr(new, name)

        vars(module)["__getattr__"] = find


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
        return ModuleSpec(fullname, _Elsewhere(new, PARTS.get(old)))


def install() -> None:
    """Let old names of modules be imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


def moved(package: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """A ``__getattr__`` for a package that parts have left.

    Args:
        package: Its name.
        names: For each part, the module within ``pyg_mmrec`` where it is now; behind
            a colon its new name, if it has one.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        place, _, renamed = names[name].partition(":")
        new, part = f"{__package__}.{place}", renamed or name
        _warn(f"{package}.{name}", f"{new}.{part}")
        return getattr(import_module(new), part)

    return find


def _warn(old: str, new: str) -> None:
    warnings.warn(
        f"{old} is {new} now; the old name goes with the next version",
        DeprecationWarning,
        stacklevel=3,
    )
