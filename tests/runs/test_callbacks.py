"""Who is told how a run goes: callbacks of a user's own, and TensorBoard."""

import math
import struct
import subprocess
import sys

import numpy as np
import pytest
from tiny import logged, same_result, timeless, train

import hebbax as hx
from hebbax.runs._tensorboard import MISSING, moments

event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")


class Diary:
    """A callback that notes what it is told, and may fail at a step."""

    def __init__(self, fails_at=None, error=None):
        self.fails_at, self.error = fails_at, error or RuntimeError("enough")
        self.told, self.history = [], None

    def start(self, step, history):
        self.told.append(("start", step))
        self.history = list(history)
        if self.fails_at == "start":
            raise self.error

    def log(self, line):
        self.told.append(("log", line["step"]))
        if line["step"] == self.fails_at:
            raise self.error

    def close(self):
        self.told.append(("close",))


def events(folder):
    """Return all events of the files in a folder, in the order a viewer reads them."""
    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data, place = path.read_bytes(), 0
        while place < len(data):
            # A TFRecord: length, its checksum, the event, its checksum.
            (length,) = struct.unpack_from("<Q", data, place)
            found.append(event_pb2.Event.FromString(data[place + 12 : place + 12 + length]))
            place += 12 + length + 4
    return found


def shown(folder):
    """Return {metric: [(step, value)]}, without what later files say is purged."""
    series = {}
    for event in events(folder):
        if event.HasField("session_log") and event.session_log.status == event.session_log.START:
            series = {
                name: [(step, value) for step, value in points if step < event.step]
                for name, points in series.items()
            }
        for value in event.summary.value:
            if value.HasField("simple_value"):
                series.setdefault(value.tag, []).append((event.step, value.simple_value))
    return series


def test_a_callback_is_told_everything_in_order(tmp_path):
    diary = Diary()
    assert isinstance(diary, hx.Callback)
    result = train(tmp_path, callbacks=[diary])
    lines = [("log", step) for step in (5, 10, 15, 20)]
    assert diary.told == [("start", 0), *lines, ("close",)]
    assert diary.history == []
    assert [line["step"] for line in result.history] == [line["step"] for line in logged(tmp_path)]
    same_result(result, train())


def test_a_callback_of_a_resumed_run_is_told_what_was_before(tmp_path):
    first = train(tmp_path, steps=10)
    diary = Diary()
    train(tmp_path, callbacks=[diary])
    assert diary.told == [("start", 10), ("log", 15), ("log", 20), ("close",)]
    assert diary.history == list(first.history)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("enough"), pytest.param(KeyboardInterrupt(), marks=pytest.mark.slow)],
)
def test_all_callbacks_are_closed_when_one_fails(tmp_path, error):
    before, failing, after = Diary(), Diary(15, error), Diary()
    with pytest.raises(type(error)):
        train(tmp_path, callbacks=[before, failing, after])
    assert before.told[-2:] == [("log", 15), ("close",)]
    assert failing.told[-2:] == [("log", 15), ("close",)]
    assert after.told[-2:] == [("log", 10), ("close",)]
    same_result(train(tmp_path), train())


def test_a_callback_that_fails_to_start_is_closed():
    before, failing, after = Diary(), Diary("start"), Diary()
    with pytest.raises(RuntimeError, match="enough"):
        train(callbacks=[before, failing, after])
    assert before.told == failing.told == [("start", 0), ("close",)]
    assert after.told == []


@pytest.mark.usefixtures("unchecked")
def test_what_is_no_callback_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"start, log and close .* got <built-in function print>"):
        train(tmp_path / "run", callbacks=[print])
    assert not (tmp_path / "run").exists()


def test_tensorboard_holds_a_series_for_every_metric(tmp_path):
    result = train(callbacks=[hx.TensorBoard(tmp_path)])
    series = shown(tmp_path)
    metrics = {name for line in result.history for name in line} - {"step"}
    assert {"loss", "accuracy", "gradient_norm", "validation_loss", "step_seconds"} <= metrics
    assert series.keys() == metrics
    for name, points in series.items():
        lines = [line for line in result.history if name in line]
        assert [step for step, _ in points] == [line["step"] for line in lines]
        expected = [line[name][0] if isinstance(line[name], list) else line[name] for line in lines]
        np.testing.assert_allclose([value for _, value in points], expected, rtol=1e-6)


