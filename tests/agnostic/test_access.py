"""Access models: what they allow, what they forbid, what they count."""

from dataclasses import replace

import numpy as np
import pytest

from pgtheory.agnostic import LayeredMDP, PolicyClass
from pgtheory.agnostic.access import (
    AccessError,
    BudgetExhausted,
    Generative,
    HybridResets,
    LocalSimulator,
    MuReset,
    Online,
)
from pgtheory.agnostic.instances import balanced_lock, two_latent_lock, worked_mdp
from pgtheory.agnostic.observed import ObservedMDP
from pgtheory.agnostic.problems import context_block, random_class, random_tabular, special_walk
from pgtheory.agnostic.rollouts import follow, play
from pgtheory.agnostic.simulator import Simulator

MODELS = (Online, LocalSimulator, Generative, MuReset, HybridResets)
LOCK = two_latent_lock([1, 0, 1, 1])
TABLE = random_tabular(3, 4, np.random.default_rng(0))


def rng(seed=0):
    return np.random.default_rng(seed)


def public(thing):
    return [name for name in dir(thing) if not name.startswith("_")]


@pytest.mark.parametrize("model", MODELS)
def test_nothing_public_leads_to_the_mdp(model):
    access = model(LOCK, rng())
    values = [getattr(access, name) for name in public(access)]
    observations = access.start(2)
    values += [getattr(observations, name) for name in public(observations)]
    hidden = (ObservedMDP, LayeredMDP, Simulator, np.random.Generator)
    assert not any(isinstance(value, hidden) for value in values)
    assert set(public(access)) <= {
        *("horizon", "n_actions", "views", "spent", "episodes_left", "steps_left"),
        *("start", "step", "restart", "states", "reset"),
    }


@pytest.mark.parametrize(
    "name", ["mdp", "env", "latent", "transitions", "rewards", "resets", "rng", "secret"]
)
@pytest.mark.parametrize("model", MODELS)
def test_peeking_raises(model, name):
    access = model(LOCK, rng())
    with pytest.raises(
        AttributeError, match=f"'{name}' is not for a learner to see: {model.__name__} access offers"
    ):
        getattr(access, name)
    with pytest.raises(AttributeError):
        setattr(access, name, None)


@pytest.mark.parametrize(
    ("model", "forbidden"),
    [
        (Online, ("restart", "states", "reset")),
        (LocalSimulator, ("states", "reset")),
        (Generative, ("reset",)),
        (MuReset, ("restart", "states")),
        (HybridResets, ("states",)),
    ],
)
def test_a_weaker_model_has_no_method_of_a_stronger_one(model, forbidden):
    access = model(LOCK, rng())
    for name in forbidden:
        assert not hasattr(access, name)


@pytest.mark.parametrize("model", MODELS)
def test_an_episode_leaves_where_it_stood(model):
    access = model(LOCK, rng())
    here = access.start(3)
    access.step(here, 0)
    with pytest.raises(AccessError, match="3 of 3 observations were left already"):
        access.step(here, 1)
    again = access.start(2)
    with pytest.raises(AccessError, match="1 of 3 observations were left already"):
        access.step(again[np.array([0, 1, 1])], 1)
    access.step(again, 1)  # the refused step left nobody anywhere


def test_only_what_was_handed_out_here_can_be_returned_to():
    mine, other = LocalSimulator(LOCK, rng()), LocalSimulator(LOCK, rng())
    seen, theirs = mine.start(2), other.start(2)
    for call in (mine.restart, lambda x: mine.step(x, 0)):
        with pytest.raises(AccessError, match="not handed out by this access object"):
            call(theirs)
    with pytest.raises(AccessError, match="not handed out by this access object"):
        mine.restart(replace(seen, layer=3))  # dressed up as one of the last layer
    with pytest.raises(TypeError, match="observations must be a Observations"):
        mine.restart(17)
    assert (mine.spent.restarts, mine.spent.steps) == (0, 0)


