"""Figures: the same bytes every time, all files or none, numbers beside them."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import xarray

mpl.use("agg")

import matplotlib.pyplot as plt

from pgtheory.evidence import compare_numbers, figures, load_numbers


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def draw():
    """Something of everything whose identifiers or layout could change from run to run."""
    x = np.linspace(0.1, 10, 40)
    with figures.style():
        fig, axes = plt.subplots(1, 2)
        axes[0].plot(x, np.sin(x), marker="o", label=r"$\nabla J(\theta)$")
        axes[0].fill_between(x, np.sin(x) - 0.2, np.sin(x) + 0.2, alpha=0.3, hatch="//")
        axes[0].set(title="Rate", xlabel="samples", ylabel="gap", xscale="log")
        axes[0].legend()
        axes[1].scatter(x, x**2, c=x)
        axes[1].imshow(np.outer(x, x), extent=(0, 1, 0, 1))
        fig.colorbar(axes[1].collections[0], ax=axes[1])
    return fig, x


def write(folder):
    fig, x = draw()
    return figures.save(
        fig, folder, "rate", data={"x": x, "y": np.sin(x)}, caption="Band: ±0.2", rtol=0.05, volatile=["y"]
    )


def contents(folder: Path):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_byte_identical_on_repetition_and_across_processes(tmp_path):
    paths = write(tmp_path / "a")
    assert [path.name for path in paths] == ["rate.svg", "rate.png", "rate.json"]
    write(tmp_path / "b")
    script = "import sys, pathlib; import test_figures as t; t.write(pathlib.Path(sys.argv[1]))"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
        "PYTHONHASHSEED": "7",
    }
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "c")], check=True, env=environment)
    assert contents(tmp_path / "a") == contents(tmp_path / "b") == contents(tmp_path / "c")
    for content in contents(tmp_path / "a").values():
        assert mpl.__version__.encode() not in content.split(b"<metadata>")[-1][:2000]
        assert b"dc:date" not in content


def test_saving_one_figure_twice_gives_the_same_bytes(tmp_path):
    fig, x = draw()
    saved = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        figures.save(fig, folder, "rate", data={"x": x}, caption="c", rtol=0)
        saved.append(contents(folder))
    assert saved[0] == saved[1]


def test_numbers_are_one_series_a_line_and_read_back(tmp_path):
    fig, _ = draw()
    data = {
        "t": [1, 2],
        "gap": np.array([[1 / 3, np.inf], [np.nan, 1e-300]]),
        "ok": [True, False],
        "name": ["θ", "b"],
    }
    figures.save(fig, tmp_path, "rate", data=data, caption="c", rtol=0.1, atol=1e-9, meta={"commit": "abc"})
    lines = (tmp_path / "rate.json").read_text(encoding="utf-8").splitlines()
    assert '    "gap": [[0.3333333333, "inf"], ["nan", 1e-300]],' in lines
    numbers = load_numbers(tmp_path / "rate.json")
    assert list(numbers) == ["figure", "caption", "rtol", "atol", "volatile", "meta", "data"]
    assert numbers["data"]["t"] == [1, 2]
    assert numbers["data"]["name"] == ["θ", "b"]
    assert compare_numbers(numbers, numbers) == []


def test_xarray_objects_become_series(tmp_path):
    array = xarray.DataArray(np.ones((2, 3)), dims=("m", "t"), coords={"m": ["npg", "pg"]}, name="gap")
    for name, data in [("one", array), ("all", xarray.Dataset({"gap": array}))]:
        figures.save(plt.figure(), tmp_path, name, data=data, caption="c", rtol=0)
        assert load_numbers(tmp_path / f"{name}.json")["data"] == {"gap": [[1.0] * 3] * 2, "m": ["npg", "pg"]}


def test_failure_in_the_middle_keeps_all_old_files(tmp_path, monkeypatch):
    write(tmp_path)
    before = contents(tmp_path)
    fig, x = draw()
    fig.suptitle("new")
    calls = []

    def fill_up(descriptor):
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill_up)
        with pytest.raises(OSError, match="No space left"):
            figures.save(fig, tmp_path, "rate", data={"x": x}, caption="new", rtol=0)
    assert contents(tmp_path) == before

    fig.axes[0].set_title(r"$\frac{broken$")
    with pytest.raises(ValueError, match="frac"):
        figures.save(fig, tmp_path, "rate", data={"x": x}, caption="new", rtol=0)
    assert contents(tmp_path) == before


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"in the folder '.*file'.*make that folder writable"):
        write(tmp_path / "file")


def test_style_is_local_and_use_style_is_not():
    before = dict(mpl.rcParams)
    with figures.style():
        assert mpl.rcParams["axes.prop_cycle"].by_key()["color"] == list(figures.OKABE_ITO)
        assert not mpl.rcParams["axes.spines.top"]
    assert dict(mpl.rcParams) == before
    with mpl.rc_context():
        figures.use_style()
        assert mpl.rcParams["figure.constrained_layout.use"]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"fig": 3}, TypeError, "fig must be a Matplotlib figure"),
        ({"name": "../rate"}, ValueError, "name must be letters, digits"),
        ({"name": "rate.svg"}, ValueError, "name must be letters"),
        ({"name": ""}, ValueError, "name must be letters"),
        ({"caption": " "}, ValueError, "caption must say"),
        ({"rtol": -1.0}, ValueError, "rtol must be a finite non-negative"),
        ({"atol": float("nan")}, ValueError, "atol must be a finite non-negative"),
        ({"volatile": ["z"]}, ValueError, r"volatile must list series among \['x'\]"),
        ({"volatile": "x"}, ValueError, "volatile must list"),
        ({"data": {}}, TypeError, "non-empty mapping of series"),
        ({"data": [1, 2]}, TypeError, "non-empty mapping of series"),
        ({"data": {1: [1]}}, TypeError, "series names must be strings"),
        ({"data": {"x": np.zeros((2, 2, 2))}}, ValueError, "one or two dimensions"),
        ({"data": {"x": [[1, 2], [3]]}}, ValueError, "'x' is not rectangular"),
        ({"data": {"x": [1j]}}, ValueError, "must be numbers or strings"),
        ({"data": {"x": [None]}}, ValueError, "must be numbers or strings"),
        ({"data": {"x": np.zeros(20_001)}}, ValueError, "holds 20001 numbers, at most 20000"),
    ],
)
def test_bad_arguments_write_nothing(tmp_path, changes, error, message):
    arguments = {
        "fig": plt.figure(),
        "name": "rate",
        "data": {"x": [1.0]},
        "caption": "c",
        "rtol": 0.1,
    } | changes
    with pytest.raises(error, match=message):
        figures.save(arguments.pop("fig"), tmp_path / "out", arguments.pop("name"), **arguments)
    assert not (tmp_path / "out").exists()
