"""Lines in a pipe, bars on a terminal, nothing on request."""

from __future__ import annotations

import io
import threading

import numpy as np
import pytest

from nas_plugins._doing import Activity, doing, heard_by
from nas_plugins.history import Objective
from nas_plugins.runner.progress import (
    CountingDisplay,
    DownloadDisplay,
    TrainingDisplay,
    WaitingDisplay,
)
from nas_plugins.runner.search_display import Finished, Score, SearchDisplay
from nas_plugins.strategies.arch_vq.fit import Progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Makes the standard error stream a terminal."""
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return stream


def epochs(stage: str, n: int) -> list[Progress]:
    """What training reports of a stage."""
    return [
        Progress(stage, i, n, {"loss": 1 / i}, float(i), float(n - i)) for i in range(1, n + 1)
    ]


def test_counting_says_how_long_it_will_take(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    with CountingDisplay("scored", 10, clock=lambda: now) as display:
        for second in range(1, 11):
            now = float(second)
            display.add(failed=second == 2)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "2/10 scored · 1 failed · 1/s · 0:00:08 left"
    assert lines[-1] == "10/10 scored · 1 failed · 1/s"


def test_what_is_short_leaves_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    with CountingDisplay("scored", 2) as display:
        display.add()
        display.add()
    assert capsys.readouterr().err == ""


def test_training_writes_the_last_epoch_of_each_stage(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingDisplay(clock=lambda: 0.0) as display:
        display.begin("learning", "vqvae")
        for epoch in (*epochs("vqvae", 3), *epochs("prior", 2)):
            display(epoch)
    assert capsys.readouterr().err.splitlines() == [
        "learning",
        "vqvae · epoch 1/3 · 0:00:02 left · loss 1.0000",
        "vqvae · epoch 3/3 · loss 0.3333",
        "prior · epoch 2/2 · loss 0.5000",
    ]


def test_a_terminal_gets_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch)
    with TrainingDisplay() as display:
        display.begin("learning", "vqvae")
        for epoch in (*epochs("vqvae", 3), *epochs("prior", 2)):
            display(epoch)
        display.say("a [remark]")
    shown = stream.getvalue()
    assert "vqvae 3/3" in shown
    assert "prior 2/2" in shown
    assert "a [remark]" in shown
    assert "· epoch" not in shown
    with CountingDisplay("scored", 2) as counting:
        counting.add(failed=True)
    assert "1/2 1 failed" in stream.getvalue()
    with DownloadDisplay("a.tar") as download:
        download(1_000_000, 4_000_000)
    assert "1.0/4.0 MB" in stream.getvalue()


def test_a_download_leaves_no_lines_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with DownloadDisplay("a.tar") as display:
        display(1, None)
    assert capsys.readouterr().err == ""


def test_without_being_asked_a_pipe_gets_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingDisplay(shown=None) as display:
        display.begin("learning", "vqvae")
        display(epochs("vqvae", 1)[0])
    assert capsys.readouterr().err == ""


def test_nothing_is_shown_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch)
    with TrainingDisplay(shown=False) as display:
        display.begin("learning", "vqvae")
        display(epochs("vqvae", 1)[0])
    with CountingDisplay("scored", 1, shown=False, clock=iter(range(9)).__next__) as counting:
        counting.add()
    assert stream.getvalue() == ""


# -- a search ---------------------------------------------------------------------

TWO = (Objective("accuracy", "max"), Objective("latency", "min"))


class Clock:
    """Advances by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_score_counts_the_front_of_feasible_trials():
    score = Score(TWO, None)
    assert str(score) == "nothing feasible yet"
    score.add(Finished(0, (90.0, 5.0)), Finished(1, (91.0, 6.0)), Finished(2, (80.0, 6.0)))
    score.add(Finished(3, (99.0, 1.0), violation=2.0), Finished(4, reason="no memory"))
    assert str(score) == "front 2"


def test_score_knows_the_true_front():
    score = Score(TWO, np.array([[90.0, 5.0], [95.0, 9.0]]))
    score.add(Finished(0, (90.0, 5.0)), Finished(1, (95.0, 9.0)))
    assert str(score) == "front 2 · hv_ratio 1.0000"


def test_score_of_one_objective_is_the_best_value():
    score = Score((Objective("latency", "min"),), np.array([[1.0]]))
    score.add(Finished(0, (5.0,)), Finished(1, (3.0,)))
    assert str(score) == "best latency 3"


def test_score_takes_infinities():
    score = Score(TWO, np.array([[90.0, 5.0], [95.0, 9.0]]))
    score.add(Finished(0, (float("-inf"), 5.0)), Finished(1, (91.0, float("inf"))))
    assert str(score).startswith("front 2")


