"""Offline data: the door, the behaviour that the paper collects them with, coverage, and Minari files."""

import numpy as np
import pytest

from pgtheory.hybrid import (
    ContinuousLock,
    OfflineData,
    Transitions,
    collect,
    coverage,
    read_minari,
    write_minari,
)
from pgtheory.hybrid.offline import behaviour_success, density_ratio


def rows(n=4, size=3, k=10, **changes):
    columns = {
        "observations": np.zeros((n, size)),
        "actions": np.zeros((n, k)),
        "rewards": np.zeros(n),
        "next_observations": np.zeros((n, size)),
    }
    return Transitions(**columns | changes)


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        ([], ValueError, "at least one step, got none"),
        ([rows(), rows(0)], ValueError, r"steps\[1\] must hold at least one transition"),
        ([rows(), rows(k=9)], ValueError, r"steps\[1\].actions must have shape \[4, 10\]"),
        ([rows(size=3), rows(size=4)], ValueError, r"steps\[1\].observations must have shape \[4, 3\]"),
        (
            [rows(rewards=np.array([0, 0, np.nan, 0]))],
            ValueError,
            r"steps\[0\].rewards must be finite, got nan at \(2,\)",
        ),
        ([rows(actions=np.full((4, 10), np.inf))], ValueError, "actions must be finite"),
        ([rows(rewards=np.zeros(3))], ValueError, "must have shape"),
        ([rows(next_observations=np.zeros((4, 2)))], ValueError, "as long as observations"),
        ([np.zeros((4, 3))], TypeError, r"steps\[0\] must be Transitions"),
        ([rows(rewards=np.array(["a"] * 4))], TypeError, "rewards must hold real numbers"),
    ],
)
def test_bad_data_are_refused(steps, error, message):
    with pytest.raises(error, match=message):
        OfflineData(steps, "somewhere")


def test_data_say_where_they_are_from():
    with pytest.raises(ValueError, match="environment must say where"):
        OfflineData([rows()], "")
    lock = ContinuousLock.draw(3, 0, observation="latent")
    OfflineData([rows()] * 3, lock.identity).check(lock)
    for steps, where, message in (
        ([rows()] * 2, lock.identity, "3 steps of the lock, got 2, steps 2..2 are missing"),
        ([rows()] * 4, lock.identity, "3 steps of the lock, got 4"),
        ([rows(size=8)] * 3, lock.identity, "observations of length 3, got 8"),
        ([rows(k=4)] * 3, lock.identity, "actions of length 10, got 4"),
        ([rows()] * 3, "CartPole-v1", "got data from CartPole-v1"),
        (
            [rows()] * 3,
            ContinuousLock.draw(3, 1, observation="latent").identity,
            "must be from this environment",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            OfflineData(steps, where).check(lock)


@pytest.mark.parametrize(
    ("horizon", "success", "plain", "ratio"),
    [(5, 0.370002, 0.327680, 2.6973), (10, 0.387846, None, None), (15, 0.392894, None, None),
     (30, 0.396139, None, None), (50, 0.395113, 0.364170, 2.4799)],
)  # fmt: skip
def test_what_the_behaviour_achieves(horizon, success, plain, ratio):
    lock = ContinuousLock.draw(horizon, 0)
    assert behaviour_success(lock) == pytest.approx(success, abs=5e-7)
    if plain is not None:
        assert (1 - 1 / horizon) ** horizon == pytest.approx(plain, abs=5e-7)
        assert density_ratio(horizon) == pytest.approx(ratio, abs=5e-5)


def test_the_density_ratio_has_a_limit():
    assert density_ratio(10**7) == pytest.approx(np.exp(0.9), rel=1e-6)
    assert np.exp(0.9) == pytest.approx(2.4596, abs=5e-5)


def test_collected_data_are_the_behaviours():
    lock = ContinuousLock.draw(5, 0, observation="latent")
    data = collect(lock, 40_000, np.random.default_rng(1), dtype=np.float64)
    assert len(data) == 200_000
    data.check(lock)
    report = coverage(data, lock)
    p = behaviour_success(lock)
    assert report.success == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / 40_000))
    assert report.worst == report.ratio.max() == report.ratio[-1].max()
    assert report.ratio[-1].mean() == pytest.approx(density_ratio(5), rel=0.03)
    assert report.ratio[0].mean() == pytest.approx(1 / 0.82, rel=0.02)
    for h, step in enumerate(data.steps):
        right = np.eye(10)[lock.secret[h][np.minimum(step.states, 1)]]  # dead: what is right in state 1
        told = (step.actions == right).all(1)
        assert told.mean() == pytest.approx(0.8, abs=0.01)
        assert told[step.states == 2].mean() == pytest.approx(0.8, abs=0.03) if h else True
        strays = step.actions[~told]
        assert 0 <= strays.min() < 0.01 < 0.99 < strays.max() <= 1
        if h < 4:
            assert np.array_equal(step.next_observations, data.steps[h + 1].observations)


def test_coverage_needs_latent_states():
    lock = ContinuousLock.draw(2, 0, observation="latent")
    with pytest.raises(ValueError, match="step 0 does not"):
        coverage(OfflineData([rows()] * 2, lock.identity), lock)


