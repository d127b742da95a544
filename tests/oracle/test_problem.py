"""Problems small enough to list, networks among them, and what is refused."""

import numpy as np
import pytest
import torch
from brute_force import update_law

from pgtheory.objectives import recipe
from pgtheory.oracle import Problem, bandit, contextual_bandit, examine, law, of_module, success, token_tree


def one(answer):
    return 1.0


@pytest.mark.parametrize(
    ("eos", "answers"),
    [
        (None, [(0, 0), (0, 1), (1, 0), (1, 1)]),
        (1, [(1,), (0, 1), (0, 0)]),
    ],
)
def test_a_tree_lists_every_answer_once(eos, answers):
    seen = []
    problem = token_tree(2, 2, lambda answer: float(seen.append(answer) or len(answer)), eos=eos)
    assert sorted(seen) == sorted(answers)
    assert problem.mask.sum(-1)[0].tolist() == [len(answer) for answer in seen]
    theta = np.random.default_rng(0).normal(size=problem.dim)
    assert float(problem.probabilities(problem.check(theta)).sum()) == pytest.approx(1)


def test_a_trees_probabilities_by_hand():
    problem = token_tree(2, 2, one, eos=1)
    logits = torch.tensor([[0.2, -0.4], [1.0, 0.5]]).double()  # at the root, and after 0
    root, after = logits.softmax(-1)
    found = problem.probabilities(logits.ravel())[0]
    assert torch.allclose(found, torch.stack([root[1], root[0] * after[1], root[0] * after[0]]))
    shared = token_tree(2, 2, one, eos=1, shared=True)
    assert shared.dim == 2
    found = shared.probabilities(logits[0])[0]
    assert torch.allclose(found, torch.stack([root[1], root[0] * root[1], root[0] ** 2]))


def test_prompts_of_a_tree_have_logits_of_their_own():
    problem = token_tree(2, 1, [lambda answer: answer[0], lambda answer: 1.0 - answer[0]])
    assert repr(problem) == "<token tree: 2 prompts, 2 answers of up to 1 tokens, 4 parameters>"
    theta = torch.tensor([0.0, 1.0, 0.0, 2.0]).double()
    s = torch.sigmoid(torch.tensor([1.0, -2.0]).double())
    assert float(problem.value(theta)) == pytest.approx(float(s.mean()))
    assert torch.allclose(
        problem.gradient(theta)[:2], torch.stack([-s[0] * (1 - s[0]), s[0] * (1 - s[0])]) / 2
    )


