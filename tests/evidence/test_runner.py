"""Runs: the grid, common random numbers, resuming, and what is refused."""

import functools
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray

from pgtheory.evidence import CellError, CorruptResultError, run


def walk(rng, method, eta):
    noise = rng.normal(size=5)
    path = np.cumsum(eta * noise) + len(method)
    return {"path": path, "last": path[-1], "finite": bool(np.isfinite(path).all())}


GRID = {"method": ["npg", "pg"], "eta": [0.1, 0.5, 1]}
quiet = functools.partial(run, progress=False)


def test_grid_becomes_a_labelled_dataset():
    data = quiet(walk, GRID, [7, 3], dims={"path": ("t",)})
    assert data["path"].dims == ("method", "eta", "seed", "t")
    assert data["last"].dims == ("method", "eta", "seed")
    assert data["seed"].values.tolist() == [7, 3]
    cell = data.sel({"method": "pg", "eta": 0.5, "seed": 3})
    np.testing.assert_array_equal(cell["path"], walk(np.random.default_rng(3), "pg", 0.5)["path"])
    assert data["finite"].dtype == bool
    assert quiet(walk, GRID, 2)["path"].dims == ("method", "eta", "seed", "path_dim0")


def test_conditions_share_random_numbers_and_seeds_do_not():
    data = quiet(walk, GRID, 3)
    increments = data["path"].diff("path_dim0") / data["eta"]
    np.testing.assert_allclose(increments.sel(eta=0.1), increments.sel(eta=1), rtol=1e-12)
    assert not np.allclose(increments.sel(seed=0), increments.sel(seed=1))


def test_no_conditions_is_a_grid_of_seeds():
    assert quiet(lambda rng: {"x": rng.normal()}, {}, 4)["x"].dims == ("seed",)


def test_returned_array_may_be_reused_by_the_task():
    buffer = np.zeros(2)

    def task(rng, shift):
        buffer[:] = shift
        return {"x": buffer}

    assert quiet(task, {"shift": [1, 2]}, 1)["x"].values[:, 0, 0].tolist() == [1, 2]


@pytest.mark.parametrize(
    "options", [{"jobs": 2, "backend": "threading"}, {"jobs": -1, "backend": "threading"}]
)
def test_same_bits_on_other_backends(options):
    assert quiet(walk, GRID, 4, **options).identical(quiet(walk, GRID, 4))


def test_stored_cells_are_not_run_again(tmp_path):
    full = quiet(walk, GRID, 3, folder=tmp_path)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 18
    stamps = {file: file.stat().st_mtime_ns for file in files}
    for file in files[::2]:
        file.unlink()
    again = quiet(walk, GRID, 3, folder=tmp_path)
    assert again.identical(full)
    assert {file for file in files if file.stat().st_mtime_ns == stamps[file]} == set(files[1::2])
    assert quiet(walk, GRID, 4, folder=tmp_path).sel(seed=[0, 1, 2]).identical(full)


def test_fresh_and_version_run_again(tmp_path):
    calls = tmp_path / "calls"

    def task(rng):
        with calls.open("a") as file:
            file.write(".")
        return {"x": rng.normal()}

    again = functools.partial(quiet, task, {}, 3, folder=tmp_path / "cells")
    counts = []
    for options in ({"version": "1"}, {"version": "1"}, {"version": "2"}, {"version": "2", "fresh": True}):
        again(**options)
        counts.append(len(calls.read_text()))
    assert counts == [3, 3, 6, 9]


def test_fresh_forgets_every_stored_cell_before_the_first_new_one(tmp_path):
    quiet(fails_late, {"late": [False]}, 3, folder=tmp_path)
    stored = len(list(tmp_path.iterdir()))
    quiet(fails_late, {"late": [False, True]}, 2, folder=tmp_path)
    with pytest.raises(CellError):
        quiet(fails_late, {"late": [True, False]}, [2, 0, 1], folder=tmp_path, fresh=True)
    assert stored == 3
    assert list(tmp_path.iterdir()) == []


