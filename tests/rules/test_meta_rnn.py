import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx

RULE = hx.MetaRnn(inputs=4, outputs=3, state_size=5)
update, predict = jax.jit(RULE.update), jax.jit(RULE.predict)


@pytest.fixture
def case(key):
    theta = jax.jit(RULE.init)(key)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(6, 4)), jnp.float32)
    y = jnp.asarray(np.eye(3, dtype="float32")[rng.integers(3, size=6)])
    net, _ = update(theta, RULE.init_network(theta, key, (4, 3)), x[:3], y[:3])
    return theta, net, x, y


def close(a, b, tolerance=1e-5):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, tolerance, tolerance), a, b)


def test_counts_for_784_inputs_and_10_outputs(key):
    theta = jax.eval_shape(hx.MetaRnn().init, key)
    assert sum(math.prod(a.shape) for a in jax.tree.leaves(theta)) == 478_986


def test_rows_are_data_one_after_another(case):
    theta, net, x, y = case
    after, prediction = update(theta, net, x, y)
    for index in range(len(x)):
        row = slice(index, index + 1)
        close(predict(theta, net, x[row]), prediction[row])
        net, one = update(theta, net, x[row], y[row])
        close(one, prediction[row])
    close(net, after)


def test_the_error_arrives_with_the_next_datum(case):
    theta, net, x, y = case
    nets = [update(theta, net, x[:1], label)[0] for label in (y[:1], jnp.roll(y[:1], 1, axis=1))]
    close(nets[0].h, nets[1].h, 0)
    assert np.any(nets[0].error != nets[1].error)
    later = [predict(theta, n, x[1:2]) for n in nets]
    assert np.max(np.abs(later[0] - later[1])) > 1e-4


def test_without_labels_nothing_changes(case):
    theta, net, x, _ = case
    after, prediction = update(theta, net, x, None)
    close(after, net, 0)
    close(prediction, predict(theta, net, x))
    close(predict(theta, net, x[::-1]), prediction[::-1])


def test_vmaps(case):
    theta, net, x, y = case
    thetas = jax.tree.map(lambda a: jnp.stack([a, -a, 2 * a]), theta)
    together = jax.jit(jax.vmap(RULE.update, (0, None, None, None)))(thetas, net, x, y)
    for index in range(3):
        alone = update(jax.tree.map(lambda a, i=index: a[i], thetas), net, x, y)
        close(jax.tree.map(lambda a, i=index: a[i], together), alone)


def test_bound(case):
    theta, net, x, _ = case
    free = hx.MetaRnn(inputs=4, outputs=3, state_size=5, bound=None)
    tight = hx.MetaRnn(inputs=4, outputs=3, state_size=5, bound=0.05)
    z = jax.jit(free.predict)(theta, net, x)
    assert np.max(np.abs(z)) > 0.05
    close(jax.jit(tight.predict)(theta, net, x), 0.05 * jnp.tanh(z / 0.05))


def test_rule_file(case, tmp_path):
    hx.save_rule(tmp_path / "rule.safetensors", RULE, case[0])
    again, theta = hx.load_rule(tmp_path / "rule.safetensors")
    assert again == RULE
    close(theta, case[0], 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": 0}, "inputs must be a whole number of at least 1; got 0"),
        ({"outputs": 0}, "outputs must be a whole number of at least 1; got 0"),
        ({"state_size": 0}, "state_size must be a whole number of at least 1; got 0"),
        ({"ticks": 0}, r"ticks must be a whole number in \[1, 100\]; got 0"),
        ({"bound": 0.0}, "bound must be None or a finite number above 0; got 0.0"),
        ({"forget_offset": math.inf}, "forget_offset must be a finite number; got inf"),
    ],
)
def test_bad_options(options, message, unchecked):
    with pytest.raises(ValueError, match=message):
        hx.MetaRnn(**options)


def test_bad_data(case, unchecked, key):
    theta, net, x, y = case
    with pytest.raises(ValueError, match=r"made for sizes \(4, 3\).*; got \(4, 6, 3\)"):
        RULE.init_network(theta, key, (4, 6, 3))
    with pytest.raises(ValueError, match=r"x must have the shape \[batch, 4\]"):
        RULE.predict(theta, net, x[:, :2])
    with pytest.raises(ValueError, match=r"y must be one-hot with the shape \[6, 3\]"):
        RULE.update(theta, net, x, y[:, :2])
    with pytest.raises(ValueError, match="x must hold at least one row; got none"):
        RULE.update(theta, net, x[:0], y[:0])
