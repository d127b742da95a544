"""Policy-gradient methods, a file each: frozen hyper-parameters with two pure functions, ``init`` and ``step``."""

from pgtheory.methods.hapg import HAPG
from pgtheory.methods.harpg import HARPG, NHARPG
from pgtheory.methods.importance import weighted_gradient
from pgtheory.methods.is_mbpg import ISMBPG
from pgtheory.methods.normalised_pg import NormalisedPG
from pgtheory.methods.npg import MNPG, NPG, ExactNPG
from pgtheory.methods.npg_igt import NPGIGT
from pgtheory.methods.optimise import Meter, optimise
from pgtheory.methods.page_pg import PAGEPG
from pgtheory.methods.policy_gradient import VanillaPG
from pgtheory.methods.protocol import Method, Problem, State, direction, start
from pgtheory.methods.schedules import Schedule, constant, momentum, power
from pgtheory.methods.sharp import SHARP
from pgtheory.methods.srvr_pg import SRVRPG
from pgtheory.methods.storm_pg import STORMPG
from pgtheory.methods.svrpg import SVRPG

__all__ = [
    "HAPG",
    "HARPG",
    "ISMBPG",
    "MNPG",
    "NHARPG",
    "NPG",
    "NPGIGT",
    "PAGEPG",
    "SHARP",
    "SRVRPG",
    "STORMPG",
    "SVRPG",
    "ExactNPG",
    "Meter",
    "Method",
    "NormalisedPG",
    "Problem",
    "Schedule",
    "State",
    "VanillaPG",
    "constant",
    "direction",
    "momentum",
    "optimise",
    "power",
    "start",
    "weighted_gradient",
]