def fails_late(rng, late):
    if late and rng.bit_generator.seed_seq.entropy == 2:
        raise ZeroDivisionError("step size is zero")
    return {"x": rng.normal()}


@pytest.mark.parametrize("jobs", [1, 2])
def test_failure_names_the_cell_and_keeps_finished_ones(tmp_path, jobs):
    with pytest.raises(
        CellError, match=r"late=True, seed=2\) failed with ZeroDivisionError: step size is zero"
    ):
        quiet(fails_late, {"late": [False, True]}, 3, folder=tmp_path, jobs=jobs, backend="threading")
    assert len(list(tmp_path.iterdir())) == 5


def test_failure_shows_the_tasks_own_traceback():
    with pytest.raises(CellError, match=r"in fails_late"):
        quiet(fails_late, {"late": [True]}, 3)


def test_divergence_is_a_result(tmp_path):
    def task(rng, eta):
        return {"error": np.array([1.0, np.inf if eta > 1 else 0.0, np.nan])}

    first = quiet(task, {"eta": [0.5, 2.0]}, 2, folder=tmp_path)
    assert np.isinf(first["error"].sel(eta=2.0)[:, 1]).all()
    assert quiet(task, {"eta": [0.5, 2.0]}, 2, folder=tmp_path).identical(first)


def test_damaged_cell_stops_the_run_and_fresh_repairs_it(tmp_path):
    full = quiet(walk, GRID, 2, folder=tmp_path)
    file = min(tmp_path.iterdir())
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(CorruptResultError, match=rf"{file.name}.*fresh=True"):
        quiet(walk, GRID, 2, folder=tmp_path)
    assert quiet(walk, GRID, 2, folder=tmp_path, fresh=True).identical(full)


STUDY = """
import hashlib, pathlib, sys, time
from pgtheory.evidence import run

def task(rng, scale):
    with open(pathlib.Path(__file__).parent / "calls", "a") as file:
        file.write(f"{scale} {rng.bit_generator.seed_seq.entropy}\\n")
    time.sleep(0.03)
    return {"x": scale * rng.normal(size=50), "last": rng.random()}

def main(folder, jobs):
    data = run(task, {"scale": [0.1, 1.0, 10.0]}, 8, folder=folder, jobs=int(jobs), progress=False)
    digest = hashlib.sha256()
    for name in data.variables:
        digest.update(f"{name} {data[name].dims} {data[name].dtype}".encode() + data[name].values.tobytes())
    print(digest.hexdigest())
"""


def study(folder, jobs, **options):
    command = [sys.executable, "-c", "import study, sys; study.main(*sys.argv[1:])", str(folder), str(jobs)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder.parent), *sys.path])}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, **options)


