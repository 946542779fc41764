import dataclasses

import jax
import numpy as np
import pytest

import hebbax as hx
from hebbax.recipes import RECIPES, BlurStream
from hebbax.recipes._streams import SPREADS

SMALL = BlurStream(hidden=(3,), unrolls=2, batch=4, population=3, steps=1, log_every=1,
                   checkpoint_every=1, validation=1)  # fmt: skip


def test_the_start_is_a_learner(key):
    rule, theta = BlurStream().rule(), BlurStream().start()
    assert RECIPES["blur/stream"] is BlurStream
    assert jax.tree.structure(theta) == jax.tree.structure(rule.init(key))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1600, 4))
    curves = hx.evaluate_stream(rule, theta, x, (x[:, 0] + x[:, 1] > 0).astype(int), hidden=(8,))
    assert curves.right[:, 800:].mean() > 0.9


def test_no_stream_that_judges_it_is_among_its_families():
    names = [family.name for family in BlurStream().task_families()]
    assert not any(stream in name for stream in (*hx.tasks.STREAMS, "mnist") for name in names)
    assert isinstance(BlurStream().objective(), hx.objectives.Prequential)


def test_a_meta_step_changes_times_paces_and_votes_only(tmp_path):
    result = SMALL.meta_train(tmp_path, SMALL.task_families()[2:3])
    assert np.isfinite(result.loss)
    start = jax.tree_util.tree_flatten_with_path(SMALL.start())[0]
    for (path, before), after in zip(start, jax.tree.leaves(result.thetas), strict=True):
        changed = not np.allclose(after[0], before, rtol=1e-6)
        assert changed == (path[-1].name in SPREADS)


def test_options_out_of_range():
    with pytest.raises(ValueError, match="unrolls must be at least 1"):
        dataclasses.replace(SMALL, unrolls=0)
    with pytest.raises(ValueError, match="population must be at least 2"):
        dataclasses.replace(SMALL, population=1)
