"""Seeded faults: break the code in known places, one at a time; the tests must notice every one.

``python tests/mutants.py [--list] [--only NAME ...]`` works on a copy of the packages and their tests in a
temporary folder. For every fault it first checks that the selected tests are green, puts the fault in, and
expects pytest to report failing tests (exit code 1; a fault that keeps the tests from starting proves nothing).
The exit code is 1 when a fault survives, a selection was not green before, or a fault's text is not there
exactly once: then the code has moved on and the fault must follow it.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from mutants_agnostic import AGNOSTIC
from mutants_deep import DEEP
from mutants_hybrid import HYBRID
from mutants_oracle import ORACLE
from mutants_ratio import RATIO
from mutants_small_llm import SMALL_LLM
from mutants_stochastic import STOCHASTIC

ROOT = Path(__file__).parents[1]
ROUTES, IDENTITIES = "tests/problems/test_exact_routes.py", "tests/problems/test_exact_identities.py"
WORKED, HOSTILE, ARRAYS = (
    "tests/problems/test_worked_numbers.py",
    "tests/test_hostile.py",
    "tests/test_callers_arrays.py",
)
PLANNING, CERTIFICATES, ACTION_SETS, FINITE, GYM, INSTANCES = (
    f"tests/mdp/test_{name}.py"
    for name in ("planning", "certificates", "action_sets", "finite_mdp", "gym", "instances")
)
STATISTICS, CLAIMS, COMPARE, RUNNER, STORE, FIGURES = (
    f"tests/evidence/test_{name}.py"
    for name in ("statistics", "claims", "compare", "runner", "store", "figures")
)
COMPILED = ("mdp/kernels.py", "mdp/sampling_kernels.py", "mdp/alias.py")
# a fault is found all the same, without the minutes that shrinking its example takes
NO_SHRINKING = """
from hypothesis import Phase, settings

