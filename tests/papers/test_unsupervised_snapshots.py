import dataclasses

import jax
import numpy as np
import pytest

import hebbax as hx
from hebbax.papers.unsupervised import _snapshots
from hebbax.papers.unsupervised._meta_training import MetaTrainingCurves

SMOKE = MetaTrainingCurves.at("smoke")


def test_recipe_begins_where_the_first_snapshot_says(tmp_path):
    fresh = dataclasses.replace(SMOKE, meta_steps=(0,))
    (start,) = fresh.snapshots(tmp_path, seed=3)
    assert (start.meta_steps, start.minutes) == (0, 0.0)
    recipe = _snapshots.ShortTraining(
        channels=SMOKE.channels,
        hebbian=SMOKE.hebbian,
        decorrelation=SMOKE.decorrelation,
        seed=3,
    )
    for a, b in zip(jax.tree.leaves(start.theta), jax.tree.leaves(recipe.start()), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@pytest.mark.long
def test_what_has_been_done_is_not_done_again(tmp_path, monkeypatch):
    first = SMOKE.snapshots(tmp_path, seed=3)
    monkeypatch.setattr(_snapshots.ShortTraining, "meta_train", None)
    again = SMOKE.snapshots(tmp_path, seed=3)
    assert [s.meta_steps for s in again] == [0, 2]
    assert first[1].minutes == again[1].minutes > 0
    theta = hx.load_rule(tmp_path / "snapshots" / "step-000002.safetensors")[1]
    for a, b in zip(jax.tree.leaves(again[1].theta), jax.tree.leaves(theta), strict=True):
        np.testing.assert_array_equal(a, b)
    moved = zip(jax.tree.leaves(first[0].theta), jax.tree.leaves(theta), strict=True)
    assert any((a != b).any() for a, b in moved)
