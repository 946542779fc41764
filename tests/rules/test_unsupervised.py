"""What must hold of `UnsupervisedRule` whatever its meta-parameters; options; bad input."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx
from hebbax.rules.unsupervised import _planes as planes
from hebbax.rules.unsupervised._network import BIAS_DEVIATION, WEIGHT_DEVIATION

SIZES = (6, 5, 4)
SMALL = {"hidden_channels": 5, "top_channels": 4, "signal_channels": 3, "rank": 2, "top_units": 4}
STEP = 0.2


@eqx.filter_jit
def update(rule, theta, net, x, y=None):
    return rule.update(theta, net, x, y)


@eqx.filter_jit
def predict(rule, theta, net, x):
    return rule.predict(theta, net, x)


@eqx.filter_jit
def begun(rule, sizes):
    theta = rule.init(jax.random.key(0))
    return theta, rule.init_network(theta, jax.random.key(1), sizes)


def make(sizes=SIZES, batch=8, **options):
    rule = hx.UnsupervisedRule(**{**SMALL, "step_size": STEP, **options})
    theta, net = begun(rule, sizes)
    x = jax.random.normal(jax.random.key(2), (batch, sizes[0]))
    return rule, theta, net, x


def close(a, b, atol=1e-5):
    jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, atol=atol), a, b)


def column_size(w):
    return np.sqrt(np.mean(np.square(w), axis=0))


# θ and φ


def test_sizes_of_the_paper():
    theta = jax.eval_shape(hx.UnsupervisedRule().init, jax.random.key(0))
    leaves = jax.tree.leaves(theta)
    assert len(leaves) == 72
    assert sum(leaf.size for leaf in leaves) == 114_670
    ten = jax.eval_shape(hx.UnsupervisedRule(planes=10).init, jax.random.key(0))
    # One projection with its bias and two merge weights fewer.
    assert sum(leaf.size for leaf in jax.tree.leaves(ten)) == 114_670 - 260 - 2


def test_initial_values(key):
    theta = hx.UnsupervisedRule(merge_init=0.3).init(key)
    np.testing.assert_array_equal(theta.merge.w, np.full(12, 0.3, np.float32))
    weights = np.asarray(theta.h.unit_conv_2b.w)
    sigma = 1 / np.sqrt(3 * 64)
    assert np.abs(weights).max() <= 2 * sigma
    assert weights.std() == pytest.approx(0.88 * sigma, rel=0.03)
    assert not theta.h.unit_conv_2b.offset.any()
    net = hx.UnsupervisedRule().init_network(theta, key, (90, 80, 32))
    assert net.sizes == (90, 80, 32)
    first = net.layers[0]
    for array, sigma in (
        (first.weight, WEIGHT_DEVIATION),
        (first.backward, WEIGHT_DEVIATION),
        (first.bias, BIAS_DEVIATION),
    ):
        assert float(np.abs(array).max()) <= 2 * sigma
        assert float(array.std()) == pytest.approx(0.88 * sigma, rel=0.25)
    assert abs(np.corrcoef(first.weight.ravel(), first.backward.ravel())[0, 1]) < 0.05


def test_a_rule_is_hashable_and_has_no_arrays():
    assert hash(hx.UnsupervisedRule()) == hash(hx.UnsupervisedRule(planes=12))
    assert hx.UnsupervisedRule() != hx.UnsupervisedRule(planes=10)
    assert jax.tree.leaves(hx.UnsupervisedRule()) == []


# The base model


def test_features_do_not_depend_on_the_size_of_columns():
    rule, theta, net, x = make()
    # Far above what is added to the variance; biases stay, for they are added after it.
    net = eqx.tree_at(lambda n: [a.weight for a in n.layers], net, replace_fn=lambda w: 100 * w)
    factors = jnp.asarray([0.5, 2.0, 7.0, 1.0, 3.0])
    scaled = eqx.tree_at(lambda n: n.layers[0].weight, net, net.layers[0].weight * factors[None])
    close(predict(rule, theta, net, x), predict(rule, theta, scaled, x), atol=1e-4)
    opposite = eqx.tree_at(lambda n: n.layers[0].weight, net, -net.layers[0].weight)
    assert np.abs(predict(rule, theta, net, x) - predict(rule, theta, opposite, x)).max() > 0.1


def test_features_follow_permutations():
    rule, theta, net, x = make()
    features = predict(rule, theta, net, x)
    examples, inputs = jnp.asarray([7, 1, 0, 2, 3, 6, 5, 4]), jnp.asarray([5, 0, 1, 4, 3, 2])
    close(predict(rule, theta, net, x[examples]), features[examples])
    permuted = eqx.tree_at(lambda n: n.layers[0].weight, net, net.layers[0].weight[inputs])
    close(predict(rule, theta, permuted, x[:, inputs]), features)


def test_features_are_normalised_over_their_batch():
    rule, theta, net, x = make()
    z = rule.forward(net, x)[-1].z
    close(jnp.mean(z, axis=0), net.layers[-1].bias)
    alone = predict(rule, theta, net, x[:4])
    assert np.abs(alone - predict(rule, theta, net, x)[:4]).max() > 1e-2


def test_features_by_the_moments_of_another_batch():
    rule, theta, net, x = make()
    moments = rule.measure(theta, net, x)
    close(rule.predict_alone(theta, net, x, moments), predict(rule, theta, net, x))
    close(rule.predict_alone(theta, net, x[2:3], moments), predict(rule, theta, net, x)[2:3])


# An update


def test_update_returns_the_features_before_the_change():
    rule, theta, net, x = make()
    after, features = update(rule, theta, net, x)
    close(features, predict(rule, theta, net, x))
    assert jax.tree.structure(after) == jax.tree.structure(net)
    assert features.shape == (8, 4)
    assert float(features.min()) == 0


def test_labels_are_not_read():
    rule, theta, net, x = make()
    unlabelled, features = update(rule, theta, net, x)
    # As many classes as they like: three here, four features.
    labelled, same = update(rule, theta, net, x, jax.nn.one_hot(jnp.arange(8) % 3, 3))
    close(labelled, unlabelled)
    close(same, features)


def test_backward_weights_drift_to_forward_weights():
    """Both step by the same change, so their difference shrinks by 1 − λ."""
    rule, theta, net, x = make()
    after, _ = update(rule, theta, net, x)
    for old, new in zip(net.layers, after.layers, strict=True):
        assert np.abs(new.weight - old.weight).max() > 1e-2
        shrunk = (1 - STEP) * (old.backward - old.weight)
        close(new.backward - new.weight, shrunk, atol=1e-6)


def test_columns_stay_bounded():
    """RMS at most 8/7 in the limit, whatever the rule says and wherever they start."""
    rule, theta, net, x = make()
    theta = eqx.tree_at(lambda t: t.merge.w, theta, 50.0 * jnp.arange(-6.0, 6.0))
    net = jax.tree.map(lambda a: 400 * a, net)
    for _ in range(3):
        before, (net, _) = net, update(rule, theta, net, x)
        for old, new in zip(before.layers, net.layers, strict=True):
            bound = (1 - STEP) * column_size(old.weight) + STEP * 8 / 7
            assert np.all(column_size(new.weight) <= bound + 1e-5)
            assert np.all(np.sqrt(np.mean(new.bias**2)) <= 4 * 400 * BIAS_DEVIATION)


def test_without_a_learned_part_columns_go_to_one_seventh():
    rule, theta, net, x = make()
    theta = eqx.tree_at(lambda t: t.merge.w, theta, jnp.zeros(12))
    net = jax.tree.map(lambda a: 100 * a, net)
    after, _ = update(rule, theta, net, x)
    for old, new in zip(net.layers, after.layers, strict=True):
        expected = (1 - STEP) * column_size(old.weight) + STEP / 7
        close(column_size(new.weight), expected)


def test_the_order_of_examples_matters():
    """The small networks look along the batch; nothing here may promise otherwise."""
    rule, theta, net, x = make()
    order = jnp.asarray([7, 1, 0, 2, 3, 6, 5, 4])
    one, other = update(rule, theta, net, x)[0], update(rule, theta, net, x[order])[0]
    assert np.abs(one.layers[0].weight - other.layers[0].weight).max() > 1e-4


def test_gradient():
    """Through an update: finite, zero for inert biases and for nothing else."""
    rule, theta, net, x = make((5, 4))
    random = np.random.default_rng(0)
    theta = jax.tree.map(
        lambda a: np.asarray(a) + 0.1 * random.normal(size=a.shape).astype(a.dtype), theta
    )

    @jax.jit
    def gradient(theta, net):
        def loss(theta, net):
            after, features = rule.update(theta, net, x, None)
            return sum(jnp.sum(leaf**3) for leaf in jax.tree.leaves((after, features)))

        return jax.grad(loss, (0, 1))(theta, net)

    of_theta, of_net = gradient(theta, net)
    inert = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(of_theta):
        names = [getattr(k, "name", None) for k in path]
        normalized = names[0] in ("topd", "h") and names[-1] == "b"
        if normalized and names[1] != "batch_conv_out":
            np.testing.assert_array_equal(leaf, 0)
            inert += leaf.size
        else:
            assert np.all(np.isfinite(leaf)), names
            assert np.any(leaf != 0), names
    assert inert == 3 * 4 + 2 * 4 + 6 * 5
    assert all(np.all(np.isfinite(leaf)) and np.any(leaf != 0) for leaf in jax.tree.leaves(of_net))


def test_a_population_equals_a_loop():
    rule, theta, net, x = make()
    factors = jnp.asarray([1.0, 0.5])
    population = jax.tree.map(lambda a: jnp.multiply.outer(factors, a), (theta, net, x))
    together = jax.jit(jax.vmap(lambda one: rule.update(*one, None)))(population)
    for index, factor in enumerate(factors):
        alone = update(rule, *jax.tree.map(lambda a, f=factor: f * a, (theta, net, x)))
        close(jax.tree.map(lambda a, i=index: a[i], together), alone, atol=1e-4)


def test_rule_file(tmp_path):
    rule, theta, _, _ = make(activation="step")
    path = tmp_path / "rule.safetensors"
    hx.save_rule(path, rule, theta)
    again, read = hx.load_rule(path)
    assert again == rule
    jax.tree.map(np.testing.assert_array_equal, read, theta)


# Options


@pytest.mark.parametrize(
    ("sizes", "activation", "batch", "top_units"),
    [((3, 7), "tanh", 2, None), ((2, 1, 4), "step", 5, 4)],
    ids=["one layer", "two layers"],
)
def test_any_depth_width_and_activation(sizes, activation, batch, top_units):
    rule, theta, net, x = make(sizes, batch, activation=activation, top_units=top_units)
    after, features = update(rule, theta, net, x)
    assert after.sizes == sizes
    assert features.shape == (batch, sizes[-1])
    for old, new in zip(jax.tree.leaves(net), jax.tree.leaves(after), strict=True):
        assert np.all(np.isfinite(new))
        assert np.any(new != old)


def test_activations():
    _, theta, net, x = make()
    for name, function in {
        "step": lambda z: (z > 0).astype(z.dtype),
        "leaky_relu": jax.nn.leaky_relu,
        "swish": jax.nn.swish,
    }.items():
        named = hx.UnsupervisedRule(**SMALL, activation=name)
        own = hx.UnsupervisedRule(**SMALL, activation=function)
        activity = named.forward(net, x)
        close(activity[-1].x, function(activity[-1].z))
        close(predict(own, theta, net, x), activity[-1].x)


def test_one_theta_for_any_number_of_features():
    rule, theta, net, x = make(top_units=None)
    for units in (1, 4, 7):
        net = rule.init_network(theta, jax.random.key(3), (6, units))
        after, features = jax.eval_shape(rule.update, theta, net, x, None)
        assert after.sizes == (6, units)
        assert features.shape == (8, units)


def test_ten_planes_are_twelve_without_two():
    twelve, theta, net, x = make((6, 4))
    ten = hx.UnsupervisedRule(**SMALL, step_size=STEP, planes=10)
    names = planes.PLANES[12]
    kept = np.asarray([names.index(name) for name in planes.PLANES[10]])
    fewer = eqx.tree_at(lambda t: t.merge.w, theta, theta.merge.w[kept])
    fewer.readout.pop("lin_upper_psd")
    assert jax.tree.structure(fewer) == jax.tree.structure(ten.init(jax.random.key(0)))

    @eqx.filter_jit
    def of_layers(rule, theta):
        activity = rule.forward(net, x)
        found = rule.projections(theta, rule.backward(theta, net, activity))
        return rule.weight_planes(net, activity, found)

    for more, less in zip(of_layers(twelve, theta), of_layers(ten, fewer), strict=True):
        assert {*more} - {*less} == {"lin_upper_psd", "decorr_x"}
        close({name: more[name] for name in less}, less)
        silent = jnp.zeros(12).at[kept].set(theta.merge.w[kept])
        merged = planes.merge(eqx.tree_at(lambda m: m.w, theta.merge, silent), more)
        close(12 * merged, 10 * planes.merge(fewer.merge, less))


# Bad input


def test_planes_of_unequal_weight_to_begin_with(tmp_path):
    """Each plane starts with the weight of its place, from a rule file too."""
    weights = tuple(float(n) for n in range(12))
    rule = hx.UnsupervisedRule(**SMALL, merge_init=weights)
    theta = rule.init(jax.random.key(0))
    np.testing.assert_array_equal(theta.merge.w, weights)
    alike = hx.UnsupervisedRule(**SMALL).init(jax.random.key(0))
    np.testing.assert_array_equal(theta.bias.w, alike.bias.w)
    hx.save_rule(tmp_path / "rule.safetensors", rule, theta)
    read = hx.load_rule(tmp_path / "rule.safetensors")[0]
    assert read == rule
    assert hash(read) == hash(rule)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step_size": 0.0}, r"step_size must be a finite number in \(0, 1\]; got 0\.0\."),
        ({"step_size": 1.5}, r"step_size must be a finite number in \(0, 1\]; got 1\.5\."),
        ({"planes": 11}, r"planes must be one of 10, 12; got 11\."),
        ({"merge_init": (1.0, 2.0)}, r"merge_init must be one number or one .* 12 planes; got 2\."),
        ({"top_units": 0}, r"top_units must be None or a whole number of at least 1; got 0\."),
        ({"rank": 0}, r"rank must be a whole number of at least 1; got 0\."),
        (
            {"signal_channels": -1},
            r"signal_channels must be a whole number .*; got -1\.",
        ),
        ({"activation": "rellu"}, r"activation must be one of .* Did you mean 'relu'\?"),
    ],
)
def test_bad_options(options, message, unchecked):
    with pytest.raises(ValueError, match=message):
        hx.UnsupervisedRule(**options)


def test_bad_sizes(key):
    rule, theta, _, _ = make()
    with pytest.raises(ValueError, match=r"made for networks with 4 top units .* end with 10\."):
        rule.init_network(theta, key, (6, 5, 10))
    with pytest.raises(ValueError, match="sizes must hold at least two positive layer sizes"):
        rule.init_network(theta, key, (4,))
    wide = hx.UnsupervisedRule(**{**SMALL, "top_units": 3})
    net = wide.init_network(wide.init(key), key, (6, 3))
    with pytest.raises(ValueError, match=r"made for networks with 4 top units"):
        rule.update(theta, net, jnp.ones((8, 6)), None)


def test_bad_batches(unchecked):
    rule, theta, net, x = make()
    for method in (
        lambda x: rule.update(theta, net, x, None),
        lambda x: rule.predict(theta, net, x),
    ):
        with pytest.raises(ValueError, match=r"x must have the shape \[batch, 6\]"):
            method(x[:, 1:])
        with pytest.raises(ValueError, match=r"x must have the shape \[batch, 6\]"):
            method(x[0])
        with pytest.raises(ValueError, match=r"at least two examples, .* got 1\."):
            method(x[:1])


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_is_refused(unchecked, dtype):
    rule, theta, net, x = make()
    with pytest.raises(ValueError, match=r"x must be float32 or float64; got b?float16\."):
        rule.update(theta, net, x.astype(dtype), None)
    half = jax.tree.map(lambda a: a.astype(dtype), net)
    with pytest.raises(ValueError, match=r"net must be float32 or float64; got b?float16\."):
        rule.predict(theta, half, x)
