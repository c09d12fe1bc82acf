"""What is shown while a search runs."""

from __future__ import annotations

import numpy as np

from nas_plugins._doing import doing, what
from nas_plugins.history import Objective
from nas_plugins.runner.display import Bar, Finished, Lines, Score

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
    lines = Lines(Score(TWO, None), clock=clock)
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
    lines = Lines(Score(TWO, None), clock=Clock())
    lines.start([], 1)
    lines.add(Finished(0, (1.0, 1.0)))
    lines.close()
    lines.close()
    assert capsys.readouterr().err.startswith("1/1 trials")


def test_the_bar_draws_on_standard_error_only(capsys):
    clock = Clock()
    bar = Bar(Score(TWO, None), clock=clock)
    bar.start([Finished(0, (1.0, 1.0))], 3)
    clock.now = 1.0
    bar.add(Finished(1, (2.0, 2.0)))
    bar.say("[note] remark")
    bar.close()
    bar.close()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "[note] remark" in captured.err
    assert "2/3" in captured.err


def test_a_long_silence_says_what_is_done_meanwhile(capsys):
    clock = Clock()
    lines = Lines(Score(TWO, None), clock=clock)
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
    lines.close()
    clock.now = 100.0
    lines.silence()
    assert capsys.readouterr().err == ""


def test_what_is_done_is_known_while_it_is_done():
    assert what() == ""
    with doing("a"):
        with doing("b"):
            assert what() == "b"
        assert what() == "a"
    assert what() == ""
