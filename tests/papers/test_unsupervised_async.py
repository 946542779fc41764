"""What watches asynchronous runs, without any."""

import signal
import types

import pytest

from hebbax.papers.unsupervised import _turns
from hebbax.papers.unsupervised._turns import EnoughError, WatchedRay, Watcher


@pytest.fixture
def pool_of_two():
    ray = WatchedRay(workers=2)
    ray.engines.append(types.SimpleNamespace(pool=types.SimpleNamespace(pids={0: 17, 1: 18})))
    return ray


@pytest.fixture
def sent(monkeypatch):
    signals = []
    monkeypatch.setattr(_turns.os, "kill", lambda *what: signals.append(what))
    return signals


def _line(step, seconds, workers, lost=0):
    line = {"workers": [float(workers)], "lost": [float(lost)], "age": [0.5]}
    return {"step": step, "step_seconds": seconds, **line}


def test_workers_take_turns_and_one_is_killed_in_the_end(pool_of_two, sent):
    watcher = Watcher(pool_of_two, (1, 2), lines=2)
    watcher.start(0, ())
    watcher.log(_line(10, 9.0, 1))
    assert not sent
    watcher.log(_line(20, 9.0, 2))
    assert sent == [(17, signal.SIGCONT), (18, signal.SIGSTOP)]
    # The first line of a turn still knows the turn before.
    for step, seconds in ((30, 5.0), (40, 0.4), (50, 0.6)):
        watcher.log(_line(step, seconds, 2))
    assert sent[2:] == [(17, signal.SIGCONT), (18, signal.SIGCONT)]
    for step, seconds in ((60, 5.0), (70, 0.2), (80, 0.3)):
        watcher.log(_line(step, seconds, 2))
    assert watcher.rates() == pytest.approx({1: 2.0, 2: 4.0})
    assert sent[-1] == (17, signal.SIGKILL)
    # The loss may be seen a line later.
    watcher.log(_line(90, 0.5, 2))
    watcher.log(_line(100, 1.0, 1, lost=1))
    with pytest.raises(EnoughError):
        watcher.log(_line(110, 0.4, 2))
    assert (watcher.lost, watcher.killed_at) == (1, 80)
    assert [line["active"] for line in watcher.lines][1:4] == [2, 1, 1]


def test_nobody_stays_stopped(pool_of_two, sent):
    watcher = Watcher(pool_of_two, (1, 2), lines=2)
    watcher.log(_line(10, 1.0, 2))
    watcher.close()
    assert sent[-2:] == [(17, signal.SIGCONT), (18, signal.SIGCONT)]


def test_closing_before_the_beginning_is_nothing():
    Watcher(WatchedRay(workers=2), (1,), lines=1).close()
