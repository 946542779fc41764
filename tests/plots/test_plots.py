import json
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

import hebbax as hx
from hebbax import plots
from hebbax.plots._curves import _blend
from hebbax.plots._runs import run_curves, short_names
from hebbax.runs._run_log import RunLog, read_log


def _curves(seeds=3, steps=6):
    generator = np.random.default_rng(0)
    accuracy = generator.uniform(size=(seeds, steps))
    return hx.Curves(np.arange(1, steps + 1), accuracy, -np.log(accuracy))


def _save(figure, tmp_path):
    path = tmp_path / "picture.png"
    figure.savefig(path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_learning_curves_have_a_panel_a_task_and_a_line_a_learner(tmp_path):
    tasks = {name: {"genome": _curves(), "Adam": _curves()} for name in ("xor", "wine", "iris")}
    figure = plots.learning_curves(tasks, columns=2, title="three tasks")
    assert isinstance(figure, Figure)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == list(tasks)
    assert all(len(axes.lines) == 2 for axes in shown)
    assert shown[0].get_ylabel() == "test accuracy"
    assert shown[1].get_xlabel() == shown[2].get_xlabel() == "updates"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["genome", "Adam"]
    _save(figure, tmp_path)


def test_a_learner_keeps_its_colour_where_another_is_missing():
    tasks = {"xor": {"genome": _curves(), "Adam": _curves()}, "wine": {"Adam": _curves()}}
    first, second = plots.learning_curves(tasks).axes
    assert first.lines[1].get_color() == second.lines[0].get_color()


def test_learning_curves_say_how_many_networks():
    figure = plots.learning_curves({"xor": {"genome": _curves(seeds=5)}})
    assert "5 networks" in figure.get_suptitle()


@pytest.mark.parametrize("tasks", [{}, {"xor": {}}])
def test_no_curves_are_refused(tasks):
    with pytest.raises(ValueError, match="at least one learner"):
        plots.learning_curves(tasks)


@pytest.mark.parametrize("outputs", [1, 2])
def test_decision_regions_show_every_look_at_every_task(outputs, key, tmp_path):
    rule = hx.Backprop("adam", learning_rate=0.1)
    figure = plots.decision_regions(
        rule,
        rule.init(key),
        [hx.tasks.toy("xor", outputs=outputs), hx.tasks.toy("random_circle")],
        hidden=(5,),
        updates=(0, 1, 3),
        batch=16,
        resolution=12,
    )
    assert len(figure.axes) == 6
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["fresh synapses", "1 update", "3 updates", "", "", ""]
    assert figure.axes[3].get_ylabel() == "random circle"
    assert all(axes.images[0].get_array().shape == (12, 12, 3) for axes in figure.axes)
    _save(figure, tmp_path)


def test_decision_regions_refuse_what_has_no_plane(key):
    rule = hx.Backprop()
    theta = rule.init(key)
    with pytest.raises(ValueError, match="wine with 13"):
        plots.decision_regions(rule, theta, [hx.tasks.wine()], hidden=(5,))
    with pytest.raises(ValueError, match="at least one task"):
        plots.decision_regions(rule, theta, [], hidden=(5,))
    with pytest.raises(ValueError, match="ascend"):
        plots.decision_regions(rule, theta, [hx.tasks.toy("xor")], hidden=(5,), updates=(2, 1))


def test_a_surer_prediction_has_a_stronger_colour():
    red_or_blue = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    unsure, sure, other = _blend(np.array([[0.55, 0.45], [0.9, 0.1], [0.1, 0.9]]), red_or_blue)
    assert sure[1] < unsure[1] < 1
    np.testing.assert_allclose(sure[::-1], other)


def test_pyplot_is_left_alone():
    import sys

    plots.learning_curves({"xor": {"genome": _curves()}})
    assert "matplotlib.pyplot" not in sys.modules or not matplotlib.pyplot.get_fignums()


def _log(tmp_path, name="run", rows=12, runs=3, config=None, change=None):
    """Return the log of a run whose second of `runs` validates best, and ends at 10 * `rows`."""
    lines = []
    for row in range(1, rows + 1):
        line = {
            "step": 10 * row,
            "loss": [2 / row + 0.1 * run for run in range(runs)],
            "accuracy": [1 - 1 / row] * runs,
            "meta_steps_per_s": 5e4,
        }
        if row % 4 == 0:
            line["validation_loss"] = [1 / row + abs(run - 1) for run in range(runs)]
        lines.append({**line, **(change(row) if change else {})})
    folder = tmp_path / name
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return read_log(folder)


def _legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def _thick(axes):
    return [line for line in axes.lines if line.get_linewidth() == 1.8]


def test_run_curves_mark_the_best_of_the_runs(tmp_path):
    log = _log(tmp_path, config={"objective": {"name": "QueryCrossEntropy"}})
    figure = run_curves({"run": log})
    loss, accuracy = figure.axes
    assert loss.get_ylabel() == "meta-loss: cross-entropy (nats)"
    assert accuracy.get_ylabel() == "accuracy (share of right answers)"
    assert loss.get_xlabel() == accuracy.get_xlabel() == "meta-steps"
    (best,) = _thick(loss)
    np.testing.assert_array_equal(best.get_xdata(), range(10, 121, 10))
    np.testing.assert_allclose(best.get_ydata(), [2 / row + 0.1 for row in range(1, 13)])
    (validation,) = [line for line in loss.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(validation.get_xydata(), [[40, 1 / 4], [80, 1 / 8]])
    (star,) = [line for line in loss.lines if line.get_marker() == "*"]
    np.testing.assert_allclose(star.get_xydata(), [[120, 1 / 12]])
    assert _legend(figure) == [
        "run 2 of 3, the best", "the other runs", "validation", "lowest validation loss",
    ]  # fmt: skip
    assert "120 meta-steps of 3 runs; lowest validation loss 0.08333" in figure.get_suptitle()
    _save(figure, tmp_path)


def test_run_curves_lie_on_top_of_each_other(tmp_path):
    logs = {
        "long": _log(tmp_path, "long", config={"objective": {"name": "QueryCrossEntropy"}}),
        "other": _log(tmp_path, "other", 6, 1, config={"objective": {"name": "QueryAccuracy"}}),
    }
    figure = run_curves(logs, title="two of them")
    loss = figure.axes[0]
    first, second = _thick(loss)
    assert first.get_color() != second.get_color()
    # They do not measure the same.
    assert loss.get_ylabel() == "meta-loss"
    assert _legend(figure)[:2] == ["long (run 2 of 3, the best)", "other"]
    assert figure.get_suptitle() == "two of them"
    _save(figure, tmp_path)


def test_run_curves_show_stages_and_divergences(tmp_path):
    config = {
        "objective": {
            "name": "Curriculum", "unrolls": [5, 10, 20, 40], "every": 50,
            "objective": {"name": "OnlineCrossEntropy", "reduction": "sum"},
        },
        "card": {"title": "a curriculum"},
    }  # fmt: skip

    def change(row):
        event = {"run": 0, "step": 63, "key": [1, 2], "back_to": 40}
        return {"loss": [None, 0.5], "diverged": [event]} if row == 7 else {"loss": [1.0, 0.5]}

    log = _log(tmp_path, runs=2, config=config, change=change)
    assert log.stages() == {50: "10 updates", 100: "20 updates"}
    figure = run_curves({"run": log})
    for axes in figure.axes:
        assert [text.get_text() for text in axes.texts] == ["10 updates", "20 updates"]
        (cross,) = [line for line in axes.lines if line.get_marker() == "X"]
        assert cross.get_xdata()[0] == 63
    assert figure.axes[0].get_ylabel() == "meta-loss: cross-entropy (nats), summed"
    assert {"next stage", "a run diverged and went back"} <= {*_legend(figure)}
    assert figure.get_suptitle().startswith("a curriculum\n")
    _save(figure, tmp_path)


def test_the_lowest_validation_loss_is_that_of_the_last_stage(tmp_path):
    """Losses of different stages are about different lifetimes."""
    config = {"objective": {"name": "Curriculum", "unrolls": [1, 2], "every": 80, "objective": {}}}

    def change(row):
        return {"validation_loss": [0.1 if row <= 8 else 0.7, 0.9]} if row % 4 == 0 else {}

    lowest = _log(tmp_path, runs=2, config=config, change=change).lowest()
    assert (lowest.loss, lowest.run, lowest.step) == (0.7, 0, 120)
    before = _log(tmp_path, "shorter", rows=9, runs=2, config=config, change=change).lowest()
    assert (before.loss, before.step) == (0.1, 40)


def test_without_a_configuration_synchronised_stages_are_known(tmp_path):
    log = _log(tmp_path, change=lambda row: {"synchronized_on": 2} if row == 6 else {})
    assert log.stages() == {60: ""}
    assert log.objective == {}
    assert "synchronized_on" not in log.metrics


def test_a_spike_does_not_hide_the_rest_and_is_told_of(tmp_path):
    log = _log(tmp_path, rows=100, runs=1, change=lambda row: {"loss": [9e3 if row == 60 else 1]})
    axes = run_curves({"run": log}, metrics=["loss"]).axes[0]
    assert axes.get_ylim()[1] < 2
    assert [text.get_text() for text in axes.texts] == ["up to 9e+03 ↑"]


def test_a_wide_range_makes_the_axis_logarithmic(tmp_path):
    log = _log(tmp_path, runs=1, change=lambda row: {"loss": [1e4 / 10**row]})
    assert run_curves({"run": log}, metrics=["loss"]).axes[0].get_yscale() == "log"
    assert run_curves({"run": log}, metrics=["accuracy"]).axes[0].get_yscale() == "linear"


def test_runs_without_anything_finite_are_drawn(tmp_path):
    nothing = {"loss": [None], "accuracy": [None], "validation_loss": [None]}
    log = _log(tmp_path, rows=2, runs=1, change=lambda _: nothing)
    assert log.lowest() is None
    assert log.best_run() == 0
    _save(run_curves({"run": log}), tmp_path)


def test_without_validation_the_lowest_training_loss_is_the_best(tmp_path):
    log = _log(tmp_path, rows=3, change=lambda _: {"loss": [3.0, None, 2.0]})
    assert log.lowest() is None
    assert log.best_run() == 2
    assert "validation" not in _legend(run_curves({"run": log}))


def test_every_metric_can_be_drawn(tmp_path):
    log = _log(tmp_path, change=lambda _: {"accuracy/two_moons": [0.5] * 3, "clipped": [0.0] * 3})
    figure = run_curves({"run": log}, metrics=log.metrics)
    labels = [axes.get_ylabel() for axes in figure.axes if axes.get_visible()]
    assert len(labels) == len(log.metrics) == 6
    assert "accuracy (share of right answers)\non two moons" in labels
    assert "validation loss" in labels
    _save(figure, tmp_path)


def test_run_curves_refuse_what_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="at least one run"):
        run_curves({})
    log = _log(tmp_path)
    with pytest.raises(ValueError, match=r"metrics must be one of loss, .* Did you mean 'loss'"):
        run_curves({"run": log}, metrics=["los"])
    with pytest.raises(ValueError, match="metrics must name at least one of loss"):
        run_curves({"run": log}, metrics=[])


def test_names_are_as_long_as_it_takes():
    assert short_names([Path("runs/a"), Path("runs/b")]) == ["a", "b"]
    assert short_names([Path("x/a"), Path("y/a"), Path("y/b")]) == ["x/a", "y/a", "y/b"]
    assert short_names([Path("a"), Path("a")]) == ["a", "a"]


@pytest.mark.parametrize("name", ["$\\frac{$", "\x1b[2J\x07\r", "a$b$c"])
def test_names_of_anybody_are_no_formulas_and_no_commands(tmp_path, name):
    """Of a run's metrics, its title and its folder, of tasks and of learners."""
    lines = ({"step": 50, "loss": [1.0], name: [0.5]}, {"step": 100, "loss": [1.0], name: [0.4]})
    log = RunLog(tmp_path / name, lines, {"card": {"title": name}})
    for logs in ({name: log}, {name: log, "b": log}):
        _save(run_curves(logs, metrics=["loss", name]), tmp_path)
    _save(plots.learning_curves({name: {name: _curves()}}, title=name), tmp_path)
