"""The continuous lock: its law, its observations, and the environments on it."""

import gymnasium
import numpy as np
import pytest

from pgtheory.hybrid import ClassFeatures, ContinuousLock, Hadamard
from pgtheory.hybrid.lock_env import LockEnv, LockVectorEnv

N = 40_000


def one_hot(lock, h, states):
    return np.eye(10)[lock.secret[h][np.minimum(states, 1)]]


def knowing(lock, wrong_at=None):
    """Plays the secret, read from latent observations; at one step the action after it."""

    def act(h, x):
        a = one_hot(lock, h, x.argmax(1))
        return np.roll(a, 1, axis=1) if h == wrong_at else a

    return act


def uniform(h, x):
    return np.zeros((len(x), 10))


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_a_one_hot_vector_is_nearly_its_latent_action(rng):
    lock = ContinuousLock.draw(3, 0)
    assert lock.greedy_probability == pytest.approx(0.999592, abs=5e-7)
    states = np.zeros(N, np.int64)
    _, _, codes = lock.advance(0, states, np.tile(np.eye(10)[4] * 0.3, (N, 1)), rng)
    p = np.exp(3) / (np.exp(3) + 9)
    assert (codes == 4).mean() == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / N))
    assert np.bincount(codes, minlength=10)[:4] / N == pytest.approx((1 - p) / 9, abs=0.006)


def test_the_temperature_of_the_papers_text_makes_one_hot_vectors_weak():
    lock = ContinuousLock.draw(3, 0, temperature=1.0)
    assert lock.greedy_probability == pytest.approx(np.e / (np.e + 9))


@pytest.mark.parametrize("anti_shaped", ["on-failure", "at-end"])
def test_an_episode_is_what_the_paper_says(anti_shaped, rng):
    lock = ContinuousLock.draw(4, 1, anti_shaped=anti_shaped, observation="latent")
    e = lock.play(
        lambda h, x: rng.normal(0.15, 0.2, (len(x), 10)) + 0.25 * one_hot(lock, h, x.argmax(1)), N, rng
    )
    assert e.rewards.shape == (4, N)
    assert e.observations.shape == (5, N, 3)
    dead = e.states == 2
    assert (dead[1:] >= dead[:-1]).all()  # absorbing
    assert not dead[0].any()
    assert set(np.unique(e.rewards)) == {0.0, 0.1, 1.0}
    right = e.codes == lock.secret[np.arange(4)[:, None], np.minimum(e.states[:-1], 1)]
    assert ((e.states[1:] != 2) == (right & ~dead[:-1])).all()
    assert (e.rewards[-1] == 1).any()
    assert ((e.rewards == 1) == (right & ~dead[:-1] & (np.arange(4) == 3)[:, None])).all()
    alive = e.states[1:][~dead[1:]]
    assert alive.mean() == pytest.approx(0.5, abs=0.03)
    dies = dead[1:] & ~dead[:-1]
    due = dies if anti_shaped == "on-failure" else dead[1:] & (np.arange(4) == 3)[:, None]
    assert not (e.rewards[~due] == 0.1).any()
    assert (e.rewards[due] == 0.1).mean() == pytest.approx(0.5, abs=0.02)
    failing = e.rewards.sum(0)[dead[-1]]
    assert failing.mean() == pytest.approx(0.05, abs=0.002)


@pytest.mark.parametrize("h", [0, 1, 2])
def test_uniform_play_hardly_tells_right_from_wrong(h, rng):
    """Q(good, right) − Q(good, wrong) = .95 · 10^-(H-1-h) when the rest is uniform; H = 3."""
    lock = ContinuousLock.draw(3, 2, observation="latent", temperature=0.02)
    means = []
    for wrong in (False, True):
        told = knowing(lock, wrong_at=h if wrong else None)
        e = lock.play(lambda t, x, told=told: told(t, x) if t <= h else uniform(t, x), 400_000, rng)
        means.append(e.rewards.sum(0).mean())
    assert means[0] - means[1] == pytest.approx(0.95 * 10.0 ** -(2 - h), abs=0.0012)


def test_only_the_secret_opens(rng):
    lock = ContinuousLock.draw(6, 3, observation="latent", temperature=0.02)
    assert lock.play(knowing(lock), 500, rng).success == 1.0
    assert lock.play(knowing(lock, wrong_at=5), 500, rng).success == 0.0


def test_states_are_hidden_by_a_rotation_that_can_be_undone(rng):
    encoder = Hadamard(10)
    M = encoder.rotation
    assert np.array_equal(M @ M.T, len(M) * np.eye(len(M)))
    assert set(np.unique(M)) == {-1, 1}
    states = rng.integers(3, size=N)
    back = encoder.encode(7, states, rng) @ M / len(M)
    noise = back - np.eye(16)[states] - np.eye(16)[3 + 7]
    assert abs(noise[:, 13:]).max() < 1e-12  # the last one-hot entry and the padding carry no noise
    assert noise[:, :13].std(0) == pytest.approx(np.full(13, 0.1), rel=0.03)
    assert abs(noise[:, :13].mean(0)).max() < 0.003


