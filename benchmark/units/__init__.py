"""The arithmetic units, one paper's unit to a file.

Here belong a unit's formula, its first parameters, and which weights it ought to have. How units are stacked, trained
and judged does not. Their dotted names, `benchmark.units.nac.NAC`, are public: configurations hold them.
"""

from benchmark.units.dense import Dense
from benchmark.units.dmu import DMU
from benchmark.units.eql import EQL, EQLDivision
from benchmark.units.gated_nau_nmu import GatedNAUNMU
from benchmark.units.glu import GLU
from benchmark.units.gnalu import GNALU
from benchmark.units.hill_space import HillSpaceAdd, HillSpaceExp
from benchmark.units.inalu import INALU
from benchmark.units.kan import KAN
from benchmark.units.mcfc import MCFC, MulMCFC
from benchmark.units.mnac import MNAC
from benchmark.units.monomials import Monomials
from benchmark.units.nac import NAC, NACMul
from benchmark.units.nac_nmu import NACNMU
from benchmark.units.nac_sigma import NACSigma
from benchmark.units.nalu import NALU
from benchmark.units.nalu_separate import NALUSeparate
from benchmark.units.nau import NAU
from benchmark.units.nmru import NMRU
from benchmark.units.nmu import NMU
from benchmark.units.npu import NPU
from benchmark.units.nru import NRU
from benchmark.units.power_law import PowerLaw
from benchmark.units.product_unit import ProductUnit, power
from benchmark.units.rows import Rows
from benchmark.units.snalu import SNALU
from benchmark.units.snmu import SNMU
from benchmark.units.unit import Impossible, Unit, distance_from_sparse, linear, multiply, product

__all__ = [
    "DMU", "EQL", "GLU", "GNALU", "INALU", "KAN", "MCFC", "MNAC", "NAC", "NACNMU", "NALU", "NAU", "NMRU", "NMU", "NPU",
    "NRU", "SNALU", "SNMU", "Dense", "EQLDivision", "GatedNAUNMU", "HillSpaceAdd", "HillSpaceExp", "Impossible",
    "Monomials", "MulMCFC", "NACMul", "NACSigma", "NALUSeparate", "PowerLaw", "ProductUnit", "Rows", "Unit",
    "distance_from_sparse", "linear", "multiply", "power", "product",
]  # fmt: skip
