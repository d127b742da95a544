"""Policy-gradient theory you can run.

Write a method or an objective once; get the same evidence for it at three scales: exactly on a finite
MDP, by simulation on continuous control, and on a small language model.

Public names are loaded on first use, so ``import pgtheory`` stays light: it registers the named MDPs with
Gymnasium and pulls in neither torch, nor SciPy, nor Matplotlib, nor Numba.
"""

from importlib import import_module
from typing import Any

import pgtheory.environments  # noqa: F401 - registers the named MDPs with Gymnasium

__version__ = "0.1.0"

_HOME = {
    "FiniteMDP": "mdp",
    "from_gymnasium": "mdp",
    "make": "mdp",
    "instances": "mdp",
    "solve": "mdp",
    "backward_induction": "mdp",
    "LinearSystem": "continuous",
    "double_integrator": "continuous",
    "TabularSoftmax": "policies",
    "LogLinear": "policies",
    "ExactProblem": "problems",
    "SampledProblem": "problems",
    "LinearGaussianProblem": "problems",
    "CauchyProblem": "problems",
    "GaussianBandit": "problems",
    "CauchyBandit": "problems",
    "Streams": "problems",
    "optimise": "methods",
    "Report": "evidence",
    "run": "evidence",
}
_ROOMS = (
    "environments",
    "lazy",
    "mdp",
    "continuous",
    "policies",
    "objectives",
    "problems",
    "methods",
    "brrl",
    "agnostic",
    "oracle",
    "deep",
    "hybrid",
    "evidence",
    "symbolic",
    "plots",
    "cli",
)

__all__ = ["__version__", *_HOME, *_ROOMS]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f"pgtheory.{_HOME[name]}"), name)
    elif name in _ROOMS:
        value = import_module(f"pgtheory.{name}")
    else:
        raise AttributeError(f"module 'pgtheory' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