def test_lines_come_every_few_seconds_and_at_the_end(capsys):
    clock = Clock()
    lines = SearchDisplay(Score(TWO, None), clock=clock)
    lines.start([Finished(0, (1.0, 1.0))], 5)
    clock.now = 0.5
    lines.add(Finished(1, (2.0, 2.0)))
    assert capsys.readouterr().err == ""
    clock.now = 10.0
    lines.add(Finished(2, reason="no memory"))
    assert capsys.readouterr().err == (
        "3/5 trials · 1 failed · 0.2 trials/s · 0:00:10 left · front 2\n"
    )
    lines.close()
    assert capsys.readouterr().err == ""
    lines.close()


def test_lines_say_the_last_state_once(capsys):
    lines = SearchDisplay(Score(TWO, None), clock=Clock())
    lines.start([], 1)
    lines.add(Finished(0, (1.0, 1.0)))
    lines.close()
    lines.close()
    assert capsys.readouterr().err.startswith("1/1 trials")


def test_the_bar_draws_on_standard_error_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stream, clock = terminal(monkeypatch), Clock()
    bar = SearchDisplay(Score(TWO, None), clock=clock)
    bar.start([Finished(0, (1.0, 1.0))], 3)
    clock.now = 1.0
    bar.add(Finished(1, (2.0, 2.0)))
    bar.say("[note] remark")
    bar.close()
    bar.close()
    assert capsys.readouterr().out == ""
    assert "[note] remark" in stream.getvalue()
    for text in ("2/3", "1.0 trials/s", "front 2"):
        assert text in stream.getvalue()


def test_a_long_silence_says_what_is_done_meanwhile(capsys):
    clock = Clock()
    with SearchDisplay(Score(TWO, None), clock=clock) as lines:
        lines.start([], 5)
        clock.now = 1.9
        lines.silence()
        assert capsys.readouterr().err == ""
        clock.now = 2.1
        with doing("scoring a pool of 500 for the warm start"):
            lines.silence()
            lines.silence()  # once
        assert capsys.readouterr().err == (
            "0/5 trials · 0.0 trials/s · scoring a pool of 500 for the warm start\n"
        )
        clock.now = 7.2
        lines.silence()
        assert capsys.readouterr().err == "0/5 trials · 0.0 trials/s · nothing feasible yet\n"
    clock.now = 100.0
    lines.silence()
    assert capsys.readouterr().err == ""


def test_what_comes_once_does_not_count_for_the_time_left(capsys):
    clock = Clock()
    with SearchDisplay(Score(TWO, None), clock=clock) as lines:
        lines.start([], 10)
        with doing("scoring a pool", once=True), doing("scoring"):
            clock.now = 100.0
        with doing("training"):
            clock.now = 102.0
        lines.add(Finished(0, (1.0, 1.0)))
    assert "1/10 trials · 0.5 trials/s · 0:00:18 left" in capsys.readouterr().err


def test_waiting_says_what_is_done_and_for_how_long(capsys):
    clock = Clock()
    with WaitingDisplay("preparing", words=str.upper, clock=clock) as waiting:
        clock.now = 1.0
        waiting.silence()
        assert capsys.readouterr().err == ""
        clock.now = 2.0
        with doing("measuring 50 architectures") as tell:
            waiting.silence()
            clock.now = 7.0
            tell("measuring 30 architectures")
            waiting.silence()
        clock.now = 12.0
        waiting.silence()
    assert capsys.readouterr().err.splitlines() == [
        "MEASURING 50 ARCHITECTURES · 0:00:02",
        "MEASURING 30 ARCHITECTURES · 0:00:07",
        "PREPARING · 0:00:12",
    ]


def test_what_is_done_is_known_while_it_is_done():
    with doing("unheard"):
        pass
    activity, inner = Activity(), Activity()
    with heard_by(activity):
        with doing("a"):
            with doing("b"):
                assert activity.text == "b"
            assert activity.text == "a"
            with heard_by(inner), doing("c"):
                assert (activity.text, inner.text) == ("a", "c")
        assert activity.text == ""


def test_two_searches_at_a_time_do_not_hear_each_other():
    heard: dict[str, str] = {}
    both = threading.Barrier(2)

    def run(name: str) -> None:
        activity = Activity()
        with heard_by(activity), doing(name):
            both.wait(10)
            heard[name] = activity.text
            both.wait(10)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == {"one": "one", "two": "two"}


@pytest.mark.parametrize("live", [True, False])
def test_orders_to_the_terminal_are_shown_and_not_obeyed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], live: bool
) -> None:
    stream = terminal(monkeypatch) if live else None
    orders = "[bold]\x1b]0;title\x07\x9b1A:smile:"
    score = Score([Objective(orders)], None)
    with SearchDisplay(score) as display:
        display.start([], 1)
        display.add(Finished(0, (1.0,)))
        display.say(orders)
    text = stream.getvalue() if stream else capsys.readouterr().err
    assert text.count(r"[bold]\x1b]0;title\x07\x9b1A:smile:") >= 2
    assert "\x1b]0" not in text
    assert "\x9b" not in text
