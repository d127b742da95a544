"""Bad input to the exact half is refused by name."""

import math

import numpy as np
import pytest
from two_states import EVEN, PI, TWO, two

from pgtheory.hybrid import (
    HPE,
    Draws,
    LayeredHAC,
    Layers,
    Linear,
    Setting,
    Tabular,
    chain_or_exit,
    completeness_error,
    empirical,
    gap,
    hac,
    hnpg,
    offline_coefficient,
    population,
    tabular_lock,
)
from pgtheory.hybrid.lock_tabular import behaviour, collect
from pgtheory.hybrid.theory import hac_bound, hac_weight, hpe_guarantee, mirror_descent_bound, weight_norm
from pgtheory.mdp import make

NAN, INF = float("nan"), float("inf")
SETTING, (MISFIT, CRITIC) = two(), chain_or_exit()
DATA, LOCK = population(SETTING, PI), tabular_lock(3)
ONE = Draws(*(np.zeros(1, int) for _ in range(2)), np.ones(1), np.zeros(1, int))
OFFLINE = collect(LOCK, 10, [0, 1])


def draws(**changes):
    parts = {"s": [0], "a": [1], "r": [0.5], "s_next": [1], "returns": [2.0]}
    return Draws(**{name: np.asarray(x) for name, x in (parts | changes).items()})


