"""Losses, one file each; a model and its objectives meet in the trainer."""

from pyg_mmrec.moved import moved
from pyg_mmrec.objectives.base import Nodes, Objective, Step, Term, check_terms
from pyg_mmrec.objectives.club import CLUB
from pyg_mmrec.objectives.feature_bpr import FeatureBPR
from pyg_mmrec.objectives.fusion_contrast import FusionContrast
from pyg_mmrec.objectives.generic_contrast import GenericContrast
from pyg_mmrec.objectives.hard_negative import HardNegative
from pyg_mmrec.objectives.info_nce import InfoNCE
from pyg_mmrec.objectives.orthogonal import Orthogonal
from pyg_mmrec.objectives.plugs import PLUGS, Plug, plug
from pyg_mmrec.objectives.ranking import BPR, L2
from pyg_mmrec.objectives.solosim import SoloSim
from pyg_mmrec.objectives.synergy import Synergy

__all__ = [
    "BPR",
    "CLUB",
    "L2",
    "PLUGS",
    "FeatureBPR",
    "FusionContrast",
    "GenericContrast",
    "HardNegative",
    "InfoNCE",
    "Nodes",
    "Objective",
    "Orthogonal",
    "Plug",
    "SoloSim",
    "Step",
    "Synergy",
    "Term",
    "check_terms",
    "plug",
]

MOVED = {
    "Adversarial": "methods.parts.mmssl",
    "Amplify": "methods.parts.mde",
    "Bootstrap": "methods.parts.bm3",
    "Decorrelation": "methods.parts.mgnm",
    "Denoising": "methods.parts.diffmm",
    "Distance": "methods.parts.sand",
    "FineCoarse": "methods.parts.slmrec",
    "InfoBPR": "methods.parts.mgdn",
    "InteractionContrast": "methods.parts.slmrec",
    "ModalBPR": "methods.parts.mde",
    "ModalBootstrap": "methods.parts.bm3",
    "PreferenceContrast": "methods.parts.mmssl",
    "SampledCLUB": "methods.parts.sand",
    "Unsmooth": "methods.parts.mig_gt",
    "ViewContrast": "methods.parts.slmrec",
    "WeightedAlignment": "methods.parts.mde",
}
__getattr__ = moved(__name__, MOVED)
