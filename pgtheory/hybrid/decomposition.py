r"""Lemma 3: the gap to a comparator as three errors of any function f, with equality.

.. math::
   V^{\pi^e}-V^\pi&=\mathbb E_{\mu_0}[f(s_0,\pi)-Q^\pi]+\tfrac1{1-\gamma}\mathbb E_{d^{\pi^e}}[\mathcal T^\pi f-f]
   +\tfrac1{1-\gamma}\mathbb E_{d^{\pi^e}}[f-f(s,\pi)]\\
   &=\mathbb E_{\mu_0}[f-Q^\pi]+\tfrac1{1-\gamma}\mathbb E_{d^{\pi^e}}[\mathcal T^\pi f-f]
   +\tfrac\gamma{1-\gamma}\mathbb E_{d^{\pi^e},s'}[f(s',\pi^e)-f(s',\pi)] .

The first is the paper's; its first term does not vanish at :math:`f=Q^\pi`, since the reset picks the first action.
In the second, derived here, both errors vanish there: it is the one for diagnostics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pgtheory.hybrid.setting import Setting
from pgtheory.mdp import validate
from pgtheory.mdp.evaluation import check_policy


@dataclass(frozen=True)
class Gap:
    r"""A gap and the terms that add up to it.

    Attributes
    ----------
    value : float
        :math:`V^{\pi^e}-V^\pi`.
    on_policy : float
        The critic's error at the reset, which on-policy returns control.
    bellman : float
        Its Bellman error under the comparator, which offline data control.
    improvement : float
        What the actor has still to gain, by the critic's word.
    """

    value: float
    on_policy: float
    bellman: float
    improvement: float

    @property
    def total(self) -> float:
        """Sum of the three terms; equal to ``value``."""
        return self.on_policy + self.bellman + self.improvement


def gap(setting: Setting, f: Any, pi: Any, pi_e: Any, *, form: str = "diagnostic") -> Gap:
    """The decomposition for any f [S, A] (taken as 0 in terminal states) and policies [S, A].

    Parameters
    ----------
    setting : Setting
    f, pi, pi_e : array [S, A]
    form : {"diagnostic", "paper"}
        The second or the first line above.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit the setting, or there is no such form.
    """
    validate.instance_of("setting", setting, Setting)
    if form not in ("diagnostic", "paper"):
        raise ValueError(f"form must be 'diagnostic' or 'paper', got {form!r}")
    mdp, gamma = setting.mdp, setting.mdp.discount
    pi, pi_e = check_policy(mdp, pi), check_policy(mdp, pi_e)
    f = validate.real_array("f", f, mdp.r.shape, "[S, A]") * ~mdp.terminal[:, None]
    d_e, value = setting.occupancy(pi_e), setting.value(pi)
    bellman = float((d_e * (setting.backup(pi, f) - f)).sum()) / (1 - gamma)
    ahead = (pi * f).sum(-1)
    if form == "paper":
        first = setting.first_pairs(pi_e).sum(-1) @ ahead - value
        improvement = float((d_e * (f - ahead[:, None])).sum()) / (1 - gamma)
    else:
        first = (setting.first_pairs(pi_e) * f).sum() - value
        improvement = gamma / (1 - gamma) * float(mdp.push(d_e) @ ((pi_e * f).sum(-1) - ahead))
    return Gap(setting.value(pi_e) - value, float(first), bellman, improvement)


def bellman_error(setting: Setting, f: np.ndarray, pi: np.ndarray) -> float:
    r""":math:`\mathbb E_\nu(f-\mathcal T^\pi f)^2`, the offline error of Lemma 5."""
    return float((setting.nu * (f - setting.backup(pi, f)) ** 2)[~setting.mdp.terminal].sum())


def on_policy_error(setting: Setting, f: np.ndarray, pi: np.ndarray) -> float:
    r""":math:`\mathbb E_{d^\pi}(f-Q^\pi)^2`, the on-policy error of Lemma 5."""
    squared = (f - setting.action_values(pi)) ** 2
    return float((setting.occupancy(pi) * squared)[~setting.mdp.terminal].sum())
