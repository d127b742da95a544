"""Low-rank updates: they alone are learned and saved, and switched off they are the reference."""

import copy
import sys

import pytest
import torch

from pgtheory.deep import checkpoint
from small_llm import Config, WarmUp, evaluate, open_run, train
from small_llm.experience import collect
from small_llm.learner import Learner
from small_llm.opening import prepared
from small_llm.tasks import Problem, task

torch.set_num_threads(1)
pytest.importorskip("peft")
TINY = Config(
    task="add1", steps=2, prompts=4, group_size=4, learning_rate=1e-2, evaluation_problems=32, lora=3
)


def run(config, **options):
    return train(config, progress=False, **options)


def answers(model, tokenizer, problems=4):
    rng, generator = torch.Generator().manual_seed(0), torch.Generator().manual_seed(1)
    numbers = torch.randint(10, (problems, 2), generator=rng).tolist()
    asked = [Problem(f"{a}+{b}=", str(a + b)) for a, b in numbers]
    return collect(
        model, tokenizer, asked, task("add1"), task("add1"), group_size=4, max_new_tokens=3, temperature=1.0,
        generator=generator,
    )  # fmt: skip


def test_nothing_has_changed_before_the_first_step():
    plain, tokenizer = prepared(TINY.replace(lora=None), task("add1"))
    model, _ = prepared(TINY, task("add1"))
    one, other = answers(plain, tokenizer), answers(model, tokenizer)
    assert one.rollouts.texts == other.rollouts.texts
    torch.testing.assert_close(one.rollouts.log_prob, other.rollouts.log_prob, rtol=0, atol=1e-6)
    updates = [name for name, p in model.named_parameters() if p.requires_grad]
    # two matrices beside each of a layer's seven, in two layers, and none beside the head
    assert len(updates) == 2 * 7 * 2
    assert all("lora_" in name for name in updates)
    sizes = {tuple(p.shape) for name, p in model.named_parameters() if "q_proj.lora_A" in name}
    assert sizes == {(3, 64)}


def test_their_start_follows_from_the_seed_alone():
    def first(seed):
        model = prepared(TINY.replace(seed=seed), task("add1"))[0]
        return next(p for name, p in model.named_parameters() if "lora_A" in name)

    torch.manual_seed(4)
    before, one = torch.get_rng_state(), first(0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(5)
    assert torch.equal(first(0), one)
    assert not torch.equal(first(1), one)


def test_only_they_move_and_are_saved(tmp_path):
    config = TINY.replace(folder=str(tmp_path), warm_up=WarmUp(accuracy=0.02, most_steps=200, check_every=10))
    done = run(config)
    warm, _ = prepared(config, task("add1"))
    for (name, p), q in zip(done.model.named_parameters(), warm.parameters(), strict=True):
        assert torch.equal(p, q) != ("lora_" in name), name
    tensors, _ = checkpoint.load(checkpoint.latest(tmp_path))
    assert all("lora_" in name for name in tensors)
    assert len([name for name in tensors if name.startswith("weight/")]) == 28
    elsewhere = tmp_path.rename(tmp_path.with_name("moved"))  # warmed-up weights are found there too
    before = {path.name for path in elsewhere.iterdir()}
    _, model, tokenizer = open_run(elsewhere)
    assert {path.name for path in elsewhere.iterdir()} == before
    for (name, p), q in zip(model.named_parameters(), done.model.parameters(), strict=True):
        assert torch.equal(p, q), name
    assert evaluate(model, tokenizer, task("add1"), problems=32).texts == done.evaluation.texts


def test_switched_off_they_are_the_reference():
    config = TINY.replace(kl=0.5)
    model, tokenizer = prepared(config, task("add1"))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.normal_(0, 0.1, generator=torch.Generator().manual_seed(3))
    experience = answers(model, tokenizer)
    plain, _ = prepared(config.replace(lora=None), task("add1"))
    own = Learner(model, config.objective(3), config).decisions(experience)
    copied = Learner(model, config.objective(3), config, copy.deepcopy(plain)).decisions(experience)
    torch.testing.assert_close(own.log_prob_ref, copied.log_prob_ref, rtol=0, atol=1e-6)
    assert (own.log_prob_ref - own.log_prob_old).abs().max() > 0.01


def test_a_run_resumes_and_learns(tmp_path):
    class Killed(BaseException):
        pass

    def killed(row):
        if row["step"] == 3:
            raise Killed

    config = TINY.replace(steps=4, checkpoint_every=2, kl=0.01)
    whole = run(config)
    resumed = config.replace(folder=str(tmp_path))
    with pytest.raises(Killed):
        run(resumed, callback=killed)
    again = run(resumed)
    assert all(torch.equal(p, q) for p, q in zip(again.model.parameters(), whole.model.parameters()))
    assert float(whole.metrics["policy/kl_reference"][-1]) > 0


def test_half_precision_keeps_one_type():
    done = run(TINY.replace(dtype="bfloat16"))
    assert {p.dtype for p in done.model.parameters()} == {torch.bfloat16}
    assert float(done.metrics["losses/gradient_norm"][-1]) >= 0


def test_without_peft(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModuleNotFoundError, match=r"lora needs peft.*pip install peft"):
        run(TINY)
