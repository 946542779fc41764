import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

import hebbax as hx
from hebbax import plots


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
    with pytest.raises(ValueError, match="13 inputs"):
        plots.decision_regions(rule, theta, [hx.tasks.wine()], hidden=(5,))
    with pytest.raises(ValueError, match="at least one task"):
        plots.decision_regions(rule, theta, [], hidden=(5,))
    with pytest.raises(ValueError, match="ascend"):
        plots.decision_regions(rule, theta, [hx.tasks.toy("xor")], hidden=(5,), updates=(2, 1))


def test_a_surer_prediction_has_a_stronger_colour():
    red_or_blue = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    unsure, sure, other = plots._blend(
        np.array([[0.55, 0.45], [0.9, 0.1], [0.1, 0.9]]), red_or_blue
    )
    assert sure[1] < unsure[1] < 1
    np.testing.assert_allclose(sure[::-1], other)


def test_pyplot_is_left_alone():
    import sys

    plots.learning_curves({"xor": {"genome": _curves()}})
    assert "matplotlib.pyplot" not in sys.modules or not matplotlib.pyplot.get_fignums()
