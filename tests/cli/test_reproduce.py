"""The whole way: notebooks are run, kept, and summed up."""

import json
import shutil

from joblib import cpu_count

from pgtheory.cli.main import main

RAISES = 'raise RuntimeError("the <solver> diverged")'
KILLS_ITS_WORKER = "import signal; os.kill(os.getppid(), signal.SIGKILL)"


def test_one_notebook_that_raises_stops_no_other_and_is_run_again_once_mended(workshop, capsys):
    workshop.write("1-good")
    workshop.write("2-raises", "print('so far so good')", RAISES)
    workshop.write("3-dies", KILLS_ITS_WORKER)
    assert main(["reproduce", "--jobs", "2"]) == 1

    printed = capsys.readouterr().out
    assert "2-raises failed" in printed
    assert "RuntimeError: the <solver> diverged" in printed
    assert "its process ended with exit code -9" in printed
    assert printed.splitlines()[-1] == (
        "3 notebooks: 1 ok, 2 failed · 2 claims: 1 hold, 1 declared not reproduced, 0 fail · figures/index.html"
    )
    partial = json.loads((workshop.figures / ".state/failed/2-raises.ipynb").read_text())
    outputs = [output for cell in partial["cells"] for output in cell.get("outputs", ())]
    assert any("so far so good" in "".join(output.get("text", "")) for output in outputs)
    assert not (workshop.figures / "notebooks/2-raises.ipynb").exists()
    assert "the &lt;solver&gt; diverged" in (workshop.figures / "index.html").read_text()

    assert _left_by(workshop, "1-good") == [True] * 6
    claims = json.loads((workshop.figures / "claims.json").read_text())["claims"]
    assert [claim["id"] for claim in claims] == ["1-good/lost", "1-good/sure"]
    interactive, *threads, folder = json.loads(claims[0]["setup"])
    assert interactive is False
    assert folder == str(workshop.folder / "notebooks")
    assert [int(number) for number in threads] == [max(1, cpu_count() // 2)] * 2
    assert not (workshop.figures / ".state/tmp").exists()

    workshop.write("2-raises", "print('mended')")
    (workshop.folder / "notebooks/3-dies.ipynb").unlink()
    assert main(["reproduce"]) == 0
    assert len(workshop.kernels("1-good")) == 1
    assert len(workshop.kernels("2-raises")) == 2
    assert not (workshop.figures / ".state/failed/2-raises.ipynb").exists()
    table = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert ["1-good", "kept"] in table
    assert ["2-raises", "ran"] in table

    assert main(["reproduce", "--fresh", "--only", "good"]) == 0
    assert len(workshop.kernels("1-good")) == 2
    assert len(workshop.kernels("2-raises")) == 2


def _left_by(workshop, name):
    files = [f"{name}-curve.svg", f"{name}-curve.png", f"{name}-curve.json", f"reports/{name}.json"]
    files += [f"notebooks/{name}.ipynb", f"notebooks/{name}.html"]
    return [(workshop.figures / file).is_file() for file in files]


def test_numbers_that_drift_and_claims_that_fail_are_noticed(workshop, capsys):
    workshop.write("1-good")
    assert main(["reproduce"]) == 0
    assert main(["reproduce", "--check-numbers"]) == 0

    shutil.copytree(workshop.figures, "stored")
    for folder in ("stored", "figures"):
        numbers = workshop.folder / folder / "1-good-curve.json"
        numbers.write_text(numbers.read_text().replace("[1, 3]", "[1, 3.5]"))
    moved = "series 'y' differs at [1]: fresh 3.0, stored 3.5"
    capsys.readouterr()
    # an output that was changed by hand is made again; what changed is said, and fails only a check
    assert main(["reproduce"]) == 0
    assert moved in capsys.readouterr().out
    assert main(["reproduce", "--check-numbers", "stored"]) == 1
    assert moved in capsys.readouterr().out
    assert len(workshop.kernels("1-good")) == 2

    assert main(["reproduce", "-p", "holds=False"]) == 1
    printed = capsys.readouterr().out
    assert "✗ 1-good/sure fails: It converges." in printed
    assert "2 claims: 0 hold, 1 declared not reproduced, 1 fail" in printed
    assert len(workshop.kernels("1-good")) == 3
    assert main(["claims"]) == 1


def test_a_notebook_that_writes_no_report_has_failed(workshop, capsys):
    workshop.write("1-silent", report=False)
    assert main(["reproduce"]) == 1
    assert "did not write its report" in capsys.readouterr().out
    assert not (workshop.figures / "claims.json").exists()
