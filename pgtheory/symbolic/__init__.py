r"""The same quantities in SymPy: returns of tiny MDPs, their estimators, what gradient transport cancels, and the
optima and identities behind bounded ratios.

For derivations in lectures, and as an oracle that shares no floating-point code with the rest.

>>> from pgtheory import make, symbolic
>>> J, theta = symbolic.softmax_return(make("two-state"), horizon=1)
>>> symbolic.gradient(J, theta)  # doctest: +SKIP
"""

from pgtheory.symbolic import bounded_ratio, estimators, transport
from pgtheory.symbolic.returns import evaluate, gradient, hessian, softmax_return

__all__ = ["bounded_ratio", "estimators", "evaluate", "gradient", "hessian", "softmax_return", "transport"]