def test_kill_loses_nothing_finished_and_the_dataset_has_the_same_bits(tmp_path):
    (tmp_path / "study.py").write_text(STUDY)
    straight = study(tmp_path / "straight", 1)
    whole, _ = straight.communicate(timeout=60)
    parallel = study(tmp_path / "parallel", 2)
    assert parallel.communicate(timeout=60)[0] == whole != ""

    (tmp_path / "calls").unlink()
    killed = study(tmp_path / "killed", 1)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "killed").glob("*.npz"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    stored = len(list((tmp_path / "killed").glob("*.npz")))
    assert 5 <= stored < 24

    resumed = study(tmp_path / "killed", 2)
    assert resumed.communicate(timeout=60)[0] == whole
    calls = (tmp_path / "calls").read_text().splitlines()
    # only the cell that was running when the signal came is run twice
    assert len(set(calls)) == 24
    assert len(calls) <= 25


def test_progress_bar_counts_all_cells(tmp_path, capsys):
    run(walk, GRID, 2, folder=tmp_path)
    assert "12/12" in capsys.readouterr().err
    quiet(walk, GRID, 2, folder=tmp_path, fresh=True)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"task": 3}, TypeError, "task must be a function"),
        ({"task": lambda rng: {}}, TypeError, "task must accept the keywords rng, eta"),
        ({"conditions": [1]}, TypeError, "conditions must map names"),
        ({"conditions": {"eta": "fast"}}, TypeError, r"write \['fast'\] for one"),
        ({"conditions": {"eta": 0.1}}, TypeError, "must be a list of values"),
        ({"conditions": {"eta": []}}, ValueError, "at least one"),
        ({"conditions": {"eta": [1, 1.0]}}, ValueError, "distinct"),
        ({"conditions": {"eta": [float("nan")]}}, ValueError, "no NaN"),
        ({"conditions": {"eta": [1, "a"]}}, TypeError, "all str, all bool or all int and float"),
        ({"conditions": {"eta": [None]}}, TypeError, "all str"),
        ({"conditions": {"eta": [[1, 2]]}}, TypeError, "all str"),
        ({"conditions": {"seed": [1]}}, ValueError, "other than 'seed' and 'rng'"),
        ({"conditions": {"step size": [1]}}, ValueError, "identifiers"),
        ({"seeds": [1, 1]}, ValueError, "seeds must be distinct"),
        ({"seeds": [-1]}, ValueError, "non-negative"),
        ({"seeds": 0}, ValueError, "at least one"),
        ({"seeds": [1.5]}, TypeError, "seeds must be integers"),
        ({"seeds": True}, TypeError, "number of seeds"),
        ({"seeds": [2**63]}, ValueError, "seeds must be"),
        ({"jobs": 0}, ValueError, "jobs must be a non-zero integer"),
        ({"dims": {"x": "t"}}, TypeError, "dims must map"),
        ({"dims": {"y": ("t",)}}, ValueError, r"dims names \['y'\]"),
        ({"dims": {"x": ("t",)}}, ValueError, "names 1 axes; the result has 0"),
    ],
)
def test_bad_arguments_are_refused(changes, error, message):
    arguments = {"task": lambda rng, eta: {"x": eta}, "conditions": {"eta": [1.0]}, "seeds": 2} | changes
    with pytest.raises(error, match=message):
        quiet(**arguments)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([1.0], "non-empty mapping"),
        ({}, "non-empty mapping"),
        ({"x": "high"}, "'x' must hold real numbers"),
        ({"x": None}, "'x' must hold real numbers"),
        ({"x": 1j}, "'x' must hold real numbers"),
        ({"a b": 1.0}, "identifiers"),
        ({3: 1.0}, "identifiers"),
    ],
)
def test_results_that_are_not_numbers_are_refused(result, message):
    with pytest.raises(CellError, match=rf"eta=1, seed=0\) failed with TypeError: .*{message}"):
        quiet(lambda rng, eta: result, {"eta": [1]}, 1)


def test_results_that_collide_with_the_grid_are_refused():
    with pytest.raises(ValueError, match="collides with the dimensions"):
        quiet(lambda rng, eta: {"eta": eta}, {"eta": [1]}, 1)
    with pytest.raises(ValueError, match="collides with the dimensions"):
        quiet(lambda rng: {"x": np.ones((2, 2))}, {}, 1, dims={"x": ("t", "t")})


@pytest.mark.parametrize("other", [{"x": np.zeros(2)}, {"y": 0.0}, {"x": 0.0, "y": 0.0}])
def test_cells_that_differ_are_both_named(other):
    def task(rng, eta):
        return {"x": 0.0} if eta == 1 else other

    with pytest.raises(ValueError, match=r"\(eta=2, seed=0\) returned .*\(eta=1, seed=0\) returned"):
        quiet(task, {"eta": [1, 2]}, 1)


def test_result_is_an_xarray_dataset():
    assert isinstance(quiet(walk, GRID, 1), xarray.Dataset)
