"""The simplified policy emulator, and search from the start alone."""

import numpy as np
import pytest

from pgtheory.agnostic.access import BudgetExhausted, HybridResets, MuReset, Online
from pgtheory.agnostic.classes import open_loop
from pgtheory.agnostic.emulator import policy_emulator
from pgtheory.agnostic.instances import balanced_lock, two_latent_lock
from pgtheory.agnostic.problems import context_block, random_class
from pgtheory.agnostic.simulator import Simulator
from pgtheory.agnostic.start_only_search import start_only_search


def rng(seed=0):
    return np.random.default_rng(seed)


def emulate(horizon, seed, draws=20, model=HybridResets, rollouts=96):
    secret = rng(seed).integers(2, size=horizon)
    lock, policies = balanced_lock(secret), open_loop(1, horizon)
    access = model(lock, rng(seed + 1000))
    result = policy_emulator(
        access, policies, draws=draws, transitions=1, rollouts=rollouts, tau=0.25, start_draws=1
    )
    return result, access, policies.index([[b] for b in secret])


@pytest.mark.parametrize("horizon", [2, 4, 8])
def test_it_opens_the_balanced_lock(horizon):
    for seed in range(5):
        result, access, secret = emulate(horizon, seed)
        assert result.best == secret
        assert result.clusters == (1, *[3] * (horizon - 1))
        assert result.tests == (0, *[1] * (horizon - 1))
        assert result.values[secret] == pytest.approx(1.0)
        assert np.abs(np.delete(result.values, secret) - 0.5).max() < 0.25


@pytest.mark.parametrize(("horizon", "rollouts"), [(4, 8314), (6, 13746), (8, 19178), (10, 24610)])
def test_rollouts_are_counted_as_the_formula_says(horizon, rollouts):
    seed = next(
        s for s in range(20) if emulate(horizon, s, draws=14)[0].clusters == (1, *[3] * (horizon - 1))
    )
    result, access, _ = emulate(horizon, seed, draws=14)
    assert result.rollouts == rollouts == 14 * (194 * (horizon - 2) + 192) + 194
    assert access.spent.restarts == rollouts
    assert (access.spent.starts, access.spent.resets) == (1, 14 * (horizon - 1))


def test_labels_carry_nothing(monkeypatch):
    """Other names for the observations, the same answer."""
    plain, access, _ = emulate(6, 3)
    other = rng(12345)
    monkeypatch.setattr(Simulator, "_fresh_labels", lambda self, n: -other.permutation(10**6 + n)[:n] - 1)
    renamed, _, _ = emulate(6, 3)
    assert (renamed.values == plain.values).all()
    assert renamed.rollouts == plain.rollouts


class Forgetful(HybridResets):
    """A local simulator that cannot return: what it restarts is a new draw of the layer."""

    __slots__ = ()

    def restart(self, observations):
        return self.reset(observations.layer, len(observations))


def test_without_returning_to_a_draw_it_cannot_beat_chance():
    hits = [
        result.best == secret for result, _, secret in (emulate(4, s, model=Forgetful) for s in range(120))
    ]
    assert np.mean(hits) < 1 / 8 + 4 * np.sqrt(7 / 64 / 120)  # layer 1 is seen; 2^-3 by guessing the others
    with pytest.raises(TypeError, match="access must be a HybridResets"):
        policy_emulator(
            MuReset(balanced_lock([0, 1]), rng()),
            open_loop(1, 2),
            draws=5,
            transitions=1,
            rollouts=5,
            tau=0.2,
        )


def test_random_block_mdps():
    errors, regrets, spreads = [], [], []
    for seed in range(8):
        env = context_block(3, 4, 4, rng(seed))
        policies = random_class(4, 4, 60, rng(seed + 100))
        result = policy_emulator(
            HybridResets(env, rng(seed + 200)), policies, draws=12, transitions=40, rollouts=40, tau=0.25
        )
        values = env.values(policies)
        errors.append(np.abs(result.values - values).max())
        regrets.append(values.max() - values[result.best])
        spreads.append(np.ptp(values))
    assert np.median(errors) < 0.08
    assert np.median(regrets) < 0.03
    assert np.median(spreads) > 0.2


def test_same_seed_same_answer():
    assert (emulate(5, 7)[0].values == emulate(5, 7)[0].values).all()


class TestSearch:
    @pytest.mark.parametrize("abreast", [1, 4])
    def test_the_balanced_lock(self, abreast):
        H, policies, counts = 4, open_loop(1, 4), []
        for seed in range(400):
            secret = rng(seed).integers(2, size=H)
            access = Online(balanced_lock(secret), rng(seed + 1))
            result = start_only_search(access, policies, rng(seed), accept_after=H + 7, abreast=abreast)
            assert result.episodes == access.spent.starts
            counts.append(result.episodes)
            if result.best != policies.index([[b] for b in secret]):
                counts.pop()  # a coin that fell on heads eleven times
        assert len(counts) > 390
        mean, error = np.mean(counts), np.std(counts) / 20
        assert 2**H + H + 6 - 4 * error < mean < 2**H + H + 6 + 4 * error + 2 * (abreast - 1)

    def test_the_two_latent_lock(self):
        policies, counts = open_loop(1, 5), []
        for seed in range(500):
            secret = rng(seed).integers(2, size=5)
            result = start_only_search(
                Online(two_latent_lock(secret), rng(seed)), policies, rng(seed + 1), accept_after=1
            )
            assert result.best == policies.index([[b] for b in secret])
            counts.append(result.episodes)
        assert np.mean(counts) == pytest.approx((2**5 + 1) / 2, abs=4 * np.std(counts) / np.sqrt(500))

    def test_nothing_to_find(self):
        policies = open_loop(1, 3).subset([0])
        result = start_only_search(Online(two_latent_lock([1, 1, 1]), rng()), policies, rng(), accept_after=1)
        assert result.best is None
        assert result.episodes == 1


def test_bad_input():
    lock, policies = balanced_lock([0, 1]), open_loop(1, 2)
    good = {"draws": 5, "transitions": 1, "rollouts": 5, "tau": 0.2}
    for name in good:
        with pytest.raises(ValueError, match=f"{name} must be"):
            policy_emulator(HybridResets(lock, rng()), policies, **good | {name: 0 if name != "tau" else 0.0})
    with pytest.raises(ValueError, match="policies must be defined on"):
        policy_emulator(HybridResets(lock, rng()), open_loop(2, 2), **good)
    with pytest.raises(BudgetExhausted):
        policy_emulator(HybridResets(lock, rng(), episodes=20), policies, **good)
    for name in ("accept_after", "abreast"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1"):
            start_only_search(Online(lock, rng()), policies, rng(), **{"accept_after": 1} | {name: 0})