def test_what_is_not_covered_has_an_infinite_ratio():
    lock = ContinuousLock.draw(3, 0, observation="latent")
    data = collect(lock, 5, np.random.default_rng(0), epsilon=1.0)
    assert coverage(data, lock).worst == np.inf


def test_samples_come_from_their_own_step():
    steps = [
        rows(n, rewards=h + np.zeros(n), observations=np.full((n, 3), h)) for h, n in enumerate((2, 9, 5))
    ]
    batch = OfflineData(steps, "x").sample(50, np.random.default_rng(0))
    assert batch.observations.shape == (3, 50, 3)
    assert (batch.rewards == np.arange(3)[:, None]).all()
    assert (batch.observations[..., 0] == batch.rewards).all()
    numbered = OfflineData([rows(9, rewards=np.arange(9.0))], "x").sample(200, np.random.default_rng(0))
    assert set(numbered.rewards[0]) == set(range(9))


class TestMinari:
    @pytest.fixture(autouse=True)
    def _installed(self):
        pytest.importorskip("minari")
        pytest.importorskip("h5py")

    @pytest.fixture
    def lock(self):
        return ContinuousLock.draw(4, 0, anti_shaped="at-end")

    def test_what_is_written_is_read(self, lock, tmp_path):
        data = collect(lock, 20, np.random.default_rng(0))
        path = write_minari(data, tmp_path / "lock", lock)
        assert [p.name for p in tmp_path.iterdir()] == ["lock"]
        back = read_minari(path)
        back.check(lock)
        for a, b in zip(data.steps, back.steps):
            assert all(np.array_equal(x, y) for x, y in zip(a, b))
        assert coverage(back, lock).worst == coverage(data, lock).worst

    def test_minari_itself_reads_it(self, lock, tmp_path):
        import minari

        data = collect(lock, 3, np.random.default_rng(0))
        dataset = minari.MinariDataset(write_minari(data, tmp_path / "lock", lock))
        assert (dataset.total_episodes, dataset.total_steps) == (3, 12)
        assert dataset[0].terminations.tolist() == [False, False, False, True]
        made_again = dataset.recover_environment().unwrapped.lock
        assert made_again.identity == lock.identity
        assert read_minari(dataset).environment == lock.identity

    def test_another_environments_data_are_noticed(self, lock, tmp_path):
        other = ContinuousLock.draw(4, 1, anti_shaped="at-end")
        data = collect(other, 3, np.random.default_rng(0))
        with pytest.raises(ValueError, match="must be from this environment"):
            write_minari(data, tmp_path / "lock", lock)
        back = read_minari(write_minari(data, tmp_path / "lock", other))
        with pytest.raises(ValueError, match="must be from this environment"):
            back.check(lock)

    def test_files_are_refused_that_do_not_fit(self, lock, tmp_path):
        import minari
        from minari.data_collector import EpisodeBuffer
        from minari.dataset.minari_storage import MinariStorage

        from pgtheory.hybrid.lock_env import lock_spaces

        def dataset(name, lengths, reward=0.0):
            seen, acting = lock_spaces(lock)
            (tmp_path / name).mkdir()
            storage = MinariStorage.new(tmp_path / name, seen, acting)
            storage.update_metadata({"dataset_id": "some/data-v0", "minari_version": minari.__version__})
            storage.update_episodes(
                EpisodeBuffer(
                    id=i, observations=np.zeros((n + 1, lock.size)), actions=np.zeros((n, 10)),
                    rewards=np.full(n, reward), terminations=np.arange(n) == n - 1, truncations=np.zeros(n, bool),
                )
                for i, n in enumerate(lengths)
            )  # fmt: skip
            return tmp_path / name

        fine = read_minari(dataset("fine", [4, 4]))
        assert fine.environment == "unknown"
        assert fine.steps[0].states is None
        for name, lengths, reward, message in (
            ("short", [4, 3], 0.0, "episodes of 3 to 4 steps"),
            ("none", [], 0.0, "no episodes"),
            ("nan", [4], np.nan, "rewards must be finite"),
        ):
            with pytest.raises(ValueError, match=message):
                read_minari(dataset(name, lengths, reward))

    def test_nothing_is_half_written(self, lock, tmp_path, monkeypatch):
        data = collect(lock, 3, np.random.default_rng(0))
        write_minari(data, tmp_path / "lock", lock)
        with pytest.raises(FileExistsError, match="choose another path"):
            write_minari(data, tmp_path / "lock", lock)
        loose = OfflineData(
            [step._replace(observations=step.observations[::-1]) for step in data.steps], lock.identity
        )
        with pytest.raises(ValueError, match="step 0 does not lead to"):
            write_minari(loose, tmp_path / "loose", lock)
        monkeypatch.setattr("pgtheory.hybrid.minari_files._buffers", lambda *_: iter([None]))
        with pytest.raises(AttributeError):
            write_minari(data, tmp_path / "broken", lock)
        assert [p.name for p in tmp_path.iterdir()] == ["lock"]
