"""Whatever ends a reproduction, nothing runs on, and the next one goes on where it stopped."""

import os
import signal

# Starts a process of its own and sleeps, unless the file is there; what a notebook depends on stays the same.
SLOW = """
import subprocess
if not pathlib.Path("hurry").exists():
    pathlib.Path("below").write_text(str(subprocess.Popen(["sleep", "600"]).pid))
    time.sleep(600)
"""


def test_after_kill_9_nothing_runs_on_and_only_what_is_missing_runs_again(workshop):
    workshop.write("1-quick")
    workshop.write("2-slow", SLOW)
    first = workshop.start("reproduce", "--jobs", "2")
    workshop.wait_until((workshop.figures / ".state/quick/1-quick.json").exists, "the quick notebook is done")
    below = workshop.folder / "notebooks/below"
    workshop.wait_until(lambda: below.exists() and below.read_text(), "the slow notebook runs")
    started = [*workshop.kernels("2-slow"), int(below.read_text())]
    assert all(map(workshop.is_running, started))

    first.kill()
    first.wait()
    workshop.wait_until(
        lambda: not any(map(workshop.is_running, started)), "the kernel has ended", seconds=10
    )
    workshop.wait_until(lambda: not workshop.workers(), "the workers have ended", seconds=10)

    (workshop.folder / "notebooks/hurry").touch()
    second = workshop.start("reproduce", "--jobs", "2")
    printed, _ = second.communicate(timeout=100)
    assert second.returncode == 0, printed
    assert len(workshop.kernels("1-quick")) == 1
    assert len(workshop.kernels("2-slow")) == 2
    assert "2 notebooks: 2 ok" in printed


def test_ctrl_c_ends_the_kernels_and_a_second_run_meanwhile_is_refused(workshop):
    workshop.write("1-slow", SLOW)
    first = workshop.start("reproduce")
    workshop.wait_until(lambda: workshop.kernels("1-slow"), "the notebook runs")
    kernel = workshop.kernels("1-slow")[0]

    second = workshop.start("reproduce")
    refused, _ = second.communicate(timeout=60)
    assert second.returncode == 2
    assert f"another reproduction (process {first.pid}) is writing to" in refused
    assert workshop.is_running(kernel)

    os.killpg(first.pid, signal.SIGINT)  # as a terminal does
    printed, _ = first.communicate(timeout=60)
    assert first.returncode == 130
    assert "the same command" in printed.lower()
    assert not workshop.is_running(kernel)
    assert not workshop.workers()
