import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hebbax._optax import updates
from hebbax.recipes import RECIPES
from hebbax.rules.unsupervised._parameters import PLANES
from hebbax.teachers._clustering import CloneClustering

RECIPE = RECIPES["unsupervised/hebbian"]()


def test_the_rule_starts_from_hebbian_learning_and_decorrelation():
    recipe = dataclasses.replace(RECIPE, hebbian=5.0, decorrelation=2.0, others=0.5)
    theta = recipe.rule().init(jax.random.key(0))
    weights = dict(zip(PLANES[12], np.asarray(theta.merge.w).tolist(), strict=True))
    assert weights.pop("hebb") == 5
    assert weights.pop("decorr_x") == 2
    assert set(weights.values()) == {0.5}


@pytest.mark.slow
def test_weights_of_planes_move_faster_and_slow_down():
    """Adam's first step is the learning rate itself."""
    recipe = dataclasses.replace(RECIPE, learning_rate=0.01, merge_rate=20.0, steps=10)
    theta = recipe.rule().init(jax.random.key(0))
    optimizer = recipe.method().optimizer
    ones = jax.tree.map(jnp.ones_like, theta)
    state = optimizer.init(theta)
    first, state = updates(optimizer, ones, state, theta)
    np.testing.assert_allclose(first.merge.w, -0.2, rtol=1e-3)
    np.testing.assert_allclose(first.merge.b, -0.2, rtol=1e-3)
    np.testing.assert_allclose(first.delta.w, -0.01, rtol=1e-3)
    for _ in range(10):
        last, state = updates(optimizer, ones, state, theta)
    np.testing.assert_allclose(last.merge.w, -0.2 * 0.02, rtol=0.05)


def test_lifetimes_grow():
    truncation = dataclasses.replace(RECIPE, truncation=4, first=20, final=160).method().truncation
    assert (truncation.longest, truncation.count, truncation.final_count) == (4, 5, 40)
    assert truncation.count_growth == RECIPE.steps // 2


def test_every_update_is_judged_by_the_papers_distance():
    objective = RECIPE.objective()
    assert objective.every_update
    assert objective.weight_penalty == 0
    assert objective.query == 200 * objective.evaluations


@pytest.mark.data
def test_tasks_have_one_size_and_no_digits_or_clothes():
    families = RECIPE.task_families()
    assert {family.inputs for family in families} == {196}
    assert [family.outputs for family in families] == [10, 10, 3, 3]
    assert len({family.name for family in families}) == len(families)
    assert not any("mnist" in family.name or "digits" in family.name for family in families)


def test_the_clustering_is_taught_one_update_at_a_time():
    recipe = RECIPES["unsupervised/small"](sharpness=3.0, residual=0.25)
    assert recipe.method().truncation.longest == 1
    objective = recipe.objective()
    assert isinstance(objective, CloneClustering)
    assert (objective.sharpness, objective.residual) == (3.0, 0.25)


def test_the_clustering_is_taught_with_several_kinds_of_neurons():
    objective = RECIPES["unsupervised/small"](slopes=(1.0, 5.0)).objective()
    assert isinstance(objective, CloneClustering)
    assert set(objective.activations) == {"relu", "tanh"}
    assert objective.slopes == (1.0, 5.0)
    assert objective.individual


def test_every_second_family_can_have_shallow_networks():
    recipe = RECIPES["unsupervised/small"](hidden=(7,), shallow=True)
    assert recipe.layers(4) == ((7,), (), (7,), ())
    assert dataclasses.replace(recipe, shallow=False).layers(4) == (7,)


def test_a_flat_start_lets_no_plane_lead():
    recipe = RECIPES["unsupervised/meta"]()
    theta = recipe.rule().init(jax.random.key(0))
    assert set(np.asarray(theta.merge.w).tolist()) == {2.0}
    assert recipe.layers(6) == ((64,), ()) * 3


@pytest.mark.data
def test_a_flat_start_meets_many_kinds_of_tasks():
    families = RECIPES["unsupervised/meta"]().task_families()
    assert [family.outputs for family in families] == [10, 10, 3, 3, 20, 10]
    assert {family.inputs for family in families} == {196}
    assert "projected" in families[-1].name
    assert not any("mnist" in family.name or "digits" in family.name for family in families)


def test_the_clustering_starts_from_one_readout_and_without_biases():
    recipe = RECIPES["unsupervised/small"](readout=50.0, others=0.5)
    theta = recipe.start()
    weights = dict(zip(PLANES[12], np.asarray(theta.merge.w).tolist(), strict=True))
    assert weights.pop("lowrr_zero") == 50
    assert set(weights.values()) == {0.5}
    assert not np.any(theta.bias.w)
    assert theta.topd.top_units is None


@pytest.mark.data
def test_no_pixels_drop_out_of_single_examples_where_a_clustering_is_taught():
    for family in RECIPES["unsupervised/small"]().task_families():
        assert "example_mask0," in family.name


def test_a_recipe_has_no_option_that_does_nothing():
    with pytest.raises(TypeError, match="query"):
        RECIPES["unsupervised/small"](query=3)
    assert RECIPES["unsupervised/hebbian"](query=80).objective().query == 80
