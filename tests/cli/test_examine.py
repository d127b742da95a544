"""``pgtheory examine`` and ``pgtheory list recipes``."""

import json

import pytest
import torch

from pgtheory.cli.main import main
from pgtheory.objectives import RECIPES
from pgtheory.oracle import adapters, effective_scale


def theirs(log_prob, rewards):
    """A library's Dr. GRPO."""
    return -((rewards - rewards.mean(-1, keepdim=True)) * log_prob[..., 0]).mean()


@pytest.fixture(autouse=True)
def no_library(monkeypatch):
    monkeypatch.setattr(adapters, "counterparts", lambda name: [])


def test_a_table(capsys):
    assert main(["examine", "grpo", "rloo", "--group-size", "4", "--p", "0.1", "0.5"]) == 0
    printed = capsys.readouterr().out
    tables = printed.strip().split("\n\n")
    assert [table.splitlines()[0] for table in tables] == ["grpo", "rloo"]
    assert [len(table.splitlines()) for table in tables] == [4, 4]
    assert f"{effective_scale(RECIPES['grpo'], 4, [0.1])[0]:.6f}" in tables[0]
    assert tables[1].count(" 1.000000 ") == 2


def test_a_library_stands_beside_ours(capsys, monkeypatch):
    monkeypatch.setattr(adapters, "counterparts", lambda name: [theirs] if name == "dr-grpo" else [])
    assert main(["examine", "dr-grpo", "grpo", "--p", "0.5", "--json"]) == 0
    assert [one["objective"] for one in json.loads(capsys.readouterr().out)] == ["dr-grpo", "theirs", "grpo"]
    assert main(["examine", "dr-grpo", "--p", "0.5", "--json", "--ours-only"]) == 0
    assert [one["objective"] for one in json.loads(capsys.readouterr().out)] == ["dr-grpo"]


def test_json_of_all(capsys):
    assert main(["examine", "all", "--p", "0.3", "--group-size", "2", "--json"]) == 0
    found = {one["objective"]: one for one in json.loads(capsys.readouterr().out)}
    assert found.keys() == RECIPES.keys()
    (row,) = found["rloo"]["rows"]
    assert (row["at"], row["exact"], row["rises"]) == ("p = 0.3", True, True)
    assert row["scale"] == pytest.approx(1)
    # a zero update has no direction, and JSON no NaN
    assert found["reinforce++"]["group_size"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gppo"], "no recipe 'gppo'; there are: reinforce, rloo, grpo"),
        (["grpo", "--p", "0"], "--p must lie strictly between 0 and 1, got 0"),
        (["grpo", "--p", "0.5", "1"], "--p must lie strictly between 0 and 1, got 1"),
        (["grpo", "--p", "nan"], "--p must lie strictly between 0 and 1, got nan"),
        (["dapo", "--group-size", "1"], "--group-size must be at least 2"),
    ],
)
def test_requests_that_cannot_be_carried_out(capsys, arguments, message):
    assert main(["examine", *arguments]) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert told.out == ""


def test_what_is_undefined_is_null(capsys):
    assert main(["examine", "grpo", "--group-size", "1", "--p", "0.5", "--json"]) == 0
    json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert main(["examine", "rloo", "--group-size", "1", "--p", "0.5", "--json"]) == 0
    json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert torch.is_grad_enabled()


def test_the_list_of_recipes(capsys):
    assert main(["list", "recipes"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "credit", "surrogate", "aggregate", "kl", "paper"]
    assert [line.split()[0] for line in lines] == list(RECIPES)
    (paper,) = [line for line in lines if line.startswith("grpo-paper ")]
    for cell in (
        "GroupZScore(ddof=0, epsilon=1e-12)",
        " Clip  ",
        "sequence_mean",
        "KLPenalty(coefficient=0.04)",
    ):
        assert cell in paper
    assert paper.endswith("arXiv:2402.03300, as written")
    (dapo,) = [line for line in lines if line.startswith("dapo ")]
    assert "Clip(high=0.28, dual=10.0)" in dapo
    assert "SequenceSum(length=1024)" in next(line for line in lines if line.startswith("dr-grpo "))


class TestCounterparts:
    """Which settings go with which recipe, without the libraries themselves."""

    def test_every_one_belongs_to_a_recipe(self):
        assert adapters.COUNTERPARTS.keys() <= RECIPES.keys()

    def test_those_that_cannot_be_imported_are_left_out(self, monkeypatch):
        monkeypatch.undo()
        from pgtheory.oracle.adapters import trl, verl

        monkeypatch.setattr(trl, "trl_objective", lambda **settings: theirs)
        monkeypatch.setattr(verl, "installed", lambda: None)
        assert adapters.counterparts("dr-grpo") == [theirs]
        assert adapters.counterparts("gbpo") == []
