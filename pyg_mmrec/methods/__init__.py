"""Methods of recommendation, one file each."""

from pyg_mmrec.methods.apegnn import ApeGNN
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.bm3 import BM3
from pyg_mmrec.methods.bpr import MatrixFactorization
from pyg_mmrec.methods.br_mrs import BRMRS
from pyg_mmrec.methods.cohesion import COHESION
from pyg_mmrec.methods.content_knn import ContentKNN
from pyg_mmrec.methods.da_mrs import DAMRS
from pyg_mmrec.methods.diffmm import DiffMM
from pyg_mmrec.methods.dragon import DRAGON
from pyg_mmrec.methods.dualgnn import DualGNN
from pyg_mmrec.methods.freedom import FREEDOM
from pyg_mmrec.methods.grcn import GRCN
from pyg_mmrec.methods.itemknn_cbf import ItemKNNCBF
from pyg_mmrec.methods.lattice import LATTICE
from pyg_mmrec.methods.layergcn import LayerGCN
from pyg_mmrec.methods.lgmrec import LGMRec
from pyg_mmrec.methods.lightgcn import LightGCN
from pyg_mmrec.methods.mde import MDE
from pyg_mmrec.methods.mentor import MENTOR
from pyg_mmrec.methods.mgcn import MGCN
from pyg_mmrec.methods.mgdn import MGDN
from pyg_mmrec.methods.mgnm import MGNM
from pyg_mmrec.methods.micro import MICRO
from pyg_mmrec.methods.mig_gt import MIGGT
from pyg_mmrec.methods.mmgcf import MMGCF
from pyg_mmrec.methods.mmgcn import MMGCN
from pyg_mmrec.methods.mmssl import MMSSL
from pyg_mmrec.methods.mvgae import MVGAE
from pyg_mmrec.methods.pgl import PGL
from pyg_mmrec.methods.popularity import Popularity
from pyg_mmrec.methods.random import Random
from pyg_mmrec.methods.rearm import REARM
from pyg_mmrec.methods.registry import available, get, register
from pyg_mmrec.methods.sand import SAND
from pyg_mmrec.methods.selfcf import SelfCF
from pyg_mmrec.methods.slmrec import SLMRec
from pyg_mmrec.methods.smore import SMORE
from pyg_mmrec.methods.vbpr import VBPR

__all__ = [
    "BM3",
    "BRMRS",
    "COHESION",
    "DAMRS",
    "DRAGON",
    "FREEDOM",
    "GRCN",
    "LATTICE",
    "MDE",
    "MENTOR",
    "MGCN",
    "MGDN",
    "MGNM",
    "MICRO",
    "MIGGT",
    "MMGCF",
    "MMGCN",
    "MMSSL",
    "MVGAE",
    "PGL",
    "REARM",
    "SAND",
    "SMORE",
    "VBPR",
    "ApeGNN",
    "ContentKNN",
    "DiffMM",
    "DualGNN",
    "ItemKNNCBF",
    "LGMRec",
    "LayerGCN",
    "LightGCN",
    "MatrixFactorization",
    "Popularity",
    "Random",
    "Recommender",
    "SLMRec",
    "SelfCF",
    "available",
    "get",
    "register",
]
