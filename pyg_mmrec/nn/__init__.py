"""Parts that methods are built from."""

from pyg_mmrec.moved import moved
from pyg_mmrec.nn.activation import PReLU
from pyg_mmrec.nn.conv.propagate import ItemMeans, Propagate
from pyg_mmrec.nn.fusion import ModalityGCN, Preference
from pyg_mmrec.nn.gating import AttentiveFusion, GatedFilter
from pyg_mmrec.nn.hypergraph import Hypergraph
from pyg_mmrec.nn.inputs import (
    Content,
    InterestProjector,
    NodeEmbedding,
    NodeFeatures,
    Projector,
)
from pyg_mmrec.nn.latent_graph import LatentEpoch, LatentGraph, LatentGraphs
from pyg_mmrec.nn.markov_diffusion import MarkovDiffusion

__all__ = [
    "AttentiveFusion",
    "Content",
    "GatedFilter",
    "Hypergraph",
    "InterestProjector",
    "ItemMeans",
    "LatentEpoch",
    "LatentGraph",
    "LatentGraphs",
    "MarkovDiffusion",
    "ModalityGCN",
    "NodeEmbedding",
    "NodeFeatures",
    "PReLU",
    "Preference",
    "Projector",
    "Propagate",
]

MOVED = {
    "BehaviourFusion": "methods.mgcn",
    "Channels": "nn.inputs:NodeFeatures",
    "Denoiser": "methods.parts.diffmm",
    "DiffusionWeights": "methods.apegnn",
    "FeatureAttention": "methods.parts.rearm",
    "Gates": "methods.parts.mde",
    "GlobalAttention": "methods.parts.mig_gt",
    "MetaNetwork": "methods.parts.rearm",
    "FusedGraphPropagate": "nn.fusion",
    "ModalChannels": "nn.fusion:ModalityGCN",
    "ModalityAttention": "methods.parts.rearm",
    "ModalityMix": "methods.parts.mmssl",
    "RestartPropagate": "nn.markov_diffusion:MarkovDiffusion",
    "Schedule": "methods.parts.diffmm",
    "normalize_blocks": "embeddings",
    "normalize_channels": "embeddings:normalize_blocks",
}
__getattr__ = moved(__name__, MOVED)
