"""Losses, one file each; a model and its objectives meet in the trainer."""

from pyg_mmrec.objectives.adversarial import Adversarial
from pyg_mmrec.objectives.amplify import Amplify
from pyg_mmrec.objectives.base import Nodes, Objective, Step, Term, check_terms
from pyg_mmrec.objectives.bootstrap import Bootstrap, ModalBootstrap
from pyg_mmrec.objectives.bpr import BPR
from pyg_mmrec.objectives.club import CLUB
from pyg_mmrec.objectives.decorrelation import Decorrelation
from pyg_mmrec.objectives.denoising import Denoising
from pyg_mmrec.objectives.distance import Distance
from pyg_mmrec.objectives.feature_bpr import FeatureBPR
from pyg_mmrec.objectives.feature_penalty import FeaturePenalty
from pyg_mmrec.objectives.fine_coarse import FineCoarse
from pyg_mmrec.objectives.fusion_contrast import FusionContrast
from pyg_mmrec.objectives.generic_contrast import GenericContrast
from pyg_mmrec.objectives.hard_negative import HardNegative
from pyg_mmrec.objectives.info_bpr import InfoBPR
from pyg_mmrec.objectives.info_nce import InfoNCE
from pyg_mmrec.objectives.interaction_contrast import InteractionContrast
from pyg_mmrec.objectives.l2 import L2
from pyg_mmrec.objectives.modal_bpr import ModalBPR
from pyg_mmrec.objectives.orthogonal import Orthogonal
from pyg_mmrec.objectives.plugs import PLUGS, Plug, plug
from pyg_mmrec.objectives.preference_contrast import PreferenceContrast
from pyg_mmrec.objectives.sampled_club import SampledCLUB
from pyg_mmrec.objectives.solosim import SoloSim
from pyg_mmrec.objectives.synergy import Synergy
from pyg_mmrec.objectives.unsmooth import Unsmooth
from pyg_mmrec.objectives.view_contrast import ViewContrast
from pyg_mmrec.objectives.weighted_alignment import WeightedAlignment

__all__ = [
    "BPR",
    "CLUB",
    "L2",
    "PLUGS",
    "Adversarial",
    "Amplify",
    "Bootstrap",
    "Decorrelation",
    "Denoising",
    "Distance",
    "FeatureBPR",
    "FeaturePenalty",
    "FineCoarse",
    "FusionContrast",
    "GenericContrast",
    "HardNegative",
    "InfoBPR",
    "InfoNCE",
    "InteractionContrast",
    "ModalBPR",
    "ModalBootstrap",
    "Nodes",
    "Objective",
    "Orthogonal",
    "Plug",
    "PreferenceContrast",
    "SampledCLUB",
    "SoloSim",
    "Step",
    "Synergy",
    "Term",
    "Unsmooth",
    "ViewContrast",
    "WeightedAlignment",
    "check_terms",
    "plug",
]
