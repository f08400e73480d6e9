"""What a user of ``snakemake --logger covidseg`` reads."""

import logging
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from covidseg.base.errors import INTERRUPTED
from snakemake_logger_plugin_covidseg import LogHandler


def emit(handler: LogHandler, message: str | None = None, level: int = logging.INFO, **facts: Any) -> None:
    handler.emit(logging.makeLogRecord({"msg": message, "levelno": level, **facts}))


def handler(dryrun: bool = False) -> LogHandler:
    settings: Any = SimpleNamespace(dryrun=dryrun)
    return LogHandler(settings, None)


def test_a_target_of_ones_own_is_job_0_and_has_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    log = handler()
    emit(log, event=LogEvent.RUN_INFO, stats={"fetch": 1, "canonical": 1, "all": 1, "total": 3})
    for done, (job, message) in enumerate([(1, "fetch medseg-1"), (0, "import medseg-1")], 1):
        emit(log, event=LogEvent.JOB_INFO, jobid=job, rule_msg=message, rule_name="x")
        emit(log, event=LogEvent.JOB_FINISHED, job_id=job)
        emit(log, event=LogEvent.PROGRESS, done=done, total=3)
    said = re.sub(r"\d+:\d\d(, \d+:\d\d left)?", "0:00", capsys.readouterr().err)
    assert said.splitlines() == [
        "3 jobs: fetch 1, canonical 1",
        "[1/3]  33 %  0:00  fetch medseg-1",
        "[2/3]  66 %  0:00  import medseg-1",
    ]


def test_a_dry_run_lists_its_jobs_once(capsys: pytest.CaptureFixture[str]) -> None:
    log = handler(dryrun=True)
    for _ in range(2):  # snakemake counts before and after
        emit(log, event=LogEvent.RUN_INFO, stats={"report": 1, "all": 1, "total": 2})
    emit(log, event=LogEvent.JOB_INFO, jobid=1, rule_msg="report", rule_name="report")
    emit(log, event=LogEvent.JOB_INFO, jobid=0, rule_msg=None, rule_name="all")
    assert capsys.readouterr().err == "2 jobs: report 1\nwould do: report\n"


def test_a_failed_job_shows_its_log_and_not_its_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = handler()
    (tmp_path / "a.log").write_text("covidseg: no lung found\n")
    emit(log, event=LogEvent.JOB_INFO, jobid=0, rule_msg="lung masks of mine", rule_name="lungs")
    error = (
        "RuleException:\nCalledProcessError in file x.smk:\nCommand 'covidseg lungs' returned non-zero exit status 2."
    )
    emit(log, error, logging.ERROR, exception="RuleException")
    emit(log, error.replace("2.", "137."), logging.ERROR, exception="RuleException")
    emit(log, event=LogEvent.JOB_ERROR, jobid=0, rule_name="lungs", log=[tmp_path / "a.log"])
    emit(
        log, "WorkflowError:\nAt least one job did not complete successfully.", logging.ERROR, exception="WorkflowError"
    )
    emit(log, "Exiting because a job execution failed. Look above for error messages", logging.ERROR)
    emit(log, "MissingInputException:\nno such file", logging.ERROR, exception="MissingInputException")
    assert capsys.readouterr().err.splitlines() == [
        "a job's command returned non-zero exit status 137.",
        "failed: lung masks of mine",
        f"  {tmp_path / 'a.log'}:",
        "  covidseg: no lung found",
        "MissingInputException:",
        "no such file",
    ]


def test_long_trainings_say_their_epochs_and_the_rest_follows_from_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two trainings, none finished: one has done 2 of 10 epochs in 20 s, so it takes 100 s and so will the other."""
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    log = handler()
    log.started = 0.0
    emit(log, event=LogEvent.RUN_INFO, stats={"train": 2, "total": 2})
    emit(log, event=LogEvent.JOB_INFO, jobid=1, rule_msg="train a/b", rule_name="train", log=[tmp_path / "a.log"])
    emit(log, event=LogEvent.PROGRESS, done=0, total=2)
    now = 20.0
    (tmp_path / "a.log").write_text(
        "a/b fold 0 seed 0: epoch 1/10, 2 min left\ra/b fold 0 seed 0: epoch 2/10, dice 0.5"
    )
    log.tell()
    assert capsys.readouterr().err.splitlines()[1:] == ["[0/2]   0 %  0:20, 3:00 left  running: train a/b, epoch 2/10"]


def test_an_interrupted_job_has_not_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = handler()
    (tmp_path / "a.log").write_text(f"epoch 1/10\n{INTERRUPTED}\n")
    emit(log, event=LogEvent.JOB_INFO, jobid=0, rule_msg="train a/b", rule_name="train")
    error = "RuleException:\nCalledProcessError in file x.smk:\nCommand 'x' returned non-zero exit status 130."
    emit(log, error, logging.ERROR, exception="RuleException")
    emit(log, event=LogEvent.JOB_ERROR, jobid=0, rule_name="train", log=[tmp_path / "a.log"])
    assert capsys.readouterr().err == "stopped: train a/b\n"
