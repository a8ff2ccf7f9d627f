"""Parts that methods are built from."""

from pyg_mmrec.nn.attention import FeatureAttention, ModalityAttention
from pyg_mmrec.nn.attentive_fusion import AttentiveFusion
from pyg_mmrec.nn.behaviour_fusion import BehaviourFusion
from pyg_mmrec.nn.channels import Channels, normalize_channels
from pyg_mmrec.nn.content import Content
from pyg_mmrec.nn.denoiser import Denoiser, Schedule
from pyg_mmrec.nn.diffusion import DiffusionWeights
from pyg_mmrec.nn.embedding import NodeEmbedding
from pyg_mmrec.nn.fusion import Gates, Preference
from pyg_mmrec.nn.global_attention import GlobalAttention
from pyg_mmrec.nn.hypergraph import Hypergraph
from pyg_mmrec.nn.interest import InterestProjector, ItemMeans
from pyg_mmrec.nn.latent_graph import LatentEpoch, LatentGraph, LatentGraphs
from pyg_mmrec.nn.meta import MetaNetwork
from pyg_mmrec.nn.mixed import MixedPropagate
from pyg_mmrec.nn.modal_channels import ModalChannels
from pyg_mmrec.nn.modality_mix import ModalityMix
from pyg_mmrec.nn.projector import Projector
from pyg_mmrec.nn.propagate import Propagate
from pyg_mmrec.nn.purifier import GatedFilter
from pyg_mmrec.nn.restart import RestartPropagate

__all__ = [
    "AttentiveFusion",
    "BehaviourFusion",
    "Channels",
    "Content",
    "Denoiser",
    "DiffusionWeights",
    "FeatureAttention",
    "GatedFilter",
    "Gates",
    "GlobalAttention",
    "Hypergraph",
    "InterestProjector",
    "ItemMeans",
    "LatentEpoch",
    "LatentGraph",
    "LatentGraphs",
    "MetaNetwork",
    "MixedPropagate",
    "ModalChannels",
    "ModalityAttention",
    "ModalityMix",
    "NodeEmbedding",
    "Preference",
    "Projector",
    "Propagate",
    "RestartPropagate",
    "Schedule",
    "normalize_channels",
]
