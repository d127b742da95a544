"""Tasks: problems to ask a language model, and verifiers that say whether it got them right.

>>> import numpy as np
>>> from small_llm.tasks import task
>>> add2 = task("add2")
>>> problem = add2.problem(np.random.default_rng(0), "train")
>>> add2.verify(problem, problem.answer)
1.0
"""

from small_llm.tasks.catalogue import task
from small_llm.tasks.splits import HELD_OUT, SPLITS, split_of
from small_llm.tasks.task import Problem, Task

__all__ = ["HELD_OUT", "SPLITS", "Problem", "Task", "split_of", "task"]
