"""Run the notebooks that are not up to date, keep the others, and record each one that finishes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joblib import cpu_count

from pgtheory.cli.fingerprint import fingerprint
from pgtheory.cli.notebooks import Notebook
from pgtheory.cli.progress import show_progress
from pgtheory.cli.reports import read_report, report_path
from pgtheory.cli.schedule import Job, Outcome, run_jobs
from pgtheory.cli.state import Record, hash_outputs, is_current, read_record, state_folder, write_record
from pgtheory.cli.summary import Result

SECONDS_WHEN_UNKNOWN = 60.0


@dataclass(frozen=True)
class Setting:
    """How notebooks are run.

    Attributes
    ----------
    out : pathlib.Path
        Output folder, absolute.
    profile : str
        ``"quick"`` or ``"paper"``.
    parameters : mapping of str to Any
        Set in every notebook.
    at_once : int or None
        Notebooks that run together; None for one per core.
    fresh : bool
        Run also the notebooks that are up to date.
    """

    out: Path
    profile: str
    parameters: Mapping[str, Any]
    at_once: int | None = None
    fresh: bool = False


def run_or_keep(notebooks: Sequence[Notebook], setting: Setting) -> list[Result]:
    """Bring every notebook up to date and return what became of each, in the order given."""
    results: dict[str, Result] = {}
    jobs = []
    for notebook in notebooks:
        job, record = _plan(notebook, setting)
        if record and not setting.fresh and is_current(setting.out, record, job.fingerprint):
            report = read_report(report_path(setting.out, notebook.name))
            results[notebook.name] = Result(notebook.name, "kept", record.seconds, report)
        else:
            jobs.append(job)
    if jobs:
        results |= _run(jobs, setting)
    return [results[notebook.name] for notebook in notebooks]


def _plan(notebook: Notebook, setting: Setting) -> tuple[Job, Record | None]:
    """Return what running the notebook means, and the record of its last run."""
    parameters: dict[str, Any] = {"profile": setting.profile}
    if "interactive" in notebook.parameters:
        parameters["interactive"] = False
    parameters |= setting.parameters
    record = read_record(setting.out, setting.profile, notebook.name)
    job = Job(
        notebook=notebook,
        parameters=parameters | {"out": str(setting.out)},
        out=setting.out,
        fingerprint=fingerprint(notebook, parameters),
        expected=record.seconds if record else notebook.seconds.get(setting.profile, SECONDS_WHEN_UNKNOWN),
    )
    return job, record


def _run(jobs: Sequence[Job], setting: Setting) -> dict[str, Result]:
    scratch = state_folder(setting.out) / "tmp"
    shutil.rmtree(scratch, ignore_errors=True)  # what a killed run left
    before = {job.name: _version(report_path(job.out, job.name)) for job in jobs}
    results = {}

    def ended(job: Job, outcome: Outcome) -> Outcome:
        result = _settle(job, outcome, setting.profile, before[job.name])
        results[job.name] = result
        return Outcome(outcome.seconds, result.error)

    cores = cpu_count()
    with closing(show_progress(jobs)) as progress:
        run_jobs(jobs, min(setting.at_once or cores, len(jobs)), cores, progress, ended)
    shutil.rmtree(scratch, ignore_errors=True)
    return results


def _settle(job: Job, outcome: Outcome, profile: str, report_before: tuple[int, int] | None) -> Result:
    """Record a notebook that left what it should; a run that did not is a failed one."""
    try:
        if outcome.error:
            raise ValueError(outcome.error)
        path = report_path(job.out, job.name)
        if _version(path) == report_before:
            raise ValueError(f"it ran, but did not write its report, {path}")
        report = read_report(path)
        outputs = hash_outputs(job.out, report.files())
        missing = [file for file in report.files() if file not in outputs]
        if missing:
            raise ValueError(f"it ran, but did not leave what it reported: {', '.join(missing)}")
    except ValueError as error:
        return Result(job.name, "failed", outcome.seconds, error=str(error))
    write_record(job.out, profile, job.name, Record(job.fingerprint, round(outcome.seconds, 1), outputs))
    job.failed_copy.unlink(missing_ok=True)
    return Result(job.name, "ran", outcome.seconds, report)


def _version(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from its replacement, also one with the same content; None without file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns
