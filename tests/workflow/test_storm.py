"""A short kill storm; benchmarks/storm.py is the long one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.storm import BrokenPromiseError, Storm, Whole, cut_download, durations, forget
from tests.conftest import Project

AGAIN = ("train", "score", "table", "leaks", "claims", "report")
Fork = Callable[[], Project]


def test_kills_and_a_full_disk_change_no_byte(finished: Project, fork: Fork, tmp_path: Path) -> None:
    project, whole = fork(), Whole(finished.folder)
    forget(project, ("results/demo",))
    seconds = {name: value for name, value in durations(finished.folder).items() if name.split()[0] in AGAIN}
    again = ("results/demo/runs/ssanet/m1", "results/demo/report.html")  # which asks for the rest
    storm = Storm(project, whole, seconds, at_once=2, seed=0, log=tmp_path / "storm.log", again=again)
    storm.run(kills=3, snakemakes=1, fill=True, limit=1200)
    assert whole.compare(project.folder) > 50
    assert storm.kills.total() >= 3
    assert storm.snakemakes == 1
    assert "no file may grow" in storm.full
    assert project.planned() == {}


def test_a_partial_file_would_be_seen(finished: Project, fork: Fork) -> None:
    project, whole = fork(), Whole(finished.folder)
    cases = project.folder / "results/demo/runs/ssanet/m1/cases.csv"
    cases.write_bytes(cases.read_bytes()[:-1])
    with pytest.raises(BrokenPromiseError, match=r"m1/cases.csv: not what the undisturbed run made"):
        whole.look(project.folder)
    cases.unlink()
    whole.look(project.folder)
    with pytest.raises(BrokenPromiseError, match=r"m1/cases.csv: missing"):
        whole.compare(project.folder)


def test_a_download_that_is_killed_and_cut_goes_on(fork: Fork) -> None:
    first, second, third = cut_download(fork(), seed=0)
    assert first == 0 < second < third < 8 << 20