@pytest.mark.parametrize(
    ("horizon", "size"), [(5, 16), (10, 16), (12, 16), (13, 32), (15, 32), (30, 64), (50, 64)]
)
def test_observations_have_a_power_of_two_entries(horizon, size):
    assert Hadamard(horizon).size == size == ContinuousLock.draw(horizon, 0).size


def test_pictures_are_of_the_class_of_state_and_step(rng):
    classes = np.repeat(np.arange(12), 5)
    features = rng.normal(size=(60, 7))
    encoder = ClassFeatures(features, classes, horizon=3)
    lock = ContinuousLock.draw(3, 0, observation=encoder)
    seen = lock.observe(2, np.array([0, 1, 2, 2]), rng)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    found = classes[[int(np.argmin(((unit - row) ** 2).sum(1))) for row in seen]]
    assert found.tolist() == [6, 7, 8, 8]
    assert np.linalg.norm(seen, axis=1) == pytest.approx(1.0)
    drawn = lock.observe(0, np.zeros(2000, np.int64), rng)
    assert len(np.unique(drawn, axis=0)) == 5
    assert lock.play(uniform, 10, rng).observations.shape == (4, 10, 7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClassFeatures(np.ones((9, 2)), np.arange(9), 3), "12 classes, got none of class 9"),
        (lambda: ClassFeatures(np.zeros((12, 2)), np.arange(12), 3), "must not be zero"),
        (lambda: ClassFeatures(np.ones((12, 2)), np.arange(11), 3), "classes must have shape"),
        (lambda: ContinuousLock(np.full((2, 2), 10)), "secret must hold integers 0..9"),
        (lambda: ContinuousLock(np.zeros((0, 2))), "at least one step"),
        (lambda: ContinuousLock.draw(0, 0), "horizon must be at least 1"),
        (lambda: ContinuousLock.draw(2, 0, temperature=0.0), "temperature must be positive"),
        (lambda: ContinuousLock.draw(2, 0, anti_shaped="never"), "anti_shaped must be one of"),
        (lambda: ContinuousLock.draw(2, 0, observation="pixels"), "observation must be 'hadamard', 'latent'"),
        (lambda: Hadamard(3, noise=-1.0), "noise must be non-negative"),
    ],
)
def test_bad_locks_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_locks_with_other_secrets_or_rules_are_other_environments():
    secret = ContinuousLock.draw(3, 0).secret
    names = {
        ContinuousLock(secret, **options).identity
        for options in ({}, {"temperature": 1.0}, {"anti_shaped": "at-end"}, {"observation": "latent"})
    }
    names.add(ContinuousLock.draw(3, 1).identity)
    assert len(names) == 5
    assert ContinuousLock(secret).identity in names


def test_environments_play_the_lock():
    env = gymnasium.make("pgtheory/ContinuousLock-v0", horizon=4, observation="latent")
    lock = env.unwrapped.lock
    for seed in range(5):
        x, info = env.reset(seed=seed)
        for h in range(4):
            assert env.observation_space.contains(x)
            assert x[info["state"]] == 1
            x, reward, terminated, truncated, info = env.step(one_hot(lock, h, x.argmax()[None])[0])
            assert (terminated, truncated) == (h == 3, False)
        assert reward in (0.0, 0.1, 1.0)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.unwrapped.step(np.zeros(10))


def test_the_vector_environment_is_the_single_one_many_times():
    lock = ContinuousLock.draw(5, 0)
    many = gymnasium.make_vec(
        "pgtheory/ContinuousLock-v0", num_envs=7, vectorization_mode="vector_entry_point", lock=lock
    )
    assert isinstance(many, LockVectorEnv)
    x, _ = many.reset(seed=1)
    again = LockVectorEnv(7, lock)
    assert np.array_equal(again.reset(seed=1)[0], x)
    e = lock.play(lambda h, x: x[:, :10], 7, np.random.default_rng(1))
    for t in range(11):
        y, rewards, terminated, truncated, info = many.step(x[:, :10])
        assert many.observation_space.contains(y)
        assert terminated.all() == (t % 5 == 4)
        assert not truncated.any()
        if t < 4:
            assert np.array_equal(y, e.observations[t + 1])
            assert np.array_equal(rewards, e.rewards[t])
        if t == 4:
            assert np.array_equal(info["final_obs"], e.observations[5])
        x = y


def test_environments_refuse_what_they_cannot_play():
    env = LockEnv(horizon=2)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action must have shape"):
        env.step(np.zeros(9))
    with pytest.raises(ValueError, match="action must be finite"):
        env.step(np.full(10, np.nan))
    with pytest.raises(TypeError, match="got one already"):
        LockEnv(ContinuousLock.draw(2, 0), temperature=1.0)
    with pytest.raises(TypeError, match="seed must be one integer"):
        LockVectorEnv(2, horizon=2).reset(seed=[1, 2])