def test_a_local_simulator_returns_to_the_same_state():
    access = LocalSimulator(balanced_lock([0, 0, 0, 0]), rng(1))
    _, left = access.step(access.start(), 0)  # still good
    _, lost = access.step(access.start(), 1)  # bad from now on
    policies = PolicyClass([[[0]]] * 4)
    for here, mean in ((left, 1.0), (lost, 0.5)):
        many = access.restart(here[np.zeros(2000, int)])
        assert (many.labels == here.labels[0]).all()
        assert follow(access, many, policies, np.zeros(2000, int)).mean() == pytest.approx(mean, abs=0.05)


def test_a_generative_model_names_states_and_no_fresh_labels():
    access = Generative(TABLE, rng())
    states = access.states(2)
    assert states.views.tolist() == [0, 1, 2]
    with pytest.raises(AccessError, match="left already"):
        access.step(states, 0)  # no episode stands there
    many = access.restart(states[np.repeat([0, 1, 2], 4000)])
    _, reached = access.step(many, 1)
    for s in range(3):
        frequencies = np.bincount(reached.views[s * 4000 : (s + 1) * 4000], minlength=3) / 4000
        assert np.allclose(frequencies, TABLE.mdp.transitions[2][s, 1], atol=0.03)
    with pytest.raises(AccessError, match="cannot be named"):
        Generative(LOCK, rng()).states(0)


def test_resets_are_drawn_from_mu():
    lock = two_latent_lock([1, 1, 1], good=0.2)
    access = MuReset(lock, rng(2))
    here = access.reset(2, 5000)
    reward, after = access.step(here, 1)
    assert after is None
    assert reward.mean() == pytest.approx(0.2, abs=0.02)
    with pytest.raises(ValueError, match=r"layer must be in 0\.\.2, got 3"):
        access.reset(3)
    with pytest.raises(ValueError, match="env must have reset distributions"):
        MuReset(TABLE, rng())


def test_fresh_labels_never_come_again_and_others_do():
    walk = special_walk([0, 1, 0])
    access = Online(walk, rng(3))
    _, second = access.step(access.start(500), 0)
    special = second.views == 0
    assert 0 < special.sum() < 500
    assert len(set(second.labels[special])) == 1
    assert len(set(second.labels[~special])) == (~special).sum()
    assert not set(second.labels[special]) & set(second.labels[~special])


def test_everything_is_counted():
    access = HybridResets(balanced_lock([0, 1, 0]), rng())
    here = access.start(5)
    _, second = access.step(here, 0)
    access.step(second, 1)
    third = access.reset(2, 4)
    access.step(access.restart(third[:2]), 0)
    spent = access.spent
    assert (spent.starts, spent.resets, spent.restarts) == (5, 4, 2)
    assert spent.steps_by_layer == (5, 5, 2)
    assert (spent.episodes, spent.steps) == (11, 12)


def test_a_budget_is_never_exceeded():
    access = HybridResets(LOCK, rng(), episodes=10, steps=7)
    here = access.start(6)
    with pytest.raises(BudgetExhausted, match="5 more episodes asked for, 4 of 10 are left"):
        access.reset(0, 5)
    with pytest.raises(BudgetExhausted, match="5 more episodes asked for, 4 of 10 are left"):
        access.restart(here[:5])
    _, after = access.step(here, 0)
    with pytest.raises(BudgetExhausted, match="6 more steps asked for, 1 of 7 are left"):
        access.step(after, 0)
    access.step(after[:1], 0)  # a refused call changed nothing
    assert (access.episodes_left, access.steps_left) == (4, 0)
    assert Online(LOCK, rng()).episodes_left is None


@pytest.mark.parametrize("limit", [{"episodes": 0}, {"steps": 0}, {"episodes": -3}])
def test_a_budget_of_zero_is_refused(limit):
    with pytest.raises(ValueError, match=f"{next(iter(limit))} must be at least 1"):
        Online(LOCK, rng(), **limit)


