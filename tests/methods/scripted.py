"""A problem that answers with made-up smooth functions of what it is asked, and writes down every question.

A trajectory holds where it was sampled, so an update that samples, scores, weighs or curves at a wrong point
comes out with other numbers. ``Update`` states each method's recursion for one seed, from the study of
arXiv:2302.01734 and the methods' papers, and shares no code with the package but this problem and its draws.
"""

from dataclasses import dataclass, field

import numpy as np

from pgtheory.problems import Streams

H = 3


@dataclass
class Answer:
    """n trajectories for each seed: their contents [seeds, n, H, dim] and, for a meter, rewards and lengths."""

    contents: np.ndarray
    rewards: np.ndarray
    lengths: np.ndarray


@dataclass
class Scripted:
    """The problem; ``asked`` holds (what, where, ...) in the order of the questions."""

    dim: int = 3
    time: int = 0
    asked: list = field(default_factory=list)

    def rollouts(self, theta, rng, n=1):
        self.asked.append(("rollouts", theta.copy(), n))
        i, h, k = np.ogrid[:n, :H, : self.dim]
        contents = np.sin(3.0 * theta[:, None, None, :] + 1.3 * i + 0.7 * h + 2.1 * k + 0.9 * self.time)
        contents += 0.3 * np.cos(theta.sum(-1))[:, None, None, None]
        return Answer(contents, contents[..., 0], np.full((len(theta), n), H, np.int32))

    def gradient(self, theta, tau, weights=None, *, baseline=False):
        self.asked.append(("gradient", theta.copy(), weights is not None))
        each = np.cos(2 * theta[:, None, None, :] + tau.contents) + 0.2 * tau.contents
        if weights is not None:
            each = each * (weights[..., None, None] if weights.ndim == 2 else weights[..., None])
        return each.sum(2).mean(1) - (5.0 if baseline else 0.0)

    def hvp(self, theta, tau, v):
        self.asked.append(("hvp", theta.copy(), v.copy()))
        along = (tau.contents.mean(2) * v[:, None]).sum(-1, keepdims=True)
        return (np.sin(theta[:, None] + tau.contents.sum(2)) * (along + v[:, None])).mean(1)

    def log_ratio(self, theta, behaviour, tau, *, per_decision=False):
        self.asked.append(("log_ratio", theta.copy(), behaviour.copy()))
        steps = ((theta - behaviour)[:, None, None] * tau.contents).sum(-1)
        return steps.cumsum(-1) if per_decision else steps.sum(-1)

    def fisher(self, theta, tau):
        self.asked.append(("fisher", theta.copy()))
        x = np.cos(theta[:, None] + tau.contents[:, :, 0])
        return np.einsum("bni,bnj->bij", x, x) / x.shape[1]

    def questions(self, what):
        """Where a question was asked."""
        return [question[1] for question in self.asked if question[0] == what]


class Noted(Streams):
    """Streams that keep the uniform numbers they gave."""

    def __init__(self, seeds):
        super().__init__(seeds)
        self.given = []

    def uniform(self):
        self.given.append(super().uniform())
        return self.given[-1]


class Update:
    """One seed's run of a method, in the letters of the paper; what it needs of the problem, for a single row."""

    def __init__(self, q, per_decision=False):
        self.problem, self.q, self.per_decision = Scripted(), iter(q), per_decision

    def g(self, at, tau):
        return self.problem.gradient(at[None], tau)[0]

    def sample(self, at, n):
        return self.problem.rollouts(at[None], None, n)

    def mean_g(self, at, n):
        """Mean of n GPOMDP estimates sampled at a point."""
        return self.g(at, self.sample(at, n))

    def wg(self, at, drawn_at, tau):
        """Mean of w(tau | at, drawn_at) g(tau, at) for tau drawn at ``drawn_at``."""
        log_w = self.problem.log_ratio(at[None], drawn_at[None], tau, per_decision=self.per_decision)
        return self.problem.gradient(at[None], tau, np.exp(log_w))[0]

    def Bv(self, at, n, v):
        return self.problem.hvp(at[None], self.sample(at, n), v[None])[0]


def unit(d):
    size = np.sqrt(sum(x * x for x in d))
    return d / size if size > 0 else 0 * d
