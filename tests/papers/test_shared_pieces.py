"""What the experiments share: statistics, rows, and pictures of curves."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.papers._figures import band, legend_below, logarithmic_from_zero, sheet
from hebbax.papers._statistics import (
    last_rows,
    mean_and_error,
    most_frequent,
    rounded,
    rows,
    standard_error,
)
from hebbax.papers._training import learning_rates, minutes, trial
from hebbax.papers.unsupervised._embedding import between

LINES = np.asarray([[0.2, 0.9], [0.4, 1.0], [0.6, 1.0]])


def test_standard_errors():
    np.testing.assert_allclose(standard_error(LINES), [0.2 / 3**0.5, 0.1 / 3], rtol=1e-12)
    assert mean_and_error(LINES[:, 0]) == pytest.approx((0.4, 0.2 / 3**0.5))
    assert mean_and_error([0.3]) == (0.3, 0.0)


def test_the_most_frequent_class():
    x, y = np.zeros((5, 2)), np.asarray([0, 2, 2, 1, 2])
    family = hx.tasks.from_arrays(x, y, x, y)
    assert most_frequent(family) == pytest.approx(0.6)


def test_rows_name_what_they_are_of():
    found = rows(LINES, (1, 5), each="run", form=rounded, rule="a")
    assert len(found) == 6
    assert found[1] == {"rule": "a", "run": 0, "updates": 5, "accuracy": 0.9}
    assert list(found[0]) == ["rule", "run", "updates", "accuracy"]
    found = last_rows(LINES[:, 0], form="{:.2f}".format, size=4)
    assert found[2] == {"size": 4, "network": 2, "accuracy": "0.60"}


def test_a_line_for_every_point_is_needed():
    with pytest.raises(ValueError, match="zip"):
        rows(LINES, (1, 2, 3))


def test_a_band_stays_where_values_can_be():
    _, [[axes]] = sheet(3, 2)
    band(axes, [1, 2], LINES, "three", "C0")
    path = axes.collections[0].get_paths()[0].vertices
    assert path[:, 1].max() == 1.0
    np.testing.assert_allclose(axes.lines[0].get_ydata(), LINES.mean(axis=0))
    band(axes, [1, 2], 3 * LINES, "above", "C1", errors=True, within=(-np.inf, np.inf))
    low, high = (axes.collections[1].get_paths()[0].vertices[:, 1]).min(), 3 * 0.4 - 0.6 / 3**0.5
    assert low == pytest.approx(high)


def test_a_legend_names_every_line_once():
    figure, [panels] = sheet(4, 2, columns=2)
    for axes in panels:
        axes.plot([0, 1], label="both")
    panels[1].plot([1, 0], label="one")
    legend_below(figure, panels)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["both", "one"]


def test_an_axis_may_begin_with_zero():
    axes = Figure().subplots()
    logarithmic_from_zero(axes, (0, 10, 1000))
    assert axes.get_xlim() == (0, 1000)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "10", "1,000"]
    places = axes.transData.transform([(x, 0) for x in (0, 10, 100, 1000)])[:, 0]
    assert np.diff(places)[1] == pytest.approx(np.diff(places)[2], rel=1e-6)


def test_minutes_count_each_meta_step_with_its_line():
    history = [{"step": 10, "step_seconds": 3.0}, {"step": 15, "step_seconds": 6.0}]
    assert minutes(history) == 1.0


def test_all_learners_are_tried_alike():
    settings = trial(4, hidden=[3], points=(1, 7), batch=2, networks=5)
    assert (settings["hidden"], settings["steps"], settings["at"]) == ((3,), 7, (1, 7))
    assert len(learning_rates("sgd", 9)) == 9


def test_the_share_of_variance_between_classes():
    generator = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 200)
    noise = generator.normal(size=(600, 3))
    centres = np.array([[0.0, 0.0, 0.0], [30.0, 0.0, 0.0], [0.0, 30.0, 0.0]])
    assert between(noise + centres[y], y) > 0.95
    assert between(noise, y) < 0.02
    # Two classes whose means are two apart and whose deviations are one: a half.
    along = np.zeros((400, 3))
    along[:, 0] = np.tile([-1.0, 1.0], 200) + np.tile([-2.0, -2.0, 0.0, 0.0], 100)
    assert between(along, np.tile([0, 1], 200)) == pytest.approx(0.5)
    assert between(np.ones((4, 3)), np.array([0, 0, 1, 1])) == 0
