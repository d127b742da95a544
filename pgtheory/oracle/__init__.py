"""The exact law of group objectives on problems small enough to enumerate. PyTorch is imported on first use."""

from pgtheory.lazy import door

_HOME = {
    "Problem": "problem",
    "bandit": "problem",
    "contextual_bandit": "problem",
    "success": "problem",
    "token_tree": "problem",
    "of_module": "network",
    "Law": "expectation",
    "law": "expectation",
    "effective_scale": "scale",
    "Flow": "dynamics",
    "flow": "dynamics",
    "InnerEpochs": "dynamics",
    "inner_epochs": "dynamics",
    "Examination": "examination",
    "examine": "examination",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = door(__name__, _HOME)