class Recurrent(torch.nn.Module):
    """Three tokens in, a GRU, logits of the next one out."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.embed = torch.nn.Embedding(3, 2)
        self.gru = torch.nn.GRU(2, 3, batch_first=True)
        self.drop = torch.nn.Dropout(dropout)
        self.head = torch.nn.Linear(3, 3)
        self.register_buffer("temperature", torch.tensor([1.5]))

    def forward(self, tokens):
        return self.head(self.drop(self.gru(self.embed(tokens))[0])) / self.temperature


class LastToken(torch.nn.Sequential):
    """Sees the last token alone."""

    def __init__(self):
        super().__init__(torch.nn.Embedding(3, 2), torch.nn.Tanh(), torch.nn.Linear(2, 3))


def listed(padding=0):
    """Token 2 ends an answer of at most two: 2, 02, 12, 00, 01, 10, 11; two prompts."""
    answers = torch.tensor([[2, padding], [0, 2], [1, 2], [0, 0], [0, 1], [1, 0], [1, 1]])
    mask = torch.ones(7, 2, dtype=torch.bool)
    mask[0, 1] = False
    rewards = torch.tensor([[0.0, 1, 1, 0, 0, 0, 1], [1.0, 0, 0, 0, 0, 0, 0]])
    return torch.tensor([[0, 1], [1, 1]]), answers.expand(2, 7, 2), mask.expand(2, 7, 2), rewards


@pytest.mark.parametrize("module", [Recurrent, LastToken])
def test_a_network_as_the_policy(module):
    torch.manual_seed(0)
    network = module()
    prompts, answers, mask, rewards = listed(padding=-100)
    problem, theta = of_module(network, prompts, answers, mask, rewards)
    assert theta.shape == (problem.dim,)
    assert torch.allclose(problem.probabilities(theta).sum(-1), torch.ones(2).double())
    with torch.no_grad():  # in float32, by hand: prompt 0, then 0, 2
        logits = network(torch.tensor([[0, 1, 0]])).log_softmax(-1)[0]
    assert float(problem.probabilities(theta)[0, 1]) == pytest.approx(
        float((logits[1, 0] + logits[2, 2]).exp()), rel=1e-5
    )
    assert float(problem.gradient(theta).norm()) > 1e-3
    found = law(recipe("grpo"), problem, theta, 2)
    update, trace = update_law(recipe("grpo"), problem, theta, 2)
    assert torch.allclose(found.update, update)
    assert found.covariance_trace == pytest.approx(trace)
    assert law(recipe("rloo"), problem, theta, 2).bias < 1e-12


def test_networks_that_are_refused():
    prompts, answers, mask, rewards = listed()
    with pytest.raises(ValueError, match=r"deterministic: call module.eval\(\)"):
        of_module(Recurrent(0.5), prompts, answers, mask, rewards)
    of_module(Recurrent(0.5).eval(), prompts, answers, mask, rewards)
    with pytest.raises(ValueError, match="K >= 1"):
        of_module(LastToken(), prompts[:, :0], answers, mask, rewards)
    with pytest.raises(ValueError, match="mask must have the shape of answers"):
        of_module(LastToken(), prompts, answers, mask[:, :3], rewards)
    with pytest.raises(TypeError, match="module must be a Module"):
        of_module(lambda tokens: tokens, prompts, answers, mask, rewards)
    problem, theta = of_module(LastToken(), prompts, answers[:, :6], mask[:, :6], rewards[:, :6])
    with pytest.raises(ValueError, match="must list every answer once"):
        law(recipe("rloo"), problem, theta, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: success([0.0]), "strictly between 0 and 1"),
        (lambda: success([0.5, 1.0]), "strictly between 0 and 1"),
        (lambda: success(0.5), "p must have shape"),
        (lambda: bandit([1.0, float("nan")]), "rewards must be finite"),
        (lambda: bandit([[1.0, 2.0]]), "rewards must have shape"),
        (lambda: contextual_bandit([1.0, 2.0]), "rewards must have shape"),
        (lambda: token_tree(10, 7, one), "more than 1000000 answers"),
        (lambda: token_tree(10, 10_000, one), "more than 1000000 answers"),
        (lambda: token_tree(2, 2, one, eos=2), "eos must be a token 0..1"),
        (lambda: token_tree(2, 0, one), "length must be at least 1"),
        (lambda: token_tree(2, 1, lambda answer: float("inf")), "rewards must be finite"),
        (lambda: Problem(lambda x: x, np.ones((1, 2)), np.ones((1, 3, 1)), 2), r"mask \[P, M, T\]"),
        (
            lambda: Problem(lambda x: x, torch.full((1, 2), torch.nan), torch.ones(1, 2, 1), 2),
            "must be finite",
        ),
    ],
)
def test_problems_that_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([0.0, 0.0, 0.0], 2), {}, ValueError, r"theta must be a vector \[dim\] = \[2\], got shape \[3\]"),
        (([0.0, float("nan")], 2), {}, ValueError, "theta must be finite, got nan"),
        (([0.0, 0.0], 2), {"theta_old": [1.0]}, ValueError, "theta_old must be a vector"),
        (([0.0, 0.0], 2), {"theta_ref": [[1.0, 2.0]]}, ValueError, "theta_ref must be a vector"),
        (([0.0, 0.0], 0), {}, ValueError, "group_size must be at least 1"),
        (([0.0, 0.0], 2.0), {}, TypeError, "group_size must be an integer"),
        (
            ([0.0, 0.0], 8),
            {"max_terms": 3},
            ValueError,
            "rng must be given: 9 groups are more than max_terms=3",
        ),
        (([0.0, 0.0], 8), {"max_terms": -1}, ValueError, "max_terms must be at least 0"),
        (([0.0, 0.0], 8), {"samples": 3}, ValueError, "samples must be at least 20"),
        (([0.0, 0.0], 8), {"rng": 7}, TypeError, "rng must be a Generator"),
        (([0.0, 0.0], 8), {"together": "no"}, TypeError, "together must be True or False"),
    ],
)
def test_places_that_are_refused(arguments, options, error, message):
    with pytest.raises(error, match=message):
        law(recipe("rloo"), bandit([1.0, 0.0]), *arguments, **options)


def test_what_else_is_refused():
    with pytest.raises(TypeError, match="problem must be a Problem"):
        law(recipe("rloo"), "bandit", [0.0, 0.0], 2)
    with pytest.raises(ValueError, match="theta must be given with a problem"):
        examine(recipe("rloo"), bandit([1.0, 0.0]))
    with pytest.raises(ValueError, match="dynamic sampling would draw for ever"):
        law(recipe("dapo"), bandit([1.0, 1.0]), [0.0, 0.0], 2)
