"""Features of texts, pictures and sounds, by encoders that one names."""

from pyg_mmrec.encoding.base import KINDS, Encoder
from pyg_mmrec.encoding.engine import Encoded, encode, encode_all
from pyg_mmrec.encoding.names import ALONE, LIBRARIES, SHORT, encoder, fingerprint

__all__ = [
    "ALONE",
    "KINDS",
    "LIBRARIES",
    "SHORT",
    "Encoded",
    "Encoder",
    "encode",
    "encode_all",
    "encoder",
    "fingerprint",
]
