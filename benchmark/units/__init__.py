"""The arithmetic units, one paper's unit to a file."""

from benchmark.units.dense import Dense
from benchmark.units.nac import NAC, NACMul
from benchmark.units.nalu import NALU
from benchmark.units.unit import Impossible, Unit, linear

__all__ = ["NAC", "NALU", "Dense", "Impossible", "NACMul", "Unit", "linear"]
