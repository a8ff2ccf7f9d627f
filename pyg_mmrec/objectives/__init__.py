"""Losses, one file each; a model and its objectives meet in the trainer."""

from pyg_mmrec.moved import moved
from pyg_mmrec.objectives.base import Objective, Term, check_terms
from pyg_mmrec.objectives.basic import BPR, L2, FeatureBPR
from pyg_mmrec.objectives.club import CLUB
from pyg_mmrec.objectives.contrast import InfoNCE, Orthogonal
from pyg_mmrec.objectives.generic_unique import GenericContrast, SoloSim
from pyg_mmrec.objectives.modal_ranking import HardNegative, Synergy
from pyg_mmrec.objectives.plugs import PLUGS, Plug, plug
from pyg_mmrec.objectives.step import Nodes, Step

__all__ = [
    "BPR",
    "CLUB",
    "L2",
    "PLUGS",
    "FeatureBPR",
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
    "Bootstrap": "methods.bm3",
    "Decorrelation": "methods.mgnm",
    "Denoising": "methods.parts.diffmm",
    "Distance": "objectives.club",
    "FineCoarse": "methods.slmrec",
    "FusionContrast": "methods.micro",
    "InfoBPR": "methods.mgdn",
    "InteractionContrast": "methods.slmrec",
    "ModalBPR": "methods.parts.mde",
    "ModalBootstrap": "methods.bm3",
    "PreferenceContrast": "methods.parts.mmssl",
    "SampledCLUB": "methods.sand",
    "Unsmooth": "methods.parts.mig_gt",
    "ViewContrast": "methods.slmrec",
    "WeightedAlignment": "methods.parts.mde",
}
__getattr__ = moved(__name__, MOVED)
