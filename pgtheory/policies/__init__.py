"""Policy classes over a flat parameter vector, batched over leading axes."""

from pgtheory.policies.log_linear import LogLinear
from pgtheory.policies.softmax import LinearSoftmax, TabularSoftmax

__all__ = ["LinearSoftmax", "LogLinear", "TabularSoftmax"]
