import dataclasses

import jax
import numpy as np
import pytest

import hebbax as hx
from hebbax.recipes import RECIPES, BlurStream

SMALL = BlurStream(hidden=(3,), unrolls=2, batch=4, steps=1, log_every=1, checkpoint_every=1,
                   validation=1)  # fmt: skip


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


@pytest.mark.slow
def test_a_meta_step_runs(tmp_path):
    families = SMALL.task_families()[3:4]
    result = SMALL.meta_train(tmp_path, families)
    assert np.isfinite(result.loss)
    last, start = jax.tree.leaves(result.thetas), jax.tree.leaves(SMALL.start())
    assert any(not np.array_equal(a[0], b) for a, b in zip(last, start, strict=True))


def test_options_out_of_range():
    with pytest.raises(ValueError, match="unrolls must be at least 1"):
        dataclasses.replace(SMALL, unrolls=0)