settings.register_profile("mutants", phases=[Phase.explicit, Phase.generate], database=None)
settings.load_profile("mutants")
"""


@dataclass(frozen=True)
class Fault:
    """One wrong line: ``tests`` must fail once ``old``, which occurs once in ``file``, has become ``new``.

    A file is named from ``pgtheory/``, or from the root where it is one of ``small_llm/``.
    """

    name: str
    tests: str
    file: str
    old: str
    new: str


# fmt: off
FAULTS = (
    # -- gradients and Hessian-vector products
    Fault("gradient: sign", WORKED, "problems/exact.py",
          "score_sum(ev.pi, ev.pi * _weighted", "score_sum(ev.pi, -ev.pi * _weighted"),
    Fault("gradient: visits dropped", WORKED, "problems/exact.py",
          "ev.m_slices[..., None] * ev.A_slices", "1.0 * ev.A_slices"),
    Fault("gradient: Q not centred by the score", WORKED, "policies/softmax.py",
          "w - pi * _over_actions(w)", "w"),
    Fault("hvp: curvature sign", WORKED, "policies/softmax.py",
          "return -self.pullback(", "return self.pullback("),
    Fault("hvp: change of visits dropped", ROUTES, "problems/exact.py",
          "(tangent.m[..., None] * A + m * (", "(m * ("),
    Fault("hvp: change of Q dropped", ROUTES, "problems/exact.py",
          "dA = tangent.Q - tangent.V", "dA = -tangent.V"),
    Fault("hvp: change of the score's weight dropped", ROUTES, "problems/exact.py",
          "(ell[:, :, None] * A + dA)", "dA"),
    Fault("dV: not propagated", ROUTES, "mdp/sensitivity.py",
          "dV = solver.solve((dpi * ev.Q[:, None]).sum(-1))", "dV = (dpi * ev.Q[:, None]).sum(-1)"),
    Fault("dQ: discount dropped", ROUTES, "mdp/sensitivity.py",
          "mdp.actions, mdp.discount * mdp.expect(dV)", "mdp.actions, mdp.expect(dV)"),
    Fault("dm: discount dropped", ROUTES, "mdp/sensitivity.py",
          "solve_transposed(mdp.discount * mdp.push", "solve_transposed(mdp.push"),
    Fault("dm: transposed solve swapped", ROUTES, "mdp/sensitivity.py",
          "solver.solve_transposed(", "solver.solve("),
    Fault("truncated dV: dQ dropped", ROUTES, "mdp/sensitivity.py",
          "(dpi * ev.Q_slices[:, None, h] + pi * dQ[:, :, h])", "(dpi * ev.Q_slices[:, None, h])"),
    Fault("truncated dQ: off by one", ROUTES, "mdp/sensitivity.py",
          "mdp.expect(dV[:, :, h + 1])", "mdp.expect(dV[:, :, h])"),
    Fault("truncated dm: off by one", ROUTES, "mdp/sensitivity.py",
          "ev.m_slices[:, None, h - 1, :, None]", "ev.m_slices[:, None, h, :, None]"),
    Fault("truncated dm: earlier changes dropped", ROUTES, "mdp/sensitivity.py",
          " + dm[:, :, h - 1, :, None] * pi", ""),
    # -- evaluation
    Fault("Q: discount dropped", WORKED, "mdp/evaluation.py",
          "Q = mdp.r + mdp.discount * mdp.expect(V)", "Q = mdp.r + mdp.expect(V)"),
    Fault("truncated V: one decision too many", WORKED, "mdp/evaluation.py",
          "np.zeros((B, S)), np.broadcast_to", "(pi * mdp.r).sum(-1), np.broadcast_to"),
    Fault("truncated visits: discount dropped", WORKED, "mdp/evaluation.py",
          "mass = mdp.discount * mdp.push", "mass = mdp.push"),
    Fault("distribution: not normalised", IDENTITIES, "mdp/evaluation.py",
          "return m / m.sum(-1, keepdims=True)", "return m"),
    Fault("certificate of visits: rounding dropped", CERTIFICATES, "mdp/evaluation.py",
          "self._rounding(1) * (1 + 2 * m.sum(-1).max())", "0.0"),
    Fault("compiled solver: diagonal lost", ROUTES, "mdp/kernels.py",
          "column[t] += 1.0", "column[t] += 0.5"),
    Fault("softmax: not normalised", WORKED, "mdp/kernels.py",
          "x[i, a] /= total", "x[i, a] /= 1.0"),
    Fault("caller's policy rewritten", FINITE, "mdp/finite.py",
          "np.array(pi).ravel()", "pi.ravel()"),
    Fault("caller's policy kept", ARRAYS, "mdp/evaluation.py",
          ".astype(np.float64)\n", ".astype(np.float64, copy=False)\n"),
    # -- geometry
    Fault("Fisher: sign", WORKED, "policies/softmax.py",
          "return self.score_sum(pi[..., None, :, :], (d", "return -self.score_sum(pi[..., None, :, :], (d"),
    Fault("Fisher: terminal states count", IDENTITIES, "problems/exact.py",
          "np.where(self.mdp.terminal, 0.0, ev.distribution)", "ev.distribution"),
    Fault("Fisher, log-linear: visits dropped", IDENTITIES, "policies/log_linear.py",
          "(np.sqrt(d[..., None] * pi)[..., None] * scores)", "(np.sqrt(pi)[..., None] * scores)"),
    Fault("natural gradient: not centred", IDENTITIES, "policies/softmax.py",
          "centred = q - q.sum(-1, keepdims=True) / self.actions.sum(-1, keepdims=True)", "centred = q"),
    Fault("natural gradient: damping doubled", IDENTITIES, "policies/softmax.py",
          "mass / (mass + damping)", "mass / (mass + 2 * damping)"),
    Fault("natural gradient, log-linear: noise inverted", IDENTITIES, "policies/log_linear.py",
          "max(X.shape[-2:]) * np.finfo(float).eps", "1e-30"),
    # -- planning
    Fault("MacQueen: discount dropped", PLANNING, "mdp/planning/certificate.py",
          "TV + gamma / (1 - gamma)", "TV + 1 / (1 - gamma)"),
    Fault("MacQueen: sign", PLANNING, "mdp/planning/certificate.py",
          "TV + gamma / (1 - gamma)", "TV - gamma / (1 - gamma)"),
    Fault("MacQueen: half the bound", PLANNING, "mdp/planning/certificate.py",
          "(gamma * (high - low)", "(gamma * (high - low) / 3"),
    Fault("certificate of V*: rounding dropped", PLANNING, "mdp/planning/certificate.py",
          " + 2 * bellman.rounding(V, shift)", ""),
    Fault("certificate of V*: shift dropped", CERTIFICATES, "mdp/planning/certificate.py",
          "rounding(V, shift)", "rounding(V)"),
    Fault("greedy: worst action", PLANNING, "mdp/planning/bellman.py",
          "policy = Q.argmax(-1)", "policy = Q.argmin(-1)"),
    Fault("greedy, CSR: mask ignored", ACTION_SETS, "mdp/kernels.py",
          "if allowed[s, a]:", "if True:"),
    Fault("backward induction: off by one", PLANNING, "mdp/planning/backward_induction.py",
          "mdp.lookahead(V[h + 1])", "mdp.lookahead(V[h])"),
    # -- MDPs
    Fault("mask ignored", ACTION_SETS, "mdp/finite.py",
          "return np.where(self.actions, Q, -np.inf)", "return Q"),
    Fault("terminal state not absorbing", FINITE, "mdp/canonical.py",
          "pairs[loops, loops // n_actions] = 1.0", "pairs[loops, 0] = 1.0"),
    Fault("terminal state may lead elsewhere", HOSTILE, "mdp/canonical.py",
          "if block.any():", "if False:"),
    Fault("rows need not sum to one", HOSTILE, "mdp/transitions.py",
          "if off[worst] > tolerance:", "if off[worst] > 1:"),
    Fault("reward of a transition not weighted", FINITE, "mdp/canonical.py",
          '"sat,sat->sa", pairs', '"sat,sat->sa", np.sign(pairs)'),
    Fault("Gymnasium: done ignored", GYM, "mdp/gym.py",
          "done.astype(bool)", "done.astype(bool) & False"),
    Fault("Gymnasium: rewards not weighted", GYM, "mdp/gym.py",
          "(p * r)[keep]", "r[keep]"),
    Fault("environment: truncated late", GYM, "mdp/gym.py",
          "self._time >= mdp.horizon", "self._time > mdp.horizon"),
    Fault("environment: mask ignored", GYM, "mdp/gym.py",
          " or not mdp.actions[s, action]:", ":"),
    Fault("RiverSwim: current reversed", INSTANCES, "mdp/instances/corridors.py",
          "0.05, 0.6, 0.35", "0.35, 0.6, 0.05"),
    Fault("chain: slip on one action only", INSTANCES, "mdp/instances/corridors.py",
          "[slip, 1 - slip]", "[0, 1]"),
    Fault("gridworld: slips to one side", INSTANCES, "mdp/instances/grids.py",
          "(0, 1, -1)", "(0, 1, 1)"),
    Fault("ascent: descends", IDENTITIES, "problems/landscape.py",
          "theta + eta(t) * slope(theta)", "theta - eta(t) * slope(theta)"),
    # -- evidence
    Fault("bootstrap: nothing resampled", STATISTICS, "evidence/intervals.py",
          "np.quantile(drawn, (1 - level) / 2,", "np.quantile(drawn, 0.5,"),
    Fault("IQM: nothing trimmed", STATISTICS, "evidence/statistics.py",
          '"iqm": _iqm', '"iqm": np.mean'),
    Fault("claim: failure ignored", CLAIMS, "evidence/claims.py",
          "        if self.holds:\n", "        if True:\n"),
    Fault("claim: every failure declared", CLAIMS, "evidence/claims.py",
          ' if self.declared else "fails"', ""),
    Fault("claims: duplicates merged", CLAIMS, "evidence/claims.py",
          "if claim.id in seen:", "if False:"),
    Fault("numbers: tolerance ignored", COMPARE, "evidence/compare.py",
          "np.isclose(new, old, rtol=rtol,", "np.isclose(new, old, rtol=1e9,"),
    Fault("runner: one seed for all", RUNNER, "evidence/runner.py",
          "default_rng(cell.seed)", "default_rng(0)"),
    Fault("store: another cell's file taken", STORE, "evidence/store.py",
          "if label != cell.label:", "if False:"),
    Fault("figures: dated", FIGURES, "evidence/figures.py",
          '"Date": None, ', ""),
    Fault("figures: random identifiers", FIGURES, "evidence/figures.py",
          '{"svg.hashsalt": _STYLE["svg.hashsalt"]}', '{"svg.hashsalt": None}'),
    *(Fault(*fault) for fault in (*STOCHASTIC, *RATIO, *DEEP, *ORACLE, *AGNOSTIC, *HYBRID, *SMALL_LLM)),
)
# fmt: on


class Workshop:
    """A copy of the package and its tests, where faults are put in and taken out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        junk = shutil.ignore_patterns("__pycache__", "*.nbi", "*.nbc")
        for name in ("pgtheory", "small_llm", "tests"):
            shutil.copytree(ROOT / name, folder / name, ignore=junk)
        shutil.copy(ROOT / "pyproject.toml", folder)
        (folder / "conftest.py").write_text(NO_SHRINKING, encoding="utf-8")
        # without bytecode: a fault of the same length within the same second would go unseen
        self._environment = os.environ | {
            "PYTHONPATH": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "MPLBACKEND": "agg",
        }
        self._green: dict[str, bool] = {}

    def run(self, tests: str, compiled: str = "compiled") -> tuple[int, str]:
        """Exit code of pytest on these tests, and the name of the first one that fails."""
        options = ["-q", "-x", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *tests.split()],
            cwd=self.folder,
            env=self._environment | {"NUMBA_CACHE_DIR": str(self.folder / compiled)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        failed = re.search(r"^FAILED (.*?)(?: - .*)?$", done.stdout, re.MULTILINE)
        return done.returncode, failed[1] if failed else done.stdout.strip().splitlines()[-1]

    def imports_the_copy(self) -> bool:
        """Whether the copy hides an installed package of the same name."""
        command = [sys.executable, "-c", "import pgtheory; print(pgtheory.__file__)"]
        where = subprocess.run(
            command, cwd=self.folder, env=self._environment, stdout=subprocess.PIPE, text=True
        )
        return Path(where.stdout.strip()).is_relative_to(self.folder)

    def green(self, tests: str) -> bool:
        """Whether these tests pass without a fault (asked once)."""
        if tests not in self._green:
            self._green[tests] = self.run(tests)[0] == 0
        return self._green[tests]

    def verdict(self, fault: Fault) -> tuple[bool, str]:
        """Whether the tests notice a fault, and which one does or what went wrong."""
        beside = fault.file.startswith("small_llm/")
        path = self.folder / ("" if beside else "pgtheory") / fault.file
        text = path.read_text(encoding="utf-8")
        if text.count(fault.old) != 1:
            return False, f"its text occurs {text.count(fault.old)} times in {fault.file}, expected once"
        if not self.green(fault.tests):
            return False, f"{fault.tests} is not green without it"
        path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
        try:
            code, first = self.run(fault.tests, fault.name if fault.file in COMPILED else "compiled")
        finally:
            path.write_text(text, encoding="utf-8")
        return code == 1, first if code == 1 else f"SURVIVED {fault.tests} (pytest exit code {code}: {first})"


def main() -> int:
    """Put in the chosen faults one by one and print who caught each."""
    parser = argparse.ArgumentParser(description="Break the code in known places; the tests must notice.")
    parser.add_argument("--list", action="store_true", help="list the faults and stop")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="faults whose name contains one of these")
    arguments = parser.parse_args()
    chosen = [f for f in FAULTS if not arguments.only or any(name in f.name for name in arguments.only)]
    if arguments.list or not chosen:
        print(*(f"{fault.name:45} {fault.file:35} {fault.tests}" for fault in FAULTS), sep="\n")
        return 0 if arguments.list else 2
    failures = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        workshop = Workshop(Path(folder).resolve())
        if not workshop.imports_the_copy():
            print("Python does not import the copy of pgtheory: the faults would have no effect")
            return 1
        for fault in chosen:
            began = time.monotonic()
            caught, note = workshop.verdict(fault)
            failures += not caught
            print(
                f"{'ok  ' if caught else 'FAIL'} {fault.name:45} {time.monotonic() - began:6.1f} s  {note}",
                flush=True,
            )
    print(f"{len(chosen)} faults, {len(chosen) - failures} caught")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
