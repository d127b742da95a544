"""Evaluation plays whole episodes from seeds of its own, and films show what was played."""

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from PIL import Image

from pgtheory.deep.evaluation import Evaluation, evaluate
from pgtheory.deep.stepping import environment_seeds
from pgtheory.deep.video import DrawingError, record


class Counter(gymnasium.Env):
    """Earns its action; ends after ``length`` steps; draws its own clock."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 60}  # noqa: RUF012 - Gymnasium's own way

    def __init__(self, length=5, space=None, render_mode="rgb_array", side=64):
        self.length, self.render_mode, self.side = length, render_mode, side
        self.observation_space = spaces.Box(-np.inf, np.inf, (2, 1))
        self.action_space = space or spaces.Box(-1.0, 1.0, (1,))
        self.seeds, self.taken, self.closed = [], [], False

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.t = 0
        return self.observe(), {}

    def step(self, action):
        self.t += 1
        self.taken.append(action)
        return self.observe(), float(np.sum(action)), self.t == self.length, False, {}

    def observe(self):
        return np.array([[self.t], [0.5]])

    def render(self):
        picture = np.zeros((self.side // 2, self.side, 3), np.uint8)
        picture[:, : 3 * self.t + 1] = 255
        return picture

    def close(self):
        self.closed = True


def half(observations):
    assert observations.shape == (1, 2)
    assert observations.dtype == np.float32
    return np.full((1, 1), 0.5)


def always(value):
    return lambda *_: value


def test_returns_and_lengths_are_those_of_whole_episodes():
    env = Counter()
    result = evaluate(half, lambda: env, episodes=3)
    assert result.returns.tolist() == [2.5, 2.5, 2.5]
    assert result.lengths.tolist() == [5, 5, 5]
    assert env.closed


def test_mean_error_and_interval():
    result = Evaluation(np.array([1.0, 2.0, 6.0]), np.ones(3, int))
    assert result.mean == 3.0
    assert result.standard_error == pytest.approx(np.sqrt(7 / 3))  # variance (4 + 1 + 9) / 2 = 7
    assert result.interval == pytest.approx(
        (3 - 4.302652729 * np.sqrt(7 / 3), 3 + 4.302652729 * np.sqrt(7 / 3))
    )
    one = Evaluation(np.array([1.0]), np.ones(1, int))
    assert one.mean == 1.0
    assert np.isnan([one.standard_error, *one.interval]).all()


def test_seeds_differ_between_episodes_and_from_training():
    env = Counter()
    evaluate(half, lambda: env, episodes=50, seed=3)
    assert len(set(env.seeds)) == 50
    assert not {*env.seeds} & {*environment_seeds(3, 200)}
    again = Counter()
    evaluate(half, lambda: again, episodes=5, seed=3)
    assert again.seeds == env.seeds[:5]
    assert all(0 <= seed < 2**31 for seed in env.seeds)


def test_vectors_are_clipped_and_integers_start_where_the_space_does():
    env = Counter()
    evaluate(lambda o: np.array([[7.0]]), lambda: env, episodes=1)
    assert [a.tolist() for a in env.taken] == [[1.0]] * 5
    assert env.taken[0].dtype == np.float32
    for action in (np.array([2]), np.array([[2.0]], np.float32)):
        env = Counter(space=spaces.Discrete(3, start=4))
        evaluate(always(action), always(env), episodes=1)
        assert env.taken == [6] * 5


def test_random_policies_get_a_generator_of_the_episodes_own():
    def act(observations, rng):
        return rng.uniform(-1, 1, (1, 1))

    one, two = (evaluate(act, Counter, episodes=n, deterministic=False) for n in (2, 3))
    assert one.returns.tolist() == two.returns.tolist()[:2]
    assert len(set(two.returns)) == 3


def test_an_endless_environment_is_stopped():
    env = Counter(length=10**9)
    with pytest.raises(RuntimeError, match=r"max_steps=20; give the environment a time limit"):
        evaluate(half, lambda: env, max_steps=20)
    assert env.closed
    assert len(env.taken) == 20
    assert evaluate(half, lambda: Counter(20), episodes=1, max_steps=20).lengths.tolist() == [20]


def test_mistakes_are_named():
    for actions, what in ((np.zeros(2), "shape"), (np.array([[np.nan]]), "finite")):
        with pytest.raises(ValueError, match=what):
            evaluate(always(actions), Counter)
    for action in (3, -1, 0.5):
        with pytest.raises(ValueError, match=r"action 0\.\.2"):
            evaluate(always(np.array([action])), lambda: Counter(space=spaces.Discrete(3)))
    with pytest.raises(TypeError, match="act must be a function"):
        evaluate(None, Counter)
    with pytest.raises(TypeError, match="environment must be an id"):
        evaluate(half, 3)
    with pytest.raises(TypeError, match=r"environment\(\) must return"):
        evaluate(half, lambda: None)
    with pytest.raises(ValueError, match="episodes"):
        evaluate(half, Counter, episodes=0)


def test_a_gymnasium_id():
    result = evaluate(lambda o: (o[:, 2] > 0).astype(int), "CartPole-v1", episodes=3)
    assert (result.returns == result.lengths).all()
    assert (result.lengths > 15).all()


# -- films ----------------------------------------------------------------------------------------------------


def pictures(path):
    with Image.open(path) as film:
        durations = []
        for k in range(film.n_frames):
            film.seek(k)
            durations.append(film.info["duration"])
        return film.n_frames, film.size, durations


@pytest.mark.parametrize(
    ("length", "fps", "count"),
    [(5, 60, 6), (5, 30, 4), (6, 30, 4), (6, 20, 3), (3, 200, 4)],  # states 0..5; 0 2 4 5; 0 2 4 6; 0 3 6
)
def test_a_gif_has_the_right_pictures_at_the_right_speed(tmp_path, length, fps, count):
    path = record(half, lambda: Counter(length), tmp_path / "a.gif", fps=fps)
    n, size, durations = pictures(path)
    assert n == count
    assert size == (64, 32)
    assert set(durations) == {{60: 20, 200: 20, 30: 30, 20: 50}[fps]}
    assert list(tmp_path.iterdir()) == [path]


def test_a_long_episode_is_cut_and_a_large_picture_scaled(tmp_path):
    path = record(half, lambda: Counter(10**9, side=1000), tmp_path / "a.gif", max_steps=7, fps=60)
    assert pictures(path)[:2] == (8, (400, 200))


def test_a_failure_in_mid_film_leaves_the_previous_one(tmp_path):
    path = tmp_path / "a.gif"
    path.write_text("before")

    def act(observations):
        if observations[0, 0] == 3:
            raise KeyboardInterrupt
        return half(observations)

    env = Counter()
    with pytest.raises(KeyboardInterrupt):
        record(act, lambda: env, path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    assert env.closed


def test_what_cannot_be_drawn_says_what_to_do(tmp_path):
    class Broken(Counter):
        def render(self):
            raise AttributeError("'NoneType' object has no attribute 'eglQueryString'")

    path = tmp_path / "a.gif"
    with pytest.raises(DrawingError, match="Broken cannot be drawn here"):
        record(half, Broken, path)
    scope = {}
    exec(
        compile("def fail(*_): raise AttributeError('glGetError')", "site-packages/mujoco/egl.py", "exec"),
        scope,
    )
    Broken.render = scope["fail"]
    for environment in (Broken, scope["fail"]):  # MuJoCo fails when it draws, or when it is imported
        with pytest.raises(DrawingError, match=r"MUJOCO_GL=egl .* MUJOCO_GL=osmesa"):
            record(half, environment, path)
    with pytest.raises(DrawingError, match="render_mode=None"):
        record(half, lambda: Counter(render_mode=None), path)
    with pytest.raises(ValueError, match=r"path must end in \.gif or \.mp4"):
        record(half, Counter, tmp_path / "a.avi")
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pygame", None)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(DrawingError, match="pip install pygame"):
        record(lambda o: np.array([0]), "CartPole-v1", tmp_path / "a.gif")
    with pytest.raises(ImportError, match="pip install imageio-ffmpeg"):
        record(half, Counter, tmp_path / "a.mp4")


def test_cart_pole_in_a_gif(tmp_path):
    pytest.importorskip("pygame")
    path = record(lambda o: np.array([0]), "CartPole-v1", tmp_path / "a.gif", seed=1)
    steps = evaluate(lambda o: np.array([0]), "CartPole-v1", episodes=1, seed=1).lengths[0]
    n, size, durations = pictures(path)
    assert sum(durations) == 40 * (steps // 2 + 1 + steps % 2)  # 50 states a second, 25 pictures
    assert n > 3  # pictures that do not differ are one in the file
    assert size == (400, 266)


def test_an_mp4(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    path = record(half, lambda: Counter(9, side=128), tmp_path / "a.mp4", fps=60)
    assert ffmpeg.count_frames_and_secs(str(path))[0] == 10
    assert list(tmp_path.iterdir()) == [path]


def test_importing_the_periphery_needs_no_torch():
    code = (
        "import sys, pgtheory.deep.metrics, pgtheory.deep.evaluation, pgtheory.deep.video, pgtheory.deep.progress\n"
        "print([name for name in ('torch', 'xarray', 'gymnasium.envs.mujoco', 'PIL', 'tqdm') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
