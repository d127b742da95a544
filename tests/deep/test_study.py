"""The grid of learning curves, on tiny runs."""

import numpy as np
import pytest
import torch
import xarray

from pgtheory.deep import BPO, PPO, Run, study

torch.set_num_threads(1)


def canned(monkeypatch, steps, **columns):
    """Training that returns these columns; returns what it was called with."""
    calls = []
    data = {key: ("step", np.asarray(value, float)) for key, value in columns.items()}
    dataset = xarray.Dataset(data, coords={"step": steps})

    def train(*arguments, **options):
        calls.append((*arguments, options))
        return Run(None, dataset, steps[-1])

    monkeypatch.setattr(study, "train", train)
    return calls


def test_the_grid(monkeypatch):
    steps = [20, 40, 60, 80, 100, 120]
    one = np.arange(1.0, 7)
    quantiles = {f"ratio/{name}": k * one for k, name in enumerate(("q50", "q90", "q99", "max"), 1)}
    returns = [np.nan, 2.0, 3.0, 4.0, 5.0, 6.0]
    calls = canned(monkeypatch, steps, **{"charts/return": returns, "charts/fps": 10 * one}, **quantiles)
    found = study.curve("CartPole-v1", "ppo", 3, 110, points=11)
    # parts end at 10, 20, …, 110; the update that ends at 120 belongs to the last
    np.testing.assert_array_equal(found["return"], [np.nan] * 3 + [2, 2, 3, 3, 4, 4, 5, 5])
    np.testing.assert_array_equal(found["fps"], [np.nan, 10, 10, 20, 20, 30, 30, 40, 40, 50, 50])
    part = np.array([np.nan, 1, np.nan, 2, np.nan, 3, np.nan, 4, np.nan, 5, 6])
    np.testing.assert_array_equal(found["ratio_q50"], part)
    np.testing.assert_array_equal(found["ratio_max"], 4 * part)
    coarse = study.curve("CartPole-v1", "ppo", 3, 110, points=2)
    np.testing.assert_allclose(coarse["ratio_q90"], [2 * 1.5, 2 * 4.5])  # 20, 40 | 60, 80, 100, 120
    algorithm, environment, options = calls[0]
    assert (environment, options["seed"], options["steps"], options["n_environments"]) == (
        "CartPole-v1",
        3,
        110,
        8,
    )
    assert algorithm == study.matched("ppo", "classic")


def test_presets_bring_their_own_numbers(monkeypatch):
    columns = ("charts/return", "charts/fps", *(f"ratio/{name}" for name in ("q50", "q90", "q99", "max")))
    calls = canned(monkeypatch, [10], **{key: [1.0] for key in columns})
    study.curve("Hopper-v5", "bpo/hopper", 0, 10, points=1)
    algorithm, environment, options = calls[0]
    assert (environment, options["n_environments"]) == ("Hopper-v5", 4)
    assert algorithm.temperature == 10.0
    assert options["network"].hidden == (256, 256)
    study.curve("Hopper-v5", "bpo", 0, 10, points=1)
    assert calls[1][0] == study.matched("bpo", "mujoco")


@pytest.mark.parametrize("kind", ["classic", "mujoco"])
def test_matched_methods_differ_in_nothing_but_the_method(kind):
    ppo, bpo, value = (study.matched(method, kind) for method in ("ppo", "bpo", "bpo-value"))
    assert isinstance(ppo, PPO)
    assert isinstance(bpo, BPO)
    shared = ("n_steps", "minibatch", "epochs", "learning_rate", "discount", "lam", "value_coef")
    for name in (*shared, "entropy_coef", "max_grad_norm", "anneal", "epsilon"):
        assert getattr(ppo, name) == getattr(bpo, name) == getattr(value, name)
    assert (bpo.use_median, value.use_median) == (True, False)
    assert (ppo.discount, ppo.lam, ppo.entropy_coef) == (0.99, 0.95, 0.0)
    with pytest.raises(ValueError, match="method must be ppo"):
        study.matched("sac", kind)


def test_a_tiny_run():
    found = study.curve("CartPole-v1", "bpo", 0, 1024, points=2)
    assert set(found) == {"return", "fps", "ratio_q50", "ratio_q90", "ratio_q99", "ratio_max"}
    for name, values in found.items():
        assert values.shape == (2,)
        assert np.isfinite(values[1]), name
    assert (found["ratio_q50"] <= found["ratio_max"])[1]
