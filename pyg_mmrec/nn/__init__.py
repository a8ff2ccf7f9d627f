"""Parts that methods are built from."""

from pyg_mmrec.moved import moved
from pyg_mmrec.nn.conv.propagate import Propagate
from pyg_mmrec.nn.fusion import ModalChannels, Preference
from pyg_mmrec.nn.gating import AttentiveFusion, GatedFilter
from pyg_mmrec.nn.hypergraph import Hypergraph
from pyg_mmrec.nn.inputs import (
    Content,
    ItemMeans,
    NodeEmbedding,
    Projector,
    normalize_channels,
)
from pyg_mmrec.nn.latent_graph import LatentEpoch, LatentGraph, LatentGraphs
from pyg_mmrec.nn.markov_diffusion import RestartPropagate
from pyg_mmrec.nn.node_features import Channels, InterestProjector

__all__ = [
    "AttentiveFusion",
    "Channels",
    "Content",
    "GatedFilter",
    "Hypergraph",
    "InterestProjector",
    "ItemMeans",
    "LatentEpoch",
    "LatentGraph",
    "LatentGraphs",
    "ModalChannels",
    "NodeEmbedding",
    "Preference",
    "Projector",
    "Propagate",
    "RestartPropagate",
    "normalize_channels",
]

MOVED = {
    "BehaviourFusion": "methods.mgcn",
    "Denoiser": "methods.parts.diffmm",
    "DiffusionWeights": "methods.apegnn",
    "FeatureAttention": "methods.parts.rearm",
    "Gates": "methods.parts.mde",
    "GlobalAttention": "methods.parts.mig_gt",
    "MetaNetwork": "methods.parts.rearm",
    "MixedPropagate": "methods.parts.sand",
    "ModalityAttention": "methods.parts.rearm",
    "ModalityMix": "methods.parts.mmssl",
    "Schedule": "methods.parts.diffmm",
}
__getattr__ = moved(__name__, MOVED)
