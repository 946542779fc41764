import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx
from hebbax.analysis import asymmetry, change_jacobian, metric_test


class Field(hx.AbstractRule):
    """Moves a vector by a linear field: Δw = A w."""

    matrix: tuple

    def init(self, key):
        return {}

    def init_network(self, theta, key, sizes):
        return {"w": jax.random.normal(key, (len(self.matrix),)), "steps": jnp.zeros((), int)}

    def update(self, theta, net, x, y):
        change = jnp.asarray(self.matrix, net["w"].dtype) @ net["w"]
        return {"w": net["w"] + change, "steps": net["steps"] + 1}, x

    def predict(self, theta, net, x):
        return x


def field(matrix):
    rule = Field(tuple(map(tuple, matrix)))
    return rule, {}, rule.init_network({}, jax.random.key(0), (1, 1)), jnp.zeros((1, 1)), None


SYMMETRIC = np.array([[2.0, 1.0], [1.0, -1.0]])
ROTATION = np.array([[0.0, 1.0], [-1.0, 0.0]])


def test_jacobian_is_that_of_the_change():
    matrix = np.arange(9.0).reshape(3, 3)
    np.testing.assert_allclose(change_jacobian(*field(matrix)), matrix, rtol=1e-6)


def test_symmetric_field_descends_a_loss():
    test = asymmetry(*field(SYMMETRIC))
    assert test.relative <= test.relative_error + 1e-12
    np.testing.assert_allclose(test.jacobian, SYMMETRIC)


def test_rotation_descends_none():
    test = asymmetry(*field(ROTATION + 0.5 * np.eye(2)))
    np.testing.assert_allclose(test.asymmetry, 2 * (1 - np.eye(2)))
    assert test.relative == pytest.approx(2.0)
    assert test.relative > 1e4 * test.relative_error


def test_gradient_descent_is_symmetric_and_hebbian_learning_with_decay_is_not(key):
    x = jax.random.normal(key, (16, 3))
    y = jax.nn.one_hot(jnp.arange(16) % 2, 2)
    for rule, symmetric in ((hx.Backprop("sgd", learning_rate=0.1), True), (hx.Hebbian(), False)):
        theta = rule.init(key)
        net = rule.init_network(theta, key, (3, 4, 2))
        test = asymmetry(rule, theta, net, x, y)
        assert (test.relative <= 2 * test.relative_error) == symmetric
        assert (test.relative > 1e3 * test.relative_error) != symmetric


def test_part_of_a_network(key):
    rule = hx.Backprop("sgd", learning_rate=0.1)
    theta = rule.init(key)
    net = rule.init_network(theta, key, (3, 4, 2))
    x, y = jnp.ones((5, 3)), jax.nn.one_hot(jnp.arange(5) % 2, 2)
    whole = change_jacobian(rule, theta, net, x, y)
    leaves = jax.tree.leaves(net)
    index = next(i for i, a in enumerate(leaves) if jnp.issubdtype(a.dtype, jnp.inexact))
    size = leaves[index].size
    part = change_jacobian(rule, theta, net, x, y, lambda n: jax.tree.leaves(n)[index])
    assert len(whole) > size
    np.testing.assert_allclose(part, whole[:size, :size], rtol=1e-4, atol=1e-6)


def test_nothing_selected():
    with pytest.raises(ValueError, match="select must pick some arrays"):
        change_jacobian(*field(ROTATION), select=lambda net: net["steps"])


# Metrics


def states(make, number=4, n=3):
    rng = np.random.default_rng(0)
    return [make(rng.normal(size=(n, n))) for _ in range(number)]


def test_gradient_fields_have_the_identity():
    test = metric_test(states(lambda a: a + a.T))
    assert test.everywhere >= 1
    assert test.definite
    assert test.smallest_eigenvalue == pytest.approx(1.0, abs=1e-3)


def test_descent_under_a_metric_is_found():
    """Q = g⁻¹ H with symmetric H at every state: g itself must be among the solutions."""
    g = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 3.0]])
    test = metric_test(states(lambda a: np.linalg.solve(g, a + a.T), number=6))
    assert test.everywhere == 1
    assert test.definite
    found = test.candidates[0] * np.sign(np.trace(test.candidates[0]))
    np.testing.assert_allclose(found, g / np.linalg.norm(g), atol=1e-6)


def test_rotations_have_none():
    test = metric_test([ROTATION])
    assert not test.definite
    assert test.at_first == test.everywhere == 2  # symmetric g with no trace
    assert metric_test(states(lambda a: a, number=6)).everywhere == 0
    assert np.isnan(metric_test(states(lambda a: a, number=6)).smallest_eigenvalue)


def test_indefinite_solution_is_no_metric():
    g = np.diag([1.0, -1.0, 2.0])
    test = metric_test(states(lambda a: np.linalg.solve(g, a + a.T), number=6))
    assert test.everywhere == 1
    assert not test.definite


def test_bad_jacobians():
    with pytest.raises(ValueError, match="at least one matrix; got none"):
        metric_test([])
    with pytest.raises(ValueError, match=r"square and of one size, \[2, 2\] as the first"):
        metric_test([np.eye(2), np.eye(3)])
