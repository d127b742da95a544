"""What the two-term regression needs to know of its data: weights, mean rewards, successors and mean returns.

On finitely many pairs these are sufficient, so populations and samples go through the same code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from pgtheory.hybrid.setting import Draws, Setting
from pgtheory.mdp import FiniteMDP, validate
from pgtheory.mdp.evaluation import check_policy


@dataclass(frozen=True, eq=False)
class Model:
    """A distribution over pairs, with the mean reward and the law of the successor of each.

    Attributes
    ----------
    weights, r : array [S, A]
    P : dense or sparse [S*A, S]
        Rows of pairs without weight may be empty.
    """

    weights: np.ndarray
    r: np.ndarray
    P: Any


@dataclass(frozen=True, eq=False)
class Moments:
    """Offline and on-policy data of one policy.

    Attributes
    ----------
    offline, online : Model
    returns : array [S, A]
        Mean return of each on-policy pair; zero where there is none.
    discount : float
    terminal : bool array [S]
    """

    offline: Model
    online: Model
    returns: np.ndarray
    discount: float
    terminal: np.ndarray

    @property
    def scale(self) -> float:
        """Largest reward or return in the data."""
        return float(max(np.abs(self.offline.r).max(), np.abs(self.returns).max()))


def population(setting: Setting, pi: Any) -> Moments:
    r"""The moments of infinitely many data: :math:`\nu`, :math:`d^\pi`, the MDP itself and :math:`Q^\pi`."""
    validate.instance_of("setting", setting, Setting)
    mdp = setting.mdp
    offline, online = (Model(w, mdp.r, mdp.pairs) for w in (setting.nu, setting.occupancy(pi)))
    return Moments(offline, online, setting.action_values(pi), mdp.discount, mdp.terminal)


def empirical(mdp: FiniteMDP, offline: Draws | None, online: Draws | None) -> Moments:
    """The moments of samples.

    Parameters
    ----------
    mdp : FiniteMDP
        For its shape, discount and terminal states only; its transitions and rewards are not read.
    offline : Draws, or None for no offline data
    online : Draws with returns, or None for no on-policy data

    Raises
    ------
    TypeError, ValueError
        If both are missing or empty, a state or action is not the MDP's, a reward is not finite, or on-policy
        tuples have no returns.
    """
    validate.instance_of("mdp", mdp, FiniteMDP)
    if not any(data is not None and len(data) for data in (offline, online)):
        raise ValueError("offline or online must hold at least one transition, got none")
    if online is not None and online.returns is None:
        raise ValueError("online must have returns, the targets of the on-policy term, got None")
    returns = np.zeros(mdp.r.shape)
    if online is not None:
        assert online.returns is not None
        pair = _pairs(mdp, "online", online)
        y = validate.real_array("online.returns", online.returns, (len(online),), "[m]")
        returns = _mean(pair, y, mdp.r.shape)
    return Moments(
        _model(mdp, "offline", offline), _model(mdp, "online", online), returns, mdp.discount, mdp.terminal
    )


def sampled(setting: Setting, pi: Any, m_on: int, m_off: int, rng: np.random.Generator) -> Moments:
    """Fresh samples of a setting: ``m_on`` on-policy and ``m_off`` offline tuples."""
    pi = check_policy(setting.mdp, pi)
    return empirical(setting.mdp, setting.draw_offline(m_off, rng), setting.draw_on_policy(pi, m_on, rng))


def _model(mdp: FiniteMDP, name: str, data: Draws | None) -> Model:
    S, A = mdp.r.shape
    if data is None or not len(data):
        return Model(np.zeros((S, A)), np.zeros((S, A)), sparse.csr_array((S * A, S)))
    pair, m = _pairs(mdp, name, data), len(data)
    after = validate.indices(f"{name}.s_next", data.s_next, (m,), "[m]", 0, S - 1)
    count = np.bincount(pair, minlength=S * A)
    share = 1.0 / count[pair]
    P = sparse.csr_array(sparse.coo_array((share, (pair, after)), shape=(S * A, S)))
    r = validate.real_array(f"{name}.r", data.r, (m,), "[m]")
    return Model((count / m).reshape(S, A), _mean(pair, r, (S, A)), P)


def _pairs(mdp: FiniteMDP, name: str, data: Draws) -> np.ndarray:
    S, A = mdp.r.shape
    s = validate.indices(f"{name}.s", data.s, (None,), "[m]", 0, S - 1)
    return s * A + validate.indices(f"{name}.a", data.a, (len(s),), "[m]", 0, A - 1)


def _mean(pair: np.ndarray, x: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    n = shape[0] * shape[1]
    total, count = np.bincount(pair, x, n), np.bincount(pair, minlength=n)
    return (total / np.maximum(count, 1)).reshape(shape)