def test_tensorboard_keeps_runs_apart(tmp_path):
    result = train(runs=2, callbacks=[hx.TensorBoard(tmp_path)])
    for run in range(2):
        points = shown(tmp_path / f"run-{run + 1}")["loss"]
        expected = [line["loss"][run] for line in result.history]
        np.testing.assert_allclose([value for _, value in points], expected, rtol=1e-6)
    together = shown(tmp_path)
    assert "loss" not in together
    assert [step for step, _ in together["meta_steps_per_s"]] == [5, 10, 15, 20]


@pytest.mark.parametrize("before", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_tensorboard_shows_neither_lost_steps_nor_gaps(tmp_path, before):
    """Whether or not the process that was lost wrote event files."""
    folder = tmp_path / "run"
    board = [hx.TensorBoard(tmp_path / "board")] if before else []
    with pytest.raises(RuntimeError, match="enough"):
        train(folder, callbacks=[*board, Diary(15)])
    if before:
        assert [step for step, _ in shown(tmp_path / "board")["loss"]] == [5, 10, 15]
    result = train(folder, callbacks=[hx.TensorBoard(tmp_path / "board")])
    assert len(list((tmp_path / "board").iterdir())) == (2 if before else 1)
    points = shown(tmp_path / "board")["loss"]
    assert [step for step, _ in points] == [5, 10, 15, 20]
    np.testing.assert_allclose(
        [value for _, value in points], [line["loss"][0] for line in result.history], rtol=1e-6
    )
    assert timeless(result.history) == timeless(train().history)


def test_what_is_not_finite_leaves_a_gap(tmp_path, recwarn):
    board = hx.TensorBoard(tmp_path)
    board.start(0, ())
    for step, loss in ((1, 0.5), (2, math.nan), (3, math.inf), (4, 0.25)):
        board.log({"step": step, "loss": [loss], "step_seconds": 0.1})
    board.close()
    assert shown(tmp_path)["loss"] == [(1, 0.5), (4, 0.25)]
    assert [step for step, _ in shown(tmp_path)["step_seconds"]] == [1, 2, 3, 4]
    assert not recwarn.list


def test_tensorboard_tells_of_a_divergence(tmp_path):
    board = hx.TensorBoard(tmp_path)
    event = {"run": 1, "step": 7, "key": [3, 4], "back_to": 5}
    board.start(0, ())
    board.log({"step": 10, "loss": [0.5, 0.4], "step_seconds": 0.1, "diverged": [event]})
    board.close()
    texts = {
        value.tag: value.tensor.string_val[0].decode()
        for found in events(tmp_path / "run-2")
        for value in found.summary.value
        if value.HasField("tensor")
    }
    assert list(texts.values()) == ["step 7, key [3, 4]; back to where it was at step 5"]
    assert "diverged" in next(iter(texts))


def test_lines_of_before_get_the_time_they_took(tmp_path):
    lines = [
        {"step": step, "loss": [1.0], "step_seconds": seconds}
        for step, seconds in ((5, 9.0), (10, 2.0), (30, 0.5))
    ]
    assert moments(lines, 1000.0) == [1000.0 - 10 - 10, 1000.0 - 10, 1000.0]
    assert moments([], 1000.0) == []
    board = hx.TensorBoard(tmp_path)
    board.start(30, lines)
    board.close()
    times = [e.wall_time for e in events(tmp_path) if any(v.tag == "loss" for v in e.summary.value)]
    np.testing.assert_allclose(np.diff(times), [10.0, 10.0], atol=1e-3)


def test_without_tensorboardx_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError) as caught:
        hx.TensorBoard(tmp_path)
    assert str(caught.value) == MISSING
    assert "pip install 'hebbax[tensorboard]'" in MISSING


def test_tensorboardx_is_imported_only_when_used():
    program = "import sys, hebbax; sys.exit('tensorboardX' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
