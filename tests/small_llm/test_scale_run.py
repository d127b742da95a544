"""The scale run end to end at nano size, also where little is installed and somebody ends it early."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from small_llm import scale as scale_module
from small_llm.__main__ import main
from small_llm.notes import Notes, brief
from small_llm.scale import Plan

torch.set_num_threads(1)
ROOT = Path(__file__).parents[2]
NANO = [
    "scale",
    "--model",
    "nano",
    "--task",
    "add1",
    "--vocabulary",
    "2048",
    "--prompts",
    "4",
    "--commit",
    "abc",
]
# What a machine with no more than PyTorch and transformers may lack: imports fail as where they are not installed.
BARE = """
import sys
from importlib.machinery import PathFinder
gone = {"gymnasium", "xarray", "matplotlib", "numba", "joblib", "psutil", "cloudpickle", "gguf", "peft",
        "accelerate", "reasoning_gym"}
found = PathFinder.find_spec
PathFinder.find_spec = classmethod(
    lambda cls, name, path=None, target=None: None if name.split(".")[0] in gone else found(name, path, target)
)
from small_llm.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def read(path):
    return json.loads(path.read_text())


def test_end_to_end(tmp_path, capsys):
    path = tmp_path / "scale.json"
    assert main([*NANO, "--minutes", "0.05", "--recipes", "grpo,gbpo,r2vpo", "--out", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}\n"
    found = read(path)
    assert found["finished"]
    assert (found["commit"], found["parameters"]) == ("abc", 132288)
    assert found["machine"]["kind"] == "cpu" and found["machine"]["peak"] is None  # noqa: PT018
    assert found["plan"]["learning_rate"] == 1e-4
    assert found["versions"]["torch"] == torch.__version__
    assert found["warm_up"][0] == {"step": 0, "seconds": found["warm_up"][0]["seconds"], "accuracy": 0.0}
    assert list(found["runs"]) == ["grpo", "gbpo", "r2vpo"]
    runs = list(found["runs"].values())
    for run in runs:
        steps = run["steps"]
        assert len(steps["seconds"]) == len(steps["ratio/q99"]) == len(steps["reward/accuracy"]) >= 1
        assert 0 <= run["after"]["accuracy"] <= 1
        assert run["before"] == runs[0]["before"]  # from the same weights,
        assert steps["reward/accuracy"][0] == runs[0]["steps"]["reward/accuracy"][0]  # the same first answers
    assert list(found["failed"]["speed"]["decoding"]) == ["compiled"]  # no time was left for it
    assert list(found["failed"]) == ["speed"]
    speed = found["speed"]
    assert speed["training"]["update/seconds"] >= speed["training"]["gradient/seconds"] * 0.8
    assert speed["training"]["update/mfu"] is None
    assert set(speed["decoding"]) == {"launched", "static"}
    for decoding in speed["decoding"].values():
        assert decoding["tokens_per_second"] * decoding["milliseconds_per_token"] == pytest.approx(
            256e3, rel=1e-4
        )
        assert decoding["share_of_bound"] is None


def test_recipes_start_from_the_same_weights_and_have_equal_time(monkeypatch):
    model = torch.nn.Linear(2, 2)
    start = model.weight.detach().clone()
    asked = []

    def train_for(config, model, tokenizer, seconds, notes, name):
        assert torch.equal(model.weight, start)
        asked.append((config.recipe, seconds))
        with torch.no_grad():
            model.weight.add_(1.0)

    monkeypatch.setattr(scale_module, "train_for", train_for)
    left = iter([9.0, 6.0, 3.0])
    config = Plan(model="nano").config("grpo", "cpu")
    notes = SimpleNamespace(part=lambda name: torch.no_grad())
    scale_module.compare(model, None, ["grpo", "gbpo", "rloo"], config, lambda: next(left), notes, "runs")
    assert asked == [("grpo", 3.0), ("gbpo", 3.0), ("rloo", 3.0)]
    assert torch.equal(model.weight, start)


def test_on_a_bare_machine_and_killed(tmp_path):
    path = tmp_path / "gpu" / "scale.json"
    command = [sys.executable, "-c", BARE, *NANO, "--minutes", "0.4", "--out", str(path)]
    child = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True
    )
    try:
        began = time.monotonic()
        while not (path.exists() and "runs" in read(path)):
            assert child.poll() is None, child.stderr.read()
            assert time.monotonic() - began < 240
            time.sleep(0.1)
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    found = read(path)
    assert not found["finished"]
    assert found["warm_up"]
    assert len(found["runs"]["grpo"]["steps"]["reward/accuracy"]) >= 1
    assert [file.name for file in path.parent.iterdir() if file.suffix == ".json"] == ["scale.json"]


def test_a_part_that_fails_is_named_and_the_others_go_on(tmp_path, capsys):
    notes = Notes(tmp_path / "notes.json", {"a": 1})
    with notes.part("runs/grpo"):
        raise RuntimeError("CUDA out of memory")
    with notes.part("runs/gbpo"):
        notes.put("runs/gbpo", [float("nan"), 1 / 3])
    found = read(tmp_path / "notes.json")
    assert found["failed"] == {"runs": {"grpo": "RuntimeError: CUDA out of memory"}}
    assert found["runs"] == {"gbpo": [None, 0.333333]}
    assert "runs/grpo failed: RuntimeError: CUDA out of memory" in capsys.readouterr().err
    with pytest.raises(KeyboardInterrupt), notes.part("speed"):
        raise KeyboardInterrupt


def test_notes_wait_unless_told(tmp_path):
    notes = Notes(tmp_path / "notes.json", {})
    notes.put("a", 1, now=False)
    assert "a" not in read(tmp_path / "notes.json")
    notes.put("b", 2)
    assert read(tmp_path / "notes.json")["a"] == 1


def test_brief():
    assert brief({"a": (1.23456789, True, None, 3)}) == {"a": [1.23457, True, None, 3]}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model": "2b"}, "model must be one of nano, small, 1b, got '2b'"),
        ({"recipes": "grpo,gprpo"}, "name must be one of"),
        ({"minutes": 0}, "minutes must be"),
        ({"accuracy": 40}, "accuracy must lie in"),
        ({"vocabulary": 10}, "vocabulary must be at least 1000"),
    ],
)
def test_what_cannot_be_is_refused(changes, says):
    with pytest.raises(ValueError, match=says):
        Plan(**changes)


def test_what_a_plan_says_nothing_of_follows_from_the_model():
    assert Plan().config("gbpo", "cpu").dtype == "bfloat16"
    plan = Plan(model="small", learning_rate=1e-2)
    assert (plan.learning_rate, plan.warm_up_rate, plan.prompts) == (1e-2, 1e-3, 32)
    config = plan.config("gbpo", "cpu")
    assert (config.recipe, config.learning_rate, config.epochs, config.dtype) == ("gbpo", 1e-2, 4, "float32")


def test_files_by_device():
    made = {"date": "2026-11-23 15:00 UTC", "machine": {"kind": "cuda", "device": "NVIDIA H100 80GB HBM3"}}
    expected = Path("figures/data/gpu/202611231500-nvidia-h100-80gb-hbm3.json")
    assert scale_module._default_file(made) == expected
