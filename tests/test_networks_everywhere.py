"""An architecture stands wherever the units of hidden layers do."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.base import clone

import hebbax as hx
from hebbax.doctor._probing import Sampling
from hebbax.networks import Architecture, Conv, Wiring, between, named
from hebbax.outer import MetaTraining, layer_sizes
from hebbax.recipes import RECIPES

SMALL = Architecture(Conv(2, 3, 2))


@pytest.fixture(scope="module")
def digits():
    return hx.tasks.digits()


def test_families_of_images_know_their_shape(digits):
    assert digits.image == (8, 8, 1)
    assert hx.tasks.digits(crop=6).image == (6, 6, 1)
    assert hx.tasks.digits(size=5, crop=6).image == (5, 5, 1)
    assert hx.tasks.iris().image is None
    assert hx.tasks.glyphs(size=9).image == (9, 9, 1)
    assert hx.tasks.noisy(digits, pixels=0.1).image == (8, 8, 1)
    assert hx.tasks.augmented(digits, permute=False).image == (8, 8, 1)
    assert hx.tasks.augmented(digits).image is None
    assert hx.tasks.projected(digits).image is None
    x, y = np.zeros((4, 12)), np.asarray([0, 1, 0, 1])
    assert hx.tasks.from_arrays(x, y, x, y, image=(2, 2, 3)).image == (2, 2, 3)
    with pytest.raises(ValueError, match="as many numbers as x has columns, 12"):
        hx.tasks.from_arrays(x, y, x, y, image=(2, 2, 2))


def test_dense_architectures_are_their_units(digits):
    """So that results stay those of a tuple, to the bit."""
    assert between(hx.networks.mlp(6, 5), 64, 10, (8, 8, 1)) == (64, 6, 5, 10)
    assert isinstance(between(SMALL, 64, 10, (8, 8, 1)), Wiring)
    objective = hx.objectives.QueryCrossEntropy(steps=1, batch=4)
    settings = {
        "steps": 1, "key": jax.random.key(0), "hidden": [hx.networks.mlp(4), SMALL],
    }  # fmt: skip
    training = MetaTraining(
        hx.Backprop(), [digits, digits], objective, hx.methods.Gradient(optax.sgd(0.1)), **settings
    )
    assert training.hidden == ((4,), SMALL)
    assert layer_sizes(training.all_families, 0, training.units, objective) == (64, 4, 10)
    assert list(training.networks()) == ["64-4-10", "8x8x1-4x4x2-10"]


def test_networks_that_differ_are_drawn_among_some():
    some = hx.Architectures(among=(SMALL, (4,), hx.networks.mlp(4)))
    drawn = {some.draw(key) for key in jax.random.split(jax.random.key(0), 20)}
    assert drawn == {SMALL, (4,)}
    assert some.middle == (4,)
    assert some.settings() == {"among": [SMALL.settings(), [4], [4]]}


def test_a_rule_is_learnt_and_judged_on_convolutions(digits, tmp_path):
    """Meta-trained for two steps, resumed for a third, evaluated in batches and online."""
    rule = hx.Blur(feedback="error")
    arguments = (
        rule,
        digits,
        hx.objectives.QueryCrossEntropy(steps=2, batch=8, query=8),
        hx.methods.Gradient(optax.sgd(1e-3)),
    )
    settings = {
        "hidden": SMALL, "key": jax.random.key(0), "directory": tmp_path, "validation": 2,
        "log_every": 1, "checkpoint_every": 1,
    }  # fmt: skip
    hx.meta_train(*arguments, steps=2, **settings)
    result = hx.meta_train(*arguments, steps=3, **settings)
    assert all(bool(np.all(np.isfinite(a))) for a in jax.tree.leaves(result.theta))
    with pytest.raises(hx.CheckpointError, match="hidden"):
        hx.meta_train(*arguments, steps=3, **{**settings, "hidden": Architecture(Conv(2, 3))})
    curves = hx.evaluate(rule, result.theta, digits, hidden=SMALL, steps=2, batch=8, seeds=2)
    assert curves.accuracy.shape == (2, 2)
    theta = hx.FeedbackAlignment().init(jax.random.key(0))
    online = hx.evaluate_online(
        hx.FeedbackAlignment(), theta, digits, hidden=SMALL, steps=3, seeds=2
    )
    assert online.correct.shape == (2, 3)


def test_estimators_take_architectures_that_know_their_image(digits):
    x, y = np.asarray(digits.test_x)[:40], np.asarray(digits.test_y)[:40] % 2
    network = Architecture(Conv(2, 3, 2), image=(8, 8, 1))
    found = hx.PlasticClassifier(
        "blur/mnist", hidden=network, steps=2, batch_size=20, random_state=0
    ).fit(x, y)
    assert found.predict(x).shape == (40,)
    copy = clone(found)
    assert copy.get_params()["hidden"] == network
    expected = found.predict_proba(x)
    np.testing.assert_array_equal(copy.fit(x, y).predict_proba(x), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(found)).predict_proba(x), expected)
    with pytest.raises(ValueError, match="needs to know which image"):
        hx.PlasticClassifier("blur/mnist", hidden=SMALL, steps=2, batch_size=20).fit(x, y)


def test_convolutions_are_forecast_and_diagnosed(digits):
    rule = hx.Blur(feedback="error")
    objective = hx.objectives.QueryCrossEntropy(steps=2, batch=8, query=8)
    theta = rule.init(jax.random.key(0))
    ahead = hx.forecast(
        rule, digits, objective, hx.methods.Gradient(optax.sgd(1e-3)), hidden=SMALL, steps=4,
        key=jax.random.key(0), validation=2, log_every=2, checkpoint_every=2, seconds=0.0,
    )  # fmt: skip
    wiring = SMALL.bind(64, 10, (8, 8, 1))
    net = jax.eval_shape(lambda k: rule.init_network(theta, k, wiring), jax.random.key(0))
    assert ahead.networks == {"8x8x1-4x4x2-10": sum(a.size for a in jax.tree.leaves(net))}
    found = hx.diagnose(
        rule, theta, digits, objective, hidden=SMALL, unrolls=[2],
        sampling=Sampling(episodes=2, pairs=2, checks=1),
    )  # fmt: skip
    (measured,) = found.measurements
    assert measured.nonfinite == 0
    assert measured.fd_cosine > 0.99


def test_recipes_take_networks_of_images(digits):
    recipe = RECIPES["blur/mnist"](network="cnn", hidden=(2,), unrolls=2, batch=8)
    assert list(recipe.training((digits,)).networks()) == ["8x8x1-4x4x2-10"]
    toy = RECIPES["blur/toy"](network="cnn", hidden=(2,))
    with pytest.raises(ValueError, match="needs to know which image the 2 numbers"):
        toy.training().networks()
    online = RECIPES["vsml/online"](network="cnn")
    with pytest.raises(ValueError, match="takes dense layers"):
        online.forecast((digits,))
    small = RECIPES["unsupervised/small"](network="cnn")
    assert small.layers(2) == (named("cnn", (64,)), ())
    with pytest.raises(ValueError, match="takes dense layers"):
        small.forecast((digits, digits))


def test_memory_of_the_meta_gradient_is_bounded(key):
    """Under `remat` a longer lifetime keeps synapses and batches of each update, not states."""
    wiring = SMALL.bind(64, 3, (8, 8, 1))
    rule = hx.Blur(normalization=None, symmetric=True)
    theta = rule.init(key)

    def bytes_of(steps, remat):
        def loss(theta):
            net = rule.init_network(theta, key, wiring)
            xs, ys = jnp.ones((steps, 64, 64)), jnp.zeros((steps, 64, 3))
            return jnp.sum(hx.unroll(rule, theta, net, xs, ys, remat=remat)[1] ** 2)

        analysis = jax.jit(jax.grad(loss)).lower(theta).compile().memory_analysis()
        return analysis.temp_size_in_bytes

    state = sum(leaf.nbytes for leaf in jax.tree.leaves(rule.init_network(theta, key, wiring)))
    rows = 4 * 64 * (64 + 3 + 3)
    growth = (bytes_of(60, True) - bytes_of(20, True)) / 40
    assert growth < 3 * (state + rows)
    assert (bytes_of(60, False) - bytes_of(20, False)) / 40 > 2 * growth
