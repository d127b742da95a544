"""The table of published runs, spelled out a second time."""

import pytest

from pgtheory.deep import BPO, PPO, Network, preset
from pgtheory.deep.presets import PRESETS

# environment, number, steps each, batch, learning rate, epochs, ε, λ, γ, GAE, gradient norm, steps in all
TABLE = {
    "bpo/ant": ("Ant-v4", 1, 2048, 256, 1e-4, 10, 0.3, 1e-3, 0.99, 0.95, 1.0, 2e7),
    "bpo/hopper": ("Hopper-v4", 4, 512, 32, 9.808e-5, 10, 0.25, 10, 0.999, 0.95, 1.0, 2e7),
    "bpo/humanoid": ("Humanoid-v4", 1, 512, 128, 1e-4, 5, 0.2, 1e-3, 0.99, 0.95, 2.0, 5e7),
    "bpo/humanoid-value": ("Humanoid-v4", 1, 512, 128, 1e-4, 5, 0.2, 1e-2, 0.99, 0.95, 2.0, 5e7),
    "bpo/swimmer": ("Swimmer-v4", 4, 1024, 256, 3e-4, 10, 0.1, 1e-2, 0.9999, 0.98, 1.0, 2e7),
    "ppo/ant": ("Ant-v4", 1, 512, 32, 1.906e-5, 10, 0.1, None, 0.98, 0.8, 0.6, 2e7),
    "ppo/hopper": ("Hopper-v4", 1, 512, 32, 9.808e-5, 5, 0.2, None, 0.999, 0.99, 0.7, 2e7),
    "ppo/humanoid": ("Humanoid-v4", 1, 512, 256, 3.57e-5, 5, 0.3, None, 0.98, 0.9, 2.0, 5e7),
    "ppo/swimmer": ("Swimmer-v4", 4, 1024, 256, 6e-4, 10, 0.1, None, 0.9999, 0.98, 0.5, 2e7),
}


def test_the_table_is_complete():
    assert set(PRESETS) == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_numbers_of_the_table(name):
    found = preset(name)
    a = found.algorithm
    temperature = a.temperature if isinstance(a, BPO) else None
    row = (found.environment, found.n_environments, a.n_steps, a.minibatch, a.learning_rate, a.epochs)
    row += (a.epsilon, temperature, a.discount, a.lam, a.max_grad_norm, found.steps)
    assert row == TABLE[name]
    assert type(a) is (BPO if name.startswith("bpo") else PPO)
    assert found.network == Network(hidden=(256, 256), activation="relu", log_std=0.0)
    assert (a.value_coef, a.entropy_coef, a.anneal) == (0.5, 0.0, False)
    assert (a.n_steps * found.n_environments) % a.minibatch == 0
    assert "2604.18578" in found.source
    if isinstance(a, BPO):
        assert (a.median_coef, a.median_temperature, a.divergence, a.tv_weight) == (0.5, 1.0, "atv", 0.0)
        assert a.use_median is (name != "bpo/humanoid-value")
        assert a.limit is None
    else:
        assert (a.normalise_advantages, a.dual) == (True, None)


def test_defaults_of_the_official_code():
    a = BPO()
    assert (a.learning_rate, a.n_steps, a.minibatch, a.epochs, a.discount, a.lam) == (
        3e-4,
        2048,
        64,
        10,
        0.99,
        0.95,
    )
    assert (a.temperature, a.epsilon, a.value_coef, a.median_coef, a.entropy_coef) == (
        1e-3,
        0.3,
        0.5,
        0.5,
        0.0,
    )
    assert a.max_grad_norm == 1.0


def test_unknown_names_are_refused_with_those_that_exist():
    with pytest.raises(ValueError, match="bpo/hopper"):
        preset("bpo/walker")


def test_a_preset_trains_with_other_settings_given():
    run = preset("bpo/swimmer").train(
        environment="Pendulum-v1",
        algorithm=BPO(n_steps=8, minibatch=8, epochs=1),
        steps=64,
        network=Network((4,)),
        progress=False,
    )
    assert run.steps == 64
    assert len(run.metrics["step"]) == 2  # four environments
