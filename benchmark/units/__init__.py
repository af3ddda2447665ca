"""The arithmetic units, one paper's unit to a file."""

from benchmark.units.dense import Dense
from benchmark.units.nac import NAC, NACMul
from benchmark.units.nalu import NALU
from benchmark.units.nau import NAU
from benchmark.units.nmu import NMU
from benchmark.units.unit import Impossible, Unit, distance_from_sparse, linear, product

__all__ = [
    "NAC",
    "NALU",
    "NAU",
    "NMU",
    "Dense",
    "Impossible",
    "NACMul",
    "Unit",
    "distance_from_sparse",
    "linear",
    "product",
]
