"""Policy gradients on a small language model: tasks with verifiers, rollouts, and the loop that learns from them.

    >>> from small_llm import Config, WarmUp, train
    >>> run = train(Config(task="add2", recipe="grpo", steps=50, warm_up=WarmUp(accuracy=0.4)))  # doctest: +SKIP
    >>> run.metrics["reward/mean"].plot()  # doctest: +SKIP

PyTorch and transformers are imported on first use.
"""

from pgtheory.lazy import door

_HOME = {
    "Config": "config",
    "WarmUp": "warm_up_settings",
    "train": "training",
    "Run": "training",
    "open_run": "opening",
    "NotFinite": "experience",
    "evaluate": "evaluation",
    "Evaluation": "evaluation",
    "task": "tasks",
    "Task": "tasks",
    "Problem": "tasks",
    "load": "models",
    "sample": "rollout",
    "Rollouts": "rollout",
    "token_log_probs": "logprob",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = door(__name__, _HOME)
