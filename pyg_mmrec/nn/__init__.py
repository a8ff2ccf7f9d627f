"""Parts that methods are built from."""

from pyg_mmrec.moved import moved
from pyg_mmrec.nn.attentive_fusion import AttentiveFusion
from pyg_mmrec.nn.channels import Channels, normalize_channels
from pyg_mmrec.nn.embedding import NodeEmbedding, PerNode
from pyg_mmrec.nn.fusion import Gates, Preference
from pyg_mmrec.nn.hypergraph import Hypergraph
from pyg_mmrec.nn.interest import InterestProjector, ItemMeans
from pyg_mmrec.nn.latent_graph import LatentEpoch, LatentGraph, LatentGraphs
from pyg_mmrec.nn.modal_channels import ModalChannels
from pyg_mmrec.nn.projector import Content, Projector
from pyg_mmrec.nn.propagate import Propagate
from pyg_mmrec.nn.purifier import GatedFilter
from pyg_mmrec.nn.restart import RestartPropagate

__all__ = [
    "AttentiveFusion",
    "Channels",
    "Content",
    "GatedFilter",
    "Gates",
    "Hypergraph",
    "InterestProjector",
    "ItemMeans",
    "LatentEpoch",
    "LatentGraph",
    "LatentGraphs",
    "ModalChannels",
    "NodeEmbedding",
    "PerNode",
    "Preference",
    "Projector",
    "Propagate",
    "RestartPropagate",
    "normalize_channels",
]

MOVED = {
    "BehaviourFusion": "methods.parts.mgcn",
    "Denoiser": "methods.parts.diffmm",
    "DiffusionWeights": "methods.parts.apegnn",
    "FeatureAttention": "methods.parts.rearm",
    "GlobalAttention": "methods.parts.mig_gt",
    "MetaNetwork": "methods.parts.rearm",
    "MixedPropagate": "methods.parts.sand",
    "ModalityAttention": "methods.parts.rearm",
    "ModalityMix": "methods.parts.mmssl",
    "Schedule": "methods.parts.diffmm",
}
__getattr__ = moved(__name__, MOVED)
