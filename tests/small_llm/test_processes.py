"""Two processes learn what one learns; they save, resume and stop together."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from in_processes import BASE, CASES, ROOT, Sevens, start, trained
from torch.distributed.fsdp import FSDPModule

from pgtheory.deep import checkpoint
from small_llm import engines, open_run, train
from small_llm.experience import collect
from small_llm.opening import prepared
from small_llm.tasks import task

torch.set_num_threads(1)
SCENARIOS = Path(__file__).with_name("in_processes.py")


def run_two(scenario, folder, *rest):
    for code, error in start([sys.executable, str(SCENARIOS), scenario, str(folder), *rest], 2):
        assert code == 0, error[-3000:]


def assert_same(one, other):
    for name, values in one["metrics"].items():
        if name not in ("charts/tokens_per_second", "charts/mfu"):
            np.testing.assert_allclose(other["metrics"][name], values, rtol=1e-5, atol=1e-5, err_msg=name)
    assert one["weights"].keys() == other["weights"].keys()
    for name, values in one["weights"].items():
        torch.testing.assert_close(other["weights"][name], values, rtol=0, atol=1e-5, msg=name)
    assert one["texts"] == other["texts"]


@pytest.mark.parametrize("engine", ["ddp", "fsdp"])
def test_two_processes_learn_what_one_learns(tmp_path, engine):
    run_two("every_case", tmp_path, engine)
    for name, config in CASES[engine].items():
        one = trained(config.replace(sharded=False))
        assert_same(one, torch.load(tmp_path / f"{name}.pt", weights_only=False))
        learned = [key for key in one["weights"] if config.lora is None or "lora_" in key]
        before = {key: p.detach() for key, p in prepared(config, task("add1"))[0].named_parameters()}
        assert max(float((one["weights"][key] - before[key]).abs().max()) for key in learned) > 1e-3
        if config.draws > 1:
            assert max(one["metrics"]["charts/draws"]) > 1


def test_they_save_and_go_on_together(tmp_path):
    run_two("resumed", tmp_path)
    first, second = (json.loads((tmp_path / f"{i}.json").read_text()) for i in range(2))
    assert first == [
        str(tmp_path / f"run-{sharded}" / "metrics.jsonl") for sharded in (False, False, True, True)
    ]
    assert second == ["None"] * 4  # the file is the first one's
    whole = trained(BASE.replace(steps=3, minibatches=1))
    for sharded in (False, True):
        folder = tmp_path / f"run-{sharded}"
        assert_same(whole, torch.load(tmp_path / f"{sharded}.pt", weights_only=False))
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in lines] == [1, 2, 3]
        _, model, _ = open_run(folder)  # whole, in one process
        for name, p in model.named_parameters():
            torch.testing.assert_close(p.detach(), whole["weights"][name], rtol=0, atol=1e-5)


def test_warmed_up_weights_reach_every_process(tmp_path):
    run_two("warmed_up", tmp_path)
    first, second = (torch.load(tmp_path / f"{i}.pt", weights_only=False) for i in range(2))
    cold = dict(prepared(BASE, task("add1"))[0].named_parameters())
    for name, p in first.items():
        assert torch.equal(p, second[name]), name
    assert any(not torch.equal(p, cold[name]) for name, p in first.items())


def test_one_that_stops_stops_all(tmp_path):
    run_two("spoiled", tmp_path)
    first, second = (json.loads((tmp_path / f"{i}.json").read_text()) for i in range(2))
    assert first[0] == second[0]
    assert first[0].startswith("NotFinite: a reward is nan, in step 1 of grpo; its data are in")
    (path,) = (tmp_path / "nan").glob("stopped-*.safetensors")
    rewards = checkpoint.load(path)[0]["rewards"]
    assert rewards.shape == (8, 4)
    assert torch.isfinite(rewards[:4]).all()
    assert torch.isnan(rewards[4:]).all()
    assert first[1] == "Stopped: process 1 stopped: OSError: the verifier's machine is gone"
    assert second[1] == "OSError: the verifier's machine is gone"
    assert first[2].startswith("WarmUpFailed: ")
    assert second[2].startswith("Stopped: process 0 stopped: WarmUpFailed: ")
    says = "ValueError: minibatches * accumulate * processes must divide prompts = 9"
    assert first[3].startswith(says)
    assert second[3].startswith(says)


def test_torchrun_starts_the_command(tmp_path):
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "small_llm",
        "train", "--task", "add1", "--steps", "2", "--prompts", "4", "--evaluation-problems", "8", "--sharded",
        "--warm-up", "0.001", "--folder", str(tmp_path), "--no-progress",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("of 8 held-out problems") == 1
    assert checkpoint.latest(tmp_path).name == "step-000000002.safetensors"


# -- in one process ----------------------------------------------------------------------------------------------


def test_a_share_of_the_prompts_gets_its_share_of_the_random_numbers():
    model, tokenizer = prepared(BASE, task("add1"))
    problems = Sevens().problems(np.random.default_rng(0), 6)

    def collected(begin, end):
        generator = torch.Generator().manual_seed(5)
        options = {"group_size": 3, "max_new_tokens": 7, "temperature": 1.0, "before": begin}
        return collect(
            model, tokenizer, problems[begin:end], Sevens(), Sevens(), generator=generator, **options
        )

    whole = collected(0, 6).rollouts.texts
    assert len(set(whole)) > 12
    assert collected(0, 2).rollouts.texts + collected(2, 6).rollouts.texts == whole


def test_one_process_cannot_divide_a_model():
    with pytest.raises(
        ValueError, match=r"sharded divides a model between processes, and there is one.*torchrun"
    ):
        train(replace(BASE, sharded=True), progress=False)


def test_divided_weights_are_not_sampled_by_a_fixed_program(monkeypatch):
    model, tokenizer = prepared(BASE, task("add1"))
    monkeypatch.setattr(type(model), "device", torch.device("cuda"))
    assert not isinstance(engines.usual(model, tokenizer), engines.TransformersEngine)
    layer = model.get_decoder().layers[0]
    layer.__class__ = type("FSDPLayer", (FSDPModule, type(layer)), {})  # as fully_shard does
    assert isinstance(engines.usual(model, tokenizer), engines.TransformersEngine)