@pytest.mark.parametrize("actions", [2, -1, [0, 1], 0.0, [0, 1, 5]])
def test_wrong_actions_are_refused(actions):
    access = Online(LOCK, rng())
    with pytest.raises(ValueError, match="actions must be"):
        access.step(access.start(3), actions)


def test_wrong_arguments_are_refused():
    for wrong in (LOCK.mdp, None):
        with pytest.raises(TypeError, match="env must be a ObservedMDP"):
            Online(wrong, rng())
    with pytest.raises(TypeError, match="rng must be a Generator"):
        Online(LOCK, 3)
    with pytest.raises(ValueError, match="n must be at least 1"):
        Online(LOCK, rng()).start(0)


def test_an_observed_mdp_is_validated():
    mdp, _ = worked_mdp()
    with pytest.raises(ValueError, match=r"emissions\[1\]\[0\] must sum to one"):
        ObservedMDP(mdp, [np.eye(2), [[0.5, 0.4], [0.0, 1.0]]])
    with pytest.raises(ValueError, match="emissions must hold H = 2 arrays"):
        ObservedMDP(mdp, [np.eye(2)])
    with pytest.raises(ValueError, match=r"emissions\[0\] must have at least one view"):
        ObservedMDP(mdp, [np.ones((2, 0)), np.eye(2)])
    with pytest.raises(ValueError, match=r"resets\[0\] must sum to one"):
        ObservedMDP.tabular(mdp, resets=[[0.4, 0.4], [0.5, 0.5]])
    paid = LayeredMDP(mdp.start, mdp.transitions, [r + 1 for r in mdp.rewards])
    with pytest.raises(ValueError, match="pass bernoulli=False"):
        ObservedMDP.tabular(paid)
    assert ObservedMDP.tabular(paid, bernoulli=False).values(worked_mdp()[1])[3] == pytest.approx(2.8)
    with pytest.raises(ValueError, match="policies must be defined on"):
        LOCK.values(worked_mdp()[1])


@pytest.mark.parametrize("env", [TABLE, LOCK, special_walk([1, 0, 1, 1]), context_block(3, 4, 4, rng(1))])
def test_rollouts_have_the_exact_value(env):
    policies = random_class(env.views[0], 4, 3, rng(2))
    values = env.values(policies)
    for i, value in enumerate(values):
        access = Online(env, rng(i))
        which = np.full(20_000, i)
        returns = follow(access, access.start(20_000), policies, which)
        assert returns.mean() == pytest.approx(value, abs=0.016)  # above four standard errors
    access = Online(env, rng())
    episodes = play(access, access.start(50), lambda h, views: policies.actions[h][0, views])
    assert episodes.views.shape == episodes.rewards.shape == (50, 4)


def test_impossible_states_are_never_drawn():
    """A last entry of probability zero, and sums that rounding leaves below one."""
    third = np.full(3, 1 / 3)
    mdp = LayeredMDP(
        [0.1] * 10 + [0.0], [np.tile([*third, 0.0], (11, 1, 1))], [np.zeros((11, 1)), np.zeros((4, 1))]
    )
    access = Online(ObservedMDP.tabular(mdp), rng(4))
    here = access.start(20_000)
    _, after = access.step(here, 0)
    assert set(here.views) == set(range(10))
    assert set(after.views) == {0, 1, 2}
    # the largest uniform number that there is, which no run of this size would meet
    assert access._simulator.first.searchsorted(np.nextafter(1, 0), side="right") == 9


def test_blocks_have_the_values_of_what_they_stand_for():
    lock = balanced_lock([1, 0, 1])
    mdp, resets = lock.blocks(2)
    tables = [[[0] * 6, [1] * 6], [[0] * 6, [0] * 6], [[1] * 6, [1] * 6]]
    alone = PolicyClass([[[row[0]] for row in layer] for layer in tables])
    assert mdp.values([np.array(x) for x in tables]) == pytest.approx(lock.values(alone), abs=1e-15)
    assert [x.sum() for x in resets] == pytest.approx([1, 1, 1])
    assert len(resets[1]) == 6