# fmt: off
@pytest.mark.parametrize(("call", "message"), [
    (lambda: HPE(-0.1), r"lam must be at least 0.*got -0\.1"),
    (lambda: HPE(NAN), "lam must be at least 0"),
    (lambda: HPE(1, 5, 5), "K2 must exceed K1.*got K1 = 5, K2 = 5"),
    (lambda: HPE(1, 9, 3), "K2 must exceed K1"),
    (lambda: HPE(1, -1, 3), "K1 must be at least 0"),
    (lambda: HPE(1, on_targets="td"), r"on_targets must be one of \('returns', 'bootstrap'\), got 'td'"),
    (lambda: HPE().evaluate(DATA, PI, Tabular(), [[1, 2]]), r"start must have shape \[S, A\] = \[2, 2\]"),
    (lambda: HPE().evaluate(DATA, PI, Tabular(), EVEN * NAN), "start must be finite"),
    (lambda: HPE().evaluate(DATA, PI[0], Tabular()), r"pi must have shape \[S, A\]"),
    (lambda: HPE().evaluate(DATA, PI, CRITIC), r"features must be of the data.s pairs"),
    (lambda: Setting(TWO, EVEN * 2), "nu must sum to one"),
    (lambda: Setting(TWO, [0.5, 0.5]), r"nu must have shape \[S, A\] = \[2, 2\], got \[2\]"),
    (lambda: Setting(TWO, EVEN, [0.5, 0.6]), "reset must sum to one"),
    (lambda: Setting(TWO, EVEN, -EVEN), "reset must be non-negative"),
    (lambda: Setting(MISFIT.mdp, np.full((4, 2), 1 / 8)), r"nu must give forbidden pairs no mass, got nu\[1, 1\]"),
    (lambda: Setting(make("diabolical-lock"), EVEN), "mdp must have an infinite horizon, got horizon 5"),
    (lambda: SETTING.occupancy(EVEN), "rows of pi must sum to one"),
    (lambda: SETTING.draw_offline(0, np.random.default_rng(0)), "m must be at least 1, got 0"),
    (lambda: Linear(np.ones((2, 2))), r"features must have shape \[S, A, dim\]"),
    (lambda: Linear(np.ones((2, 2, 1)), ridge=-1), "ridge must be non-negative"),
    (lambda: Linear(np.ones((2, 2, 1)), bound=0), "bound must be positive, got 0"),
    (lambda: empirical(TWO, None, None), "offline or online must hold at least one transition, got none"),
    (lambda: empirical(TWO, None, draws(s=[], a=[], r=[], s_next=[], returns=[])), "at least one transition"),
    (lambda: empirical(TWO, draws(), ONE), "online must have returns"),
    (lambda: empirical(TWO, draws(s=[2]), None), r"offline\.s must hold integers 0\.\.1, got offline\.s\[0\] = 2"),
    (lambda: empirical(TWO, draws(a=[5]), None), r"offline\.a must hold integers 0\.\.1"),
    (lambda: empirical(TWO, draws(s_next=[-1]), None), r"offline\.s_next must hold integers 0\.\.1"),
    (lambda: empirical(TWO, draws(r=[NAN]), None), r"offline\.r must be finite, got offline\.r\[0\] = nan"),
    (lambda: empirical(TWO, draws(a=[0, 1]), None), r"offline\.a must have shape \[m\] = \[1\], got \[2\]"),
    (lambda: empirical(TWO, None, draws(returns=[INF])), r"online\.returns must be finite"),
    (lambda: hac(SETTING, Tabular(), HPE(), T=0), "T must be at least 1"),
    (lambda: hac(SETTING, Tabular(), HPE(), T=2, eta=-1.0), "eta must be positive"),
    (lambda: hnpg(SETTING, Tabular(), HPE(), T=2, eta=0.0), "eta must be positive"),
    (lambda: hnpg(SETTING, Tabular(), HPE(), T=2, eta=1.0, features=np.ones((3, 2, 1))), "features must have shape"),
    (lambda: hnpg(SETTING, Tabular(), HPE(0, 0, 1), T=2, eta=1.0, damping=-1.0), "damping must be non-negative"),
    (lambda: hnpg(SETTING, Tabular(), HPE(0, 0, 1), T=2, eta=1.0, cg_iterations=0), "iterations must be at least 1"),
    (lambda: gap(SETTING, EVEN, PI, PI, form="signed"), "form must be 'diagnostic' or 'paper', got 'signed'"),
    (lambda: gap(SETTING, np.ones((3, 2)), PI, PI), "f must have shape"),
    (lambda: offline_coefficient(MISFIT, [[1, 0]] * 4, CRITIC), "policies must hold at least one policy"),
    (lambda: completeness_error(MISFIT, CRITIC.unbounded()), "critic must have a bound"),
    (lambda: completeness_error(SETTING, Linear(np.ones((2, 2, 12)), bound=1)), "at most 4096 corners"),
    (lambda: hpe_guarantee(10, 0.0, 0.1, 0.9, log_class=1), "lam must be positive"),
    (lambda: hpe_guarantee(10, 1.0, -0.1, 0.9, log_class=1), "eps_be must be non-negative"),
    (lambda: hpe_guarantee(10, 1.0, 0.1, 1.0, log_class=1), r"discount must be in \[0, 1\)"),
    (lambda: mirror_descent_bound(4, 3, 0.9), r"T must be at least 4 log A = 4\.39"),
    (lambda: hac_bound(10, 3, 0.9, c_npg=-1), "coverage coefficient must be at least 0"),
    (lambda: hac_bound(10, 3, 0.9, c_npg=NAN), "coverage coefficient must be at least 0"),
    (lambda: hac_weight(2, 0.0), "T must be at least 3"),
    (lambda: weight_norm(np.zeros((2, 2)), 0, 1), "actions must be a boolean array"),
    (lambda: chain_or_exit(reward=NAN), "reward must be finite"),
    (lambda: make("diabolical-lock", anti_shaped="never"), "anti_shaped must be one of .*got 'never'"),
    (lambda: make("diabolical-lock", horizon=2, secret=[[1, 2]]), r"secret must have shape \[H, 2\] = \[2, 2\]"),
    (lambda: make("diabolical-lock", horizon=1, secret=[[1, 10]]), r"secret must hold integers 0\.\.9"),
    (lambda: make("diabolical-lock", n_actions=1), "n_actions must be at least 2"),
    (lambda: make("diabolical-lock", horizon=0), "horizon must be at least 1"),
    (lambda: Layers(TWO), "mdp must have a horizon"),
    (lambda: Layers(make("chain").replace(horizon=4)), "mdp must be layered"),
    (lambda: Layers(make("diabolical-lock"), lottery=0.0), "lottery must be positive"),
    (lambda: behaviour(LOCK, 1.5), "epsilon must be a probability"),
    (lambda: collect(LOCK, 0, [0]), "episodes must be at least 1"),
    (lambda: LayeredHAC(lam=-1), "lam must be at least 0"),
    (lambda: LayeredHAC(eta=0), "eta must be positive"),
    (lambda: LayeredHAC(steps=0), "steps must be at least 1"),
    (lambda: LayeredHAC().run(LOCK, OFFLINE, [0], iterations=1), r"offline must have data of .* = \[1, 3, 3, 10\]"),
    (lambda: LayeredHAC().run(tabular_lock(2), OFFLINE, [0, 1], iterations=1), "offline must have data of"),
    (lambda: LayeredHAC(lam=0).run(LOCK, None, [0], iterations=1), "offline must hold data where lam is 0"),
    (lambda: LayeredHAC().run(LOCK, None, [], iterations=1), "seeds must hold at least one seed"),
    (lambda: LayeredHAC().run(LOCK, None, [0], iterations=0), "iterations must be at least 1"),
])
def test_values_out_of_range_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(("call", "message"), [
    (lambda: HPE("1"), "lam must be a number"),
    (lambda: HPE(1, 1.5, 3), "K1 must be an integer"),
    (lambda: Setting("two-state", EVEN), "mdp must be a FiniteMDP"),
    (lambda: population(TWO, PI), "setting must be a Setting"),
    (lambda: empirical(TWO, draws(r=["a"]), None), r"offline\.r must hold real numbers"),
    (lambda: hac(TWO, Tabular(), HPE(), T=2), "setting must be a Setting"),
    (lambda: hac(SETTING, Tabular(), 1.0, T=2), "evaluation must be a HPE, got 1.0"),
    (lambda: hnpg(SETTING, Tabular(), 1.0, T=2, eta=1.0), "evaluation must be a HPE"),
    (lambda: hac(SETTING, "tabular", HPE(), T=2), "critic must be a Critic, got 'tabular'"),
    (lambda: offline_coefficient(SETTING, PI, "linear"), "critic must be a Linear"),
    (lambda: completeness_error(SETTING, "linear"), "critic must be a Linear"),
    (lambda: Layers("diabolical-lock"), "mdp must be a FiniteMDP"),
    (lambda: LayeredHAC().run(make("diabolical-lock"), None, [0], iterations=1), "layers must be a Layers"),
    (lambda: LayeredHAC().run(LOCK, 3, [0], iterations=1), "offline must be a Counts"),
])
def test_things_of_another_kind_are_refused(call, message):
    with pytest.raises(TypeError, match=message):
        call()
# fmt: on


def test_lam_may_be_infinite_or_zero():
    assert HPE(math.inf).weights(DATA).sum() == pytest.approx(1)
    assert HPE(0).weights(DATA) == pytest.approx(EVEN)
