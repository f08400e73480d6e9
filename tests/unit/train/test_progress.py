"""What a person is told, and how often."""

from __future__ import annotations

import io

import pytest

from covidseg.train import progress


def test_line() -> None:
    text = progress.line("ssanet/m4 fold 0", 3.5, 15, "dice 0.4100, best val DSC 0.612", 70.0, 0.0)
    assert text == "ssanet/m4 fold 0: epoch 3/15, dice 0.4100, best val DSC 0.612, 4 min left"
    assert progress.line("m4", 12, 14, "", 10.0, 10.0) == "m4: epoch 12/14, 10 s left"
    assert progress.line("m4", 14, 14, "dice 0.4", 10.0, 0.0) == "m4: epoch 14/14, dice 0.4"


def test_a_duration_in_the_unit_that_says_it_best() -> None:
    told = [progress.duration(seconds) for seconds in (0, 89.4, 90, 3600, 5399, 5400, 36000)]
    assert told == ["0 s", "89 s", "2 min", "60 min", "90 min", "2 h", "10 h"]


def test_at_most_one_line_in_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    stream = io.StringIO()
    say = progress.Progress("m4", stream)
    for done in range(31):
        say(done, 30, "")
        now += 1
    say.close()
    assert [line.split(",")[0] for line in stream.getvalue().splitlines()] == [
        "m4: epoch 10/30",
        "m4: epoch 20/30",
        "m4: epoch 30/30",
    ]


def test_a_line_is_there_at_once_whatever_the_stream_keeps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 11.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))
    say = progress.Progress("m4", io.TextIOWrapper(written := io.BytesIO()))
    say(0, 9, "")
    say(1, 9, "")
    assert written.getvalue() == b"m4: epoch 1/9, 88 s left\n"


def test_a_short_job_says_nothing() -> None:
    stream = io.StringIO()
    say = progress.Progress("m4", stream)
    say(0, 2, "")
    say(2, 2, "")
    assert stream.getvalue() == ""


def test_a_bar_on_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    say = progress.Progress("ssanet/m4", stream)
    say(0, 2, "")
    say(2, 2, "dice 0.4")
    say.close()
    assert "ssanet/m4" in stream.getvalue()
    assert "2/2" in stream.getvalue()
