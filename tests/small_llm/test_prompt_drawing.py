"""Prompts drawn again until groups are mixed: which are kept, and that nothing else changes."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from small_llm import Config, train
from small_llm.drawing import until_mixed
from small_llm.experience import Experience, joined
from small_llm.rollout import Rollouts
from small_llm.tasks import Problem, Task

torch.set_num_threads(1)


def experience(rewards, *, prompt=3, answer=2, first=0):
    """Groups with given rewards, whose tokens say where they are from."""
    rewards = torch.tensor(rewards, dtype=torch.float32)
    P, G = rewards.shape
    place = torch.arange(P * G) + 10 * first
    rollouts = Rollouts(
        (torch.arange(P) + 10 * first)[:, None].expand(P, prompt).clone(),
        torch.ones(P, prompt, dtype=torch.bool),
        place[:, None].expand(P * G, answer).clone(),
        torch.ones(P * G, answer, dtype=torch.bool),
        -place[:, None].float().expand(P * G, answer).clone() - 1,
        place % 2 == 0,
        [str(i) for i in place.tolist()],
    )
    problems = [Problem(f"{10 * first + i}?", "1") for i in range(P)]
    return Experience(problems, rollouts, rewards, float((rewards == 1).float().mean()))


LEVEL, MIXED = [1.0, 1.0], [0.0, 1.0]


def test_mixed_groups_come_first_and_level_ones_fill_up():
    draws = [experience([LEVEL, MIXED, LEVEL], first=0), experience([LEVEL, LEVEL, MIXED], first=1)]
    kept, drawn, count = until_mixed(draws.__getitem__, 3, 2)
    assert count == 2
    assert [p.prompt for p in kept.problems] == ["0?", "1?", "12?"]
    assert kept.mixed.tolist() == [False, True, True]
    assert kept.rollouts.texts == ["0", "1", "2", "3", "14", "15"]
    assert kept.rollouts.prompt_ids[:, 0].tolist() == [0, 1, 12]
    assert kept.rollouts.completion_ids[:, 0].tolist() == [0, 1, 2, 3, 14, 15]
    assert kept.rollouts.log_prob[:, 0].tolist() == [-1, -2, -3, -4, -15, -16]
    assert kept.rollouts.truncated.tolist() == [True, False] * 3
    assert kept.rollouts.groups == 2
    assert drawn.rewards.shape == (6, 2)
    assert drawn.summary()["reward/mixed"] == pytest.approx(1 / 3)


def test_no_more_is_drawn_than_needed():
    asked = []

    def draw(times):
        asked.append(times)
        return experience([MIXED, LEVEL, MIXED], first=times)

    kept, _, count = until_mixed(draw, 3, 5)
    assert asked == [0, 1]
    assert count == 2
    assert kept.mixed.all()
    assert [p.prompt for p in kept.problems] == ["0?", "2?", "10?"]
    full = experience([MIXED, MIXED, MIXED])
    assert until_mixed(lambda times: full, 3, 5) == (full, full, 1)
    one, drawn, count = until_mixed(draw, 3, 1)
    assert one is drawn
    assert count == 1


def test_what_is_joined_is_padded_on_the_right_sides():
    short, long = (
        experience([MIXED], prompt=2, answer=1),
        experience([LEVEL, LEVEL], prompt=4, answer=3, first=1),
    )
    whole = joined([short, long])
    rollouts = whole.rollouts
    assert rollouts.prompt_mask.int().tolist() == [[0, 0, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]
    assert rollouts.completion_mask.int().tolist() == [[1, 0, 0], [1, 0, 0]] + 4 * [[1, 1, 1]]
    assert rollouts.log_prob[0].tolist() == [-1, 0, 0]
    assert whole.accuracy == pytest.approx(5 / 6)
    assert [p.prompt for p in whole.problems] == ["0?", "10?", "11?"]


@dataclass(frozen=True)
class Rare(Task):
    """A seven at the first place is worth something: most groups of two have none."""

    name: str = "rare"
    alphabet: str = "0123456789+="
    max_new_tokens: int = 2

    def draw(self, rng, n):
        return [Problem(f"{'1' * int(k)}=", "7") for k in rng.integers(1, 30, n)]

    def verify(self, problem, completion):
        return float(completion[:1] == "7")

    def vote(self, problem, completion):
        return completion


CONFIG = Config(
    task="add1", recipe="dapo", draws=4, steps=4, prompts=4, group_size=4, learning_rate=1e-2,
    evaluation_problems=8,
)  # fmt: skip


def test_a_run_that_draws_again_resumes_to_the_same_bits(tmp_path):
    class Killed(BaseException):
        pass

    def killed(row):
        if row["step"] == 3:
            raise Killed

    whole = train(CONFIG, task=Rare(), progress=False)
    draws = whole.metrics["charts/draws"].values
    assert draws.max() > 1
    assert draws.max() <= 4
    config = CONFIG.replace(folder=str(tmp_path), checkpoint_every=2)
    with pytest.raises(Killed):
        train(config, task=Rare(), progress=False, callback=killed)
    again = train(config, task=Rare(), progress=False)
    assert all(torch.equal(p, q) for p, q in zip(again.model.parameters(), whole.model.parameters()))
    for name in ("charts/draws", "reward/mean", "losses/total"):
        np.testing.assert_array_equal(again.metrics[name], whole.metrics[name])


def test_more_mixed_groups_are_learned_from():
    norms, mixed = {}, {}
    for draws in (1, 4):
        run = train(CONFIG.replace(draws=draws, steps=8, learning_rate=1e-9), task=Rare(), progress=False)
        norms[draws] = (run.metrics["losses/gradient_norm"].values > 0).mean()
        mixed[draws] = run.metrics["reward/mixed"].values
    assert norms[4] > norms[1]
    # rewards that are shown are those of all answers, not of the groups that were chosen for them
    assert (mixed[4] * CONFIG.prompts % 1 > 0).any()
    assert mixed[4].mean() == pytest.approx(mixed[1].mean(), abs=0.3)
