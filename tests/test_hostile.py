"""Hostile input at every public door: refused with a message that names the argument and says what is wrong."""

import json
import tempfile
from pathlib import Path

import gymnasium
import matplotlib as mpl
import numpy as np
import pytest
from scipy import sparse

import pgtheory as pg
from pgtheory import FiniteMDP, LogLinear, TabularSoftmax, evidence, make, plots, symbolic
from pgtheory.mdp import FiniteMDPEnv, backward_induction, evaluate, from_gymnasium, layered, unroll
from pgtheory.problems import landscape, routes

mpl.use("agg")

NAN, INF = float("nan"), float("inf")
P, R = np.full((2, 2, 2), 0.5), np.zeros((2, 2))
ENDS = np.broadcast_to([0.0, 1.0], (2, 2, 2))  # everything leads to state 1
TWO, CHAIN, GRID = make("two-state"), make("chain"), make("gridworld")
MASKED = FiniteMDP(P, R, 0.9, actions=[[1, 0], [1, 1]])
EXACT, SHORT = pg.ExactProblem(TWO), pg.ExactProblem(TWO, horizon=2)
ZERO, FLAT, EVEN = np.zeros(4), np.zeros(GRID.n_states), np.full((2, 2), 0.5)
LOG_LINEAR = pg.ExactProblem(TWO, LogLinear(np.ones((2, 2, 4))))
J = symbolic.softmax_return(TWO, 1)
RNG = np.random.default_rng(0)


def mdp(P=P, rewards=R, discount=0.9, start=None, **options):
    return FiniteMDP(P, rewards, discount, start, **options)


def successors(*arguments):
    return FiniteMDP.from_successors(*arguments, 0.9)


def broken(array, where, value):
    """A copy of ``array`` with one entry changed."""
    copy = np.array(array)
    copy[where] = value
    return copy


def malformed(matrix=None, **parts):
    """A sparse matrix some of whose arrays were replaced behind SciPy's back."""
    matrix = sparse.csr_array(P.reshape(4, 2)) if matrix is None else matrix
    for name, part in parts.items():
        setattr(matrix, name, np.asarray(part, np.float64 if name == "data" else np.int32))
    return matrix


def layout(*rows, **options):
    return make("gridworld", layout=rows, **options)


def axes():
    from matplotlib.figure import Figure

    return Figure().subplots()


def env(name_or_mdp, *actions, state=0):
    environment = FiniteMDPEnv(name_or_mdp)
    environment.reset(seed=0, options={"state": state})
    return [environment.step(action) for action in actions]


class Published(gymnasium.Env):
    """Publishes a transition table of two states and one action."""

    observation_space, action_space = gymnasium.spaces.Discrete(2), gymnasium.spaces.Discrete(1)

    def __init__(self, table, start=(1.0, 0.0)):
        self.P, self.initial_state_distrib = table, start


def published(p=1.0, successor=0, start=(1.0, 0.0)):
    return from_gymnasium(Published({s: {0: [(p, successor, 0.0, False)]} for s in (0, 1)}, start))


def corrupted_result():
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            evidence.run(draw, {}, 1, folder=folder, progress=False)
            (file,) = Path(folder).iterdir()
            file.write_bytes(file.read_bytes()[:-50])


def draw(rng):
    return {"x": rng.normal()}


def truncated_ledger():
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder) / "claims.json"
        ledger.write_text(json.dumps({"claims": []})[:-3])
        evidence.read_ledger(ledger)


def unwritable_figures():
    with tempfile.NamedTemporaryFile() as file:
        evidence.figures.save(axes().figure, file.name, "rate", data={"x": [1.0]}, caption="c", rtol=0.1)


HUGE, NEGATIVE = [0, 1, 0, 1, 0, 99_999_999, 0, 1], [0, 1, 0, 1, 0, -1, 0, 1]
OUTSIDE = malformed(sparse.coo_array(P.reshape(4, 2)), coords=([77] + [0] * 7, [0] * 8))
CSC = malformed(sparse.csc_array(P.reshape(4, 2)), indices=[0, 1, 2, 3, 0, 1, 2, 9])

