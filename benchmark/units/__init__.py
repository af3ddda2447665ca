"""The arithmetic units, one paper's unit to a file."""

from benchmark.units.dense import Dense
from benchmark.units.nac import NAC, NACMul
from benchmark.units.nalu import NALU
from benchmark.units.unit import IMPOSSIBLE, Unit, linear

__all__ = ["IMPOSSIBLE", "NAC", "NALU", "Dense", "NACMul", "Unit", "linear"]