# fmt: off
TABLE = {
    # -- transitions
    "P NaN": (lambda: mdp(broken(P, (0, 1, 0), NAN)), ValueError,
     r"P must be finite, got P\[0, 1, 0\] = nan"),
    "P inf": (lambda: mdp(broken(P, (0, 0, 0), INF)), ValueError,
     r"P must be finite, got P\[0, 0, 0\] = inf"),
    "P negative": (lambda: mdp(broken(P, (1, 0), [-0.5, 1.5])), ValueError,
     r"P must be non-negative, got -0.5 in row \(state 1, action 0\)"),
    "P sums to 1.01": (lambda: mdp(broken(P, (1, 0, 0), 0.51)), ValueError,
     r"rows of P must sum to one: row \(state 1, action 0\) sums to 1.01, off by \+0.01$"),
    "P several rows off": (lambda: mdp(broken(P, (slice(2), 0, 0), [0.52, 0.4])), ValueError,
     r"\(state 1, action 0\) sums to 0.9, off by -0.1; 1 more rows are off"),
    "P overflows": (lambda: mdp(broken(P, (0, 0), 1e308)), ValueError, r"\(state 0, action 0\) sums to inf"),
    "P no states": (lambda: mdp(np.zeros((0, 2, 0)), np.zeros((0, 2))), ValueError,
     "P must have at least one state"),
    "P no actions": (lambda: mdp(np.zeros((2, 0, 2)), np.zeros((2, 0))), ValueError,
     "P must have at least .* one action"),
    "P ragged": (lambda: mdp([[[0.5, 0.5], [1.0]]] * 2), ValueError,
     "P must be a rectangular array, got a ragged"),
    "P None": (lambda: mdp(None), TypeError, "P must hold real numbers, got dtype object"),
    "P object": (lambda: mdp(P.astype(object)), TypeError, "P must hold real numbers, got dtype object"),
    "P complex": (lambda: mdp(P.astype(complex)), TypeError,
     "P must hold real numbers, got dtype complex128"),
    "P strings": (lambda: mdp(P.astype(str)), TypeError, "P must hold real numbers, got dtype <U"),
    "P booleans": (lambda: mdp(P > 0), TypeError, "P must hold real numbers, got dtype bool"),
    "P masked": (lambda: mdp(np.ma.masked_array(P, P == P)), ValueError,
     "P must have no masked entries; fill"),
    "P two axes": (lambda: mdp(P[0]), ValueError, r"P must have shape \[S, A, S\] .* got \[2, 2\]"),
    "P not square": (lambda: mdp(np.full((2, 2, 3), 1 / 3)), ValueError,
     r"P must .* got \[2, 2, 3\]: first and last"),
    "P float32 off": (lambda: mdp((P + 2e-4).astype(np.float32)), ValueError, "sums to 1.000399.*off by"),
    # -- sparse transitions
    "CSR rows": (lambda: mdp(sparse.csr_array(np.full((5, 2), 0.5))), ValueError,
     r"\[S\*A, S\], got \[5, 2\]: 5 is no mult"),
    "CSR against rewards": (lambda: mdp(malformed(), np.zeros((2, 3))), ValueError,
     r"rewards must .* \[2, 2\] to match sparse P"),
    "CSR empty": (lambda: mdp(sparse.csr_array((0, 2))), ValueError, "P must have at least one state"),
    "CSR index huge": (lambda: mdp(malformed(indices=HUGE)), ValueError,
     "P points to state 99999999, but there are only 2"),
    "CSR index negative": (lambda: mdp(malformed(indices=NEGATIVE)), ValueError, "P points to state -1"),
    "CSR indptr falls": (lambda: mdp(malformed(indptr=[0, 2, 1, 6, 8])), ValueError,
     "P is not a valid CSR array: indptr"),
    "CSR indptr falls to 0": (lambda: mdp(malformed(indptr=[0, 5, 0, 0, 0])), ValueError,
     "P is not a valid CSR array: indptr"),
    "CSR indptr past the end": (lambda: mdp(malformed(indptr=[0, 2, 4, 6, 800])), ValueError,
     "P is not a valid CSR array"),
    "CSR indptr start": (lambda: mdp(malformed(indptr=[1, 2, 4, 6, 8])), ValueError,
     "P is not a valid CSR array.*start"),
    "CSR data short": (lambda: mdp(malformed(data=[0.5] * 5)), ValueError,
     "P is not a valid CSR array.*same size"),
    "CSR NaN": (lambda: mdp(malformed(data=[NAN] * 8)), ValueError, "P must be finite, got nan in row 0"),
    "CSR negative": (lambda: mdp(malformed(data=[0.5, 0.5, 1.5, -0.5] * 2)), ValueError,
     r"-0.5 in row \(state 0, action 1\)"),
    "CSR sums to 1.01": (lambda: mdp(malformed(data=[0.5] * 7 + [0.51])), ValueError,
     r"\(state 1, action 1\) sums to 1.01, off by \+0.01"),
    "CSR complex": (lambda: mdp(malformed().astype(complex)), TypeError,
     "P must hold real numbers, got dtype complex"),
    "COO row outside": (lambda: mdp(OUTSIDE), ValueError, "P is not a valid COO array: axis 0 index 77"),
    "CSC row outside": (lambda: mdp(CSC), ValueError, "P is not a valid CSC array: indices must be < 4"),
    "COO one axis": (lambda: mdp(sparse.coo_array(np.ones(4))), ValueError,
     r"sparse P must have shape \[S\*A, S\], got \[4\]"),
    "successors outside": (lambda: successors([[[5]]], [[[1.0]]], [[0.0]]), ValueError,
     r"successors must be states 0\.\.0, got 5"),
    "successors floats": (lambda: successors([[[0.0]]], [[[1.0]]], [[0.0]]), ValueError,
     "successors must be an integer array"),
    "successors ragged": (lambda: successors([[[0]], [[0, 1]]], R, R), ValueError,
     "successors must be a rectangular"),
    "successors shape": (lambda: successors([[[0]]], [[[0.5, 0.5]]], [[0.0]]), ValueError,
     r"probabilities must have shape .* \[1, 1, 1\]"),
    "successors cancel": (lambda: successors([[[0, 0]]], [[[2.0, -1.0]]], [[0.0]]), ValueError,
     "probabilities must be non-negative, got -1"),
    # -- rewards
    "rewards NaN": (lambda: mdp(rewards=broken(R, (1, 1), NAN)), ValueError,
     r"rewards must be finite, got rewards\[1, 1\]"),
    "rewards ragged": (lambda: mdp(rewards=[[0.0], [0.0, 1.0]]), ValueError,
     "rewards must be a rectangular array"),
    "rewards shape": (lambda: mdp(rewards=np.zeros((3, 2))), ValueError,
     r"rewards must have shape \[S, A\] = \[2, 2\], got \[3, 2\]"),
    "rewards three axes": (lambda: mdp(rewards=np.zeros((2, 2, 3))), ValueError,
     r"rewards must have shape \[S, A, S\] = \[2, 2, 2\]"),
    "rewards strings": (lambda: mdp(rewards=[["a", "b"]] * 2), TypeError, "rewards must hold real numbers"),
    "rewards sparse beside dense": (lambda: mdp(rewards=sparse.csr_array(R)), TypeError,
     "rewards may be sparse only beside a sparse P"),
    "rewards sparse shape": (lambda: mdp(malformed(), sparse.csr_array((3, 2))), ValueError,
     r"rewards must have shape \[4, 2\] like sparse P"),
    "rewards sparse malformed": (lambda: mdp(malformed(), malformed(indices=NEGATIVE)), ValueError,
     "rewards points to state -1"),
    "rewards sparse complex": (lambda: mdp(malformed(), malformed().astype(complex)), TypeError,
     "rewards must hold real"),
    "rewards overflow": (lambda: mdp(rewards=R + 1e308), ValueError,
     "rewards must be small enough for values to stay finite"),
    # -- discount, start, horizon, masks, terminal states, grid
    "discount 1": (lambda: mdp(discount=1.0), ValueError,
     r"discount must be in \[0, 1\), got 1.0; .*pass horizon=H"),
    "discount negative": (lambda: mdp(discount=-0.1), ValueError, r"discount must be in \[0, 1\), got -0.1"),
    "discount NaN": (lambda: mdp(discount=NAN, horizon=3), ValueError,
     r"discount must be in \[0, 1\), got nan"),
    "discount 1.5": (lambda: mdp(discount=1.5, horizon=3), ValueError,
     r"discount must be in \[0, 1\), got 1.5"),
    "discount string": (lambda: mdp(discount=".9"), TypeError, "discount must be a number, got '.9'"),
    "discount True": (lambda: mdp(discount=True, horizon=3), TypeError,
     "discount must be a number, got True"),
    "start sum": (lambda: mdp(start=[0.5, 0.6]), ValueError,
     r"start must sum to one, sums to 1.1 \(off by \+0.1\)"),
    "start negative": (lambda: mdp(start=[1.5, -0.5]), ValueError,
     r"start must be non-negative, got start\[1\] = -0.5"),
    "start NaN": (lambda: mdp(start=[NAN, 1.0]), ValueError, r"start must be finite, got start\[0\]"),
    "start shape": (lambda: mdp(start=[1.0, 0.0, 0.0]), ValueError,
     r"start must have shape \[S\] = \[2\], got \[3\]"),
    "start state": (lambda: mdp(start=0), ValueError, r"start must have shape \[S\]"),
    "horizon 0": (lambda: mdp(horizon=0), ValueError, "horizon must be at least 1, got 0"),
    "horizon float": (lambda: mdp(horizon=3.0), TypeError, "horizon must be an integer, got 3.0"),
    "horizon True": (lambda: mdp(horizon=True), TypeError, "horizon must be an integer, got True"),
    "actions none permitted": (lambda: mdp(actions=[[1, 1], [0, 0]]), ValueError,
     "actions must permit .* in state 1, got none"),
    "actions shape": (lambda: mdp(actions=[1, 1]), ValueError,
     r"actions must have shape \[2, 2\], got \[2\]"),
    "actions dtype": (lambda: mdp(actions=np.ones((2, 2))), TypeError,
     "actions must be boolean, got dtype float64"),
    "actions ragged": (lambda: mdp(actions=[[1], [1, 1]]), ValueError, "actions must be a rectangular array"),
    "terminal all": (lambda: mdp(terminal=[1, 1]), ValueError,
     "terminal must leave at least one state.*got all terminal"),
    "terminal leads elsewhere": (lambda: mdp(terminal=[0, 1]), ValueError,
     "terminal state 1 must not lead elsewhere, but P goes to state 0"),
    "terminal leads elsewhere, CSR": (lambda: mdp(malformed(), terminal=[0, 1]), ValueError,
     "terminal state 1 must not lead elsewhere"),
    "terminal reward": (lambda: mdp(ENDS, R + 1, terminal=[0, 1]), ValueError,
     "rewards of terminal state 1 must be zero"),
    "terminal shape": (lambda: mdp(terminal=[0, 1, 0]), ValueError,
     r"terminal must have shape \[2\], got \[3\]"),
    "terminal index": (lambda: mdp(terminal=[2, 0]), TypeError, "terminal must be boolean, got dtype int64"),
    "grid outside": (lambda: mdp(grid=[[0, 7]]), ValueError,
     r"grid must hold integers -1\.\.1, got grid\[0, 1\] = 7"),
    "grid fractions": (lambda: mdp(grid=[[0.5, 1]]), ValueError, r"grid must hold integers .*= 0.5"),
    "grid shape": (lambda: mdp(grid=[0, 1]), ValueError, r"grid must have shape \[rows, columns\]"),
    "replace unknown": (lambda: TWO.replace(gamma=0.5), TypeError,
     r"unknown arguments \['gamma'\]; known: .*'discount'"),
    "expect shape": (lambda: TWO.expect(np.zeros(3)), ValueError,
     r"V must have shape \[..., S\] = \[..., 2\], got \[3\]"),
    "push shape": (lambda: TWO.push(np.zeros((3, 2))), ValueError,
     r"w must have shape \[..., S, A\] = \[..., 2, 2\]"),
    # -- solving and evaluating
    "solve a name": (lambda: pg.solve("chain"), TypeError, "mdp must be a FiniteMDP, got 'chain'"),
    "solve method": (lambda: pg.solve(TWO, "sarsa"), ValueError,
     "method must be one of mpi, vi, pi, lp, got 'sarsa'"),
    "solve method list": (lambda: pg.solve(TWO, ["vi"]), ValueError, "method must be one of mpi"),
    "solve tol 0": (lambda: pg.solve(TWO, tol=0), ValueError, "tol must be positive and finite, got 0"),
    "solve tol NaN": (lambda: pg.solve(TWO, tol=NAN), ValueError, "tol must be positive and finite, got nan"),
    "solve tol string": (lambda: pg.solve(TWO, tol="a"), TypeError, "tol must be a number, got 'a'"),
    "solve most float": (lambda: pg.solve(TWO, most=1e3), TypeError, "most must be an integer, got 1000.0"),
    "solve vi with a horizon": (lambda: pg.solve(TWO.replace(horizon=3), "vi"), ValueError,
     "method 'vi' is for infinite horizons; .*horizon 3"),
    "induction without horizon": (lambda: backward_induction(TWO), ValueError, "horizon must be given"),
    "induction horizon float": (lambda: backward_induction(TWO, 2.0), TypeError,
     "horizon must be an integer, got 2.0"),
    "pi sums to 2": (lambda: evaluate(TWO, np.ones((2, 2))), ValueError,
     r"rows of pi must sum to one, row \[0\] sums to 2"),
    "pi NaN": (lambda: evaluate(TWO, EVEN * NAN), ValueError,
     "pi must hold finite non-negative probabilities"),
    "pi negative": (lambda: evaluate(TWO, [[1.5, -0.5]] * 2), ValueError,
     "pi must hold finite non-negative probabilities"),
    "pi shape": (lambda: evaluate(TWO, np.full((3, 2), 0.5)), ValueError,
     r"pi must have shape \[..., S, A\] = \[..., 2, 2\], got \[3, 2\]"),
    "pi ragged": (lambda: evaluate(TWO, [[0.5, 0.5], [1.0]]), ValueError, "pi must be a rectangular array"),
    "pi booleans": (lambda: evaluate(TWO, np.eye(2, dtype=bool)), TypeError,
     "pi must hold real numbers, got dtype bool"),
    "pi no policies": (lambda: evaluate(TWO, np.zeros((0, 2, 2))), ValueError,
     r"pi must have shape .* got \[0, 2, 2\]"),
    "pi forbidden": (lambda: evaluate(MASKED, EVEN), ValueError,
     r"pi must give forbidden .* got pi\[0, 1\] = 0.5"),
    "evaluate horizon": (lambda: evaluate(TWO, EVEN, 0), ValueError, "horizon must be at least 1, got 0"),
    "evaluate tol": (lambda: evaluate(TWO, EVEN, tol=-1), ValueError,
     "tol must be positive and finite, got -1"),
    "layered count": (lambda: layered([P, P], [R, R]), ValueError,
     "transitions must hold H-1 = 1 arrays for 2 layers, got 2"),
    "layered rows": (lambda: layered([P + 0.005], [R, R]), ValueError,
     r"transitions\[0\] must sum to one: row \(state 0, action 0\) sums to 1.01"),
    "layered shape": (lambda: layered([np.ones((2, 2, 3))], [R, R]), ValueError,
     r"transitions\[0\] must have shape .* \[2, 2, 2\]"),
    "layered no layers": (lambda: layered([], []), ValueError, "rewards must hold at least one layer"),
    "layered empty layer": (lambda: layered([], [np.zeros((0, 2))]), ValueError,
     r"rewards\[0\] must have at least one state"),
    "layered number": (lambda: layered([P], 3), TypeError, "rewards must be a sequence of arrays"),
    "unroll without horizon": (lambda: unroll(TWO), ValueError, "horizon must be given to unroll"),
    "unroll forbidden": (lambda: unroll(MASKED, 2), ValueError, "unroll needs all actions permitted"),
    # -- named instances
    "make unknown": (lambda: make("riverswim"), ValueError,
     "unknown MDP 'riverswim'; known: bandit, chain.*river-swim"),
    "make list": (lambda: make(["chain"]), ValueError, "unknown MDP"),
    "make parameter": (lambda: make("chain", length=3), TypeError,
     r"unknown parameters \['length'\]; known: n_states, slip"),
    "chain slip 2": (lambda: make("chain", slip=2), ValueError,
     r"slip must be a probability in \[0, 1\], got 2"),
    "chain slip None": (lambda: make("chain", slip=None), TypeError, "slip must be a number, got None"),
    "chain length": (lambda: make("chain", n_states=5.0), TypeError, "n_states must be an integer, got 5.0"),
    "garnet branching": (lambda: make("garnet", n_states=3, branching=4), ValueError,
     "branching must be at most n_states = 3, got 4"),
    "garnet seed": (lambda: make("garnet", seed=None), TypeError, "seed must be an integer, got None"),
    "garnet sparse": (lambda: make("garnet", sparse="no"), TypeError,
     "sparse must be True or False, got 'no'"),
    "garnet sparsity": (lambda: make("garnet", reward_sparsity=1.5), ValueError,
     "reward_sparsity must be a probability"),
    "dirichlet concentration": (lambda: make("dirichlet", concentration=INF), ValueError,
     "concentration must be positive and finite"),
    "layout ragged": (lambda: layout("S.", "G"), ValueError,
     r"layout must be .*equal length, got lengths \[2, 1\]"),
    "layout string": (lambda: make("gridworld", layout="S.G"), TypeError,
     "layout must be a sequence of rows"),
    "layout letters": (lambda: layout("S?G"), ValueError, r"layout has cells \['\?'\] that are neither"),
    "layout without start": (lambda: layout("..G"), ValueError,
     "layout must mark at least one start cell with 'S'"),
    "wind short": (lambda: layout("SG", wind=[1]), ValueError,
     r"wind must have shape \[columns\] = \[2\], got \[1\]"),
    "wind fractions": (lambda: layout("SG", wind=[0.5, 0]), ValueError, r"wind must hold integers .*= 0.5"),
    "exits NaN": (lambda: layout("SG", exits={"G": NAN}), ValueError,
     r"exits\['G'\] must be finite, got nan"),
    "exits letters": (lambda: layout("SG", exits={"Goal": 1.0}), ValueError,
     r"exits must be single letters .* got \['Goal'\]"),
    "exits list": (lambda: layout("SG", exits=["G"]), TypeError, r"exits must be a Mapping, got \['G'\]"),
    "step reward": (lambda: layout("SG", step_reward=None), TypeError,
     "step_reward must be a number, got None"),
    "combination range": (lambda: make("combination-lock", length=2, combination=[0, 7]), ValueError,
     r"combination must hold integers 0\.\.2, got combination\[1\] = 7"),
    "combination length": (lambda: make("combination-lock", length=2, combination=[0]), ValueError,
     r"combination must have shape \[length\] = \[2\]"),
    "lock wrong": (lambda: make("combination-lock", wrong="explode"), ValueError,
     "wrong must be 'reset' or 'dead', got 'explode'"),
    "bandit no arms": (lambda: make("bandit", rewards=[]), ValueError, "rewards must hold at least one arm"),
    "bandit ragged": (lambda: make("bandit", rewards=[[1], [2, 3]]), ValueError,
     "rewards must be a rectangular"),
    "lake map": (lambda: make("frozen-lake", map_name="5x5"), ValueError,
     "map_name must be '4x4' or '8x8', got '5x5'"),
    "lake slippery": (lambda: make("frozen-lake", is_slippery="no"), TypeError,
     "is_slippery must be True or False"),
    # -- Gymnasium
    "env without table": (lambda: from_gymnasium("CartPole-v1"), ValueError,
     r"env must publish a transition table P\[s\]\[a\]"),
    "env number": (lambda: from_gymnasium(3), TypeError, "env must be a Env, got 3"),
    "env options": (lambda: from_gymnasium(Published({}), slip=1), TypeError,
     r"options \['slip'\] are for environments made from an id"),
    "env table incomplete": (lambda: from_gymnasium(Published({0: {0: [(1.0, 0, 0.0, False)]}})), ValueError,
     r"env must publish P\[s\]\[a\] = .* 2 states"),
    "env table outside": (lambda: published(successor=9), ValueError,
     r"next states of env must hold integers 0\.\.1"),
    "env table sums": (lambda: published(p=0.9), ValueError,
     r"row \(state 0, action 0\) sums to 0.9"),
    "env start": (lambda: published(start=[1, 1]), ValueError,
     "initial_state_distrib must sum to one"),
    "env discount": (lambda: from_gymnasium("FrozenLake-v1", discount=1.0), ValueError,
     "discount must be .* pass horizon=H"),
    "step before reset": (lambda: FiniteMDPEnv("chain").step(0), gymnasium.error.ResetNeeded,
     "call reset before step"),
    "step forbidden": (lambda: env(MASKED, 1), ValueError,
     r"action must be permitted in state 0 .*action_mask.*got 1"),
    "step outside": (lambda: env("chain", 5), ValueError, "action must be permitted in state 0 .*got 5"),
    "reset state": (lambda: env("chain", state=99), ValueError,
     r"options\['state'\] must be a state 0\.\.4, got 99"),
    "render mode": (lambda: FiniteMDPEnv("chain", render_mode="human"), ValueError,
     "render_mode must be None or 'ansi', got 'human'"),
    "env of a number": (lambda: FiniteMDPEnv(3), TypeError, "mdp must be a FiniteMDP, got 3"),
    "env parameters": (lambda: FiniteMDPEnv(TWO, slip=0.1), TypeError,
     r"parameters \['slip'\] are for named instances"),
    "register": (lambda: pg.environments.register(""), ValueError, "name must be words joined by dashes"),
    # -- policies
    "tabular no states": (lambda: TabularSoftmax(0, 2), ValueError, "n_states must be at least 1, got 0"),
    "tabular mask": (lambda: TabularSoftmax(2, 2, [[1, 1], [0, 0]]), ValueError,
     "actions must permit at least one action in state 1"),
    "tabular on a name": (lambda: TabularSoftmax.on("chain"), TypeError,
     "mdp must be a FiniteMDP, got 'chain'"),
    "features NaN": (lambda: LogLinear(np.full((2, 2, 3), NAN)), ValueError,
     r"features must be finite, got features\[0, 0, 0\]"),
    "features two axes": (lambda: LogLinear(R), ValueError, r"features must have shape \[S, A, dim\]"),
    "features none": (lambda: LogLinear(np.ones((2, 2, 0))), ValueError,
     r"features must have at least .* got \[2, 2, 0\]"),
    "theta shape": (lambda: EXACT.gradient(np.zeros(3)), ValueError,
     r"theta must have shape \[..., dim\] = \[..., 4\], got \[3\]"),
    "theta square": (lambda: EXACT.value(R), ValueError,
     r"theta must have shape \[..., dim\] = \[..., 4\], got \[2, 2\]"),
    "theta NaN": (lambda: EXACT.value(ZERO + NAN), ValueError, "theta must be finite"),
    "theta strings": (lambda: EXACT.gradient(["a"] * 4), TypeError,
     "theta must hold real numbers, got dtype <U1"),
    "theta ragged": (lambda: EXACT.gradient([[1], [1, 2]]), ValueError, "theta must be a rectangular array"),
    "theta none": (lambda: EXACT.gradient(np.zeros((0, 4))), ValueError,
     r"theta must have shape .* got \[0, 4\]"),
    "score state": (lambda: EXACT.policy.score(ZERO, -1, 0), ValueError, "s must be at least 0, got -1"),
    "score action": (lambda: EXACT.policy.score(ZERO, 0, 7), ValueError, r"a must be in 0\.\.1, got 7"),
    "score forbidden": (lambda: TabularSoftmax.on(MASKED).score(ZERO, 0, 1), ValueError,
     "action 1 is forbidden in state 0"),
    # -- problems
    "problem of a name": (lambda: pg.ExactProblem("chain"), TypeError,
     "mdp must be a FiniteMDP, got 'chain'"),
    "policy of another MDP": (lambda: pg.ExactProblem(TWO, TabularSoftmax.on(CHAIN)), ValueError,
     r"policy must be over \[S, A\] = \[2, 2\], got \[5, 2\]"),
    "policy permits too much": (lambda: pg.ExactProblem(MASKED, TabularSoftmax(2, 2)), ValueError,
     "policy must not permit action 1 in state 0"),
    "policy array": (lambda: pg.ExactProblem(TWO, EVEN), TypeError, "policy must be a LinearSoftmax"),
    "problem horizon": (lambda: pg.ExactProblem(TWO, horizon=True), TypeError,
     "horizon must be an integer, got True"),
    "problem tol": (lambda: pg.ExactProblem(TWO, tol=NAN), ValueError,
     "tol must be positive and finite, got nan"),
    "direction shape": (lambda: EXACT.hvp(ZERO, np.zeros(3)), ValueError,
     r"v must have shape \[..., dim\] = \[..., 4\], got \[3\]"),
    "direction NaN": (lambda: EXACT.fisher_vector(ZERO, ZERO + NAN), ValueError, "v must be finite"),
    "direction batch": (lambda: EXACT.hvp(np.zeros((2, 4)), np.zeros((3, 4))), ValueError,
     r"theta and v must .* got \[2, 4\] and \[3, 4\]"),
    "damping negative": (lambda: EXACT.natural_gradient(ZERO, damping=-1), ValueError,
     "damping must be non-negative and finite, got -1"),
    "damping None": (lambda: EXACT.natural_gradient(ZERO, damping=None), TypeError,
     "damping must be a number, got None"),
    "ascend field": (lambda: landscape.ascend(EXACT, ZERO, 0.1, 3, field="hessian"), ValueError,
     "field must be one of .*'natural'.*got 'hessian'"),
    "ascend steps": (lambda: landscape.ascend(EXACT, ZERO, 0.1, 0), ValueError,
     "steps must be at least 1, got 0"),
    "ascend step size": (lambda: landscape.ascend(EXACT, ZERO, NAN, 3), ValueError,
     "step_size must be finite, got nan"),
    "ascend keep outside": (lambda: landscape.ascend(EXACT, ZERO, 0.1, 3, keep=[4]), ValueError,
     r"keep must hold integers 0\.\.3, got keep\[0\] = 4"),
    "ascend keep unsorted": (lambda: landscape.ascend(EXACT, ZERO, 0.1, 3, keep=[2, 1]), ValueError,
     r"keep must .*increasing order, got \[2, 1\]"),
    "ascend keep nothing": (lambda: landscape.ascend(EXACT, ZERO, 0.1, 3, keep=[]), ValueError,
     "keep must hold at least one time"),
    "plane axes": (lambda: landscape.plane(EXACT, ZERO, ZERO, np.zeros((2, 3))), ValueError,
     r"axes must have shape \[2, dim\] = \[2, 4\]"),
    "plane origin": (lambda: landscape.plane(EXACT, ZERO, ZERO, np.eye(4)[:2], np.zeros(3)), ValueError,
     r"origin must have shape \[dim\] = \[4\]"),
    "plane x": (lambda: landscape.plane(EXACT, R, ZERO, np.eye(4)[:2]), ValueError,
     r"x must have shape \[x\]"),
    "polytope too large": (lambda: landscape.value_polytope(make("garnet"), 3, RNG), ValueError,
     r"at most 4096 .*got 4\^100"),
    "polytope forbidden": (lambda: landscape.value_polytope(MASKED, 3, RNG), ValueError,
     "mdp must permit every action"),
    "polytope rng": (lambda: landscape.value_polytope(TWO, 3, 0), TypeError,
     "rng must be a Generator, got 0"),
    "enumeration without horizon": (lambda: routes.enumeration(EXACT, ZERO), ValueError,
     "problem must have a horizon"),
    "enumeration too large": (lambda: routes.enumeration(pg.ExactProblem(TWO, horizon=30), ZERO), ValueError,
     r"problem has 1.15e\+18 trajectories, more than"),
    "enumeration theta": (lambda: routes.enumeration(SHORT, np.zeros((3, 4))), ValueError,
     r"theta must have shape \[dim\] = \[4\]"),
    "autodiff theta": (lambda: routes.autodiff(SHORT, ZERO + NAN), ValueError,
     r"theta must be finite, got theta\[0\]"),
    "finite difference step": (lambda: routes.finite_difference(EXACT.value, ZERO, ZERO, 0), ValueError,
     "h must be positive and finite, got 0"),
    # -- symbolic expressions and pictures
    "symbolic too large": (lambda: symbolic.softmax_return(CHAIN), ValueError,
     "mdp must have at most 4 states for symbolic work, got 5"),
    "symbolic name": (lambda: symbolic.softmax_return("two-state"), TypeError, "mdp must be a FiniteMDP"),
    "symbolic horizon": (lambda: symbolic.softmax_return(TWO, 1.0), TypeError,
     "horizon must be an integer, got 1.0"),
    "symbolic values": (lambda: symbolic.evaluate(*J, [0, 0]), ValueError,
     r"values must have shape \[dim\] = \[4\]"),
    "symbolic digits": (lambda: symbolic.evaluate(*J, ZERO, digits=0), ValueError,
     "digits must be at least 1, got 0"),
    "picture without grid": (lambda: plots.gridworld(axes(), TWO, np.zeros(2)), ValueError,
     "mdp must have a grid to be drawn as one"),
    "picture values": (lambda: plots.gridworld(axes(), GRID, np.zeros(3)), ValueError,
     r"V must have shape \[S\]"),
    "picture policy": (lambda: plots.gridworld(axes(), GRID, FLAT, FLAT - 1), ValueError,
     r"policy must hold integers 0\.\.3, got policy\[0\] = -1"),
    "picture probabilities": (lambda: plots.gridworld(axes(), GRID, FLAT, np.outer(FLAT, ZERO)), ValueError,
     r"policy must have shape \[S\]"),
    "picture moves": (lambda: plots.gridworld(axes(), GRID, FLAT, moves=np.zeros((4, 3))), ValueError,
     r"moves must have shape \[A, 2\]"),
    "landscape of a chain": (lambda: plots.landscape(axes(), pg.ExactProblem(CHAIN)), ValueError,
     "problem must be tabular with two states and two actions"),
    "landscape log-linear": (lambda: plots.logit_differences(LOG_LINEAR), ValueError,
     "problem must be tabular"),
    "landscape points": (lambda: plots.landscape(axes(), EXACT, points=1), ValueError,
     "points must be at least 2, got 1"),
    "landscape reach": (lambda: plots.landscape(axes(), EXACT, reach=0), ValueError,
     "reach must be positive and finite, got 0"),
    "paths shape": (lambda: plots.paths(axes(), EXACT, {"flow": np.zeros(4)}), ValueError,
     r"named\['flow'\] must have shape \[T, runs, dim\]"),
    "polytope of a chain": (lambda: plots.polytope(axes(), CHAIN), ValueError,
     "mdp must have two states .* got 5"),
    "explore a chain": (lambda: plots.explore(CHAIN), ValueError,
     "mdp must have two states with two actions each"),
    # -- what the project promises about its files (the rest is in tests/evidence)
    "corrupted result": (corrupted_result, evidence.CorruptResultError,
     r"\.npz' .*seed=0.*delete that file or run with fresh=True"),
    "truncated claims": (truncated_ledger, ValueError,
     r"claims.json' is truncated or damaged .*paper_repro.sh again"),
    "unwritable figures": (unwritable_figures, OSError,
     r"cannot write 'rate\.\w+' in the folder .*make that folder writable"),
}
# fmt: on


@pytest.mark.parametrize(("call", "error", "message"), TABLE.values(), ids=TABLE)
def test_refused_by_name(call, error, message):
    with pytest.raises(error, match=message):
        call()
