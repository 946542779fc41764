import jax.numpy as jnp
import numpy as np
import pytest

from hebbax.losses._classification import accuracy, cross_entropy


def test_softmax_cross_entropy():
    prediction = np.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]])
    probability = np.exp(prediction) / np.exp(prediction).sum(axis=1, keepdims=True)
    y = jnp.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    expected = -(np.log(probability[0, 1]) + np.log(probability[1, 0])) / 2
    assert float(cross_entropy(jnp.asarray(prediction), y)) == pytest.approx(expected, rel=1e-6)


def test_sigmoid_cross_entropy_of_one_output():
    prediction = np.array([[0.7], [-1.2], [2.0]])
    probability = 1 / (1 + np.exp(-prediction[:, 0]))
    y = jnp.array([[1.0], [1.0], [0.0]])
    expected = -np.mean([np.log(probability[0]), np.log(probability[1]), np.log1p(-probability[2])])
    assert float(cross_entropy(jnp.asarray(prediction), y)) == pytest.approx(expected, rel=1e-6)


def test_accuracy():
    prediction = jnp.array([[0.1, 0.2], [3.0, -1.0], [-2.0, -3.0], [0.0, 1.0]])
    y = jnp.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    assert float(accuracy(prediction, y)) == 0.75


def test_accuracy_of_one_output_is_by_its_sign():
    prediction, y = jnp.array([[0.1], [0.9], [-0.1], [-5.0]]), jnp.array([[1.0], [0], [0], [0]])
    assert float(accuracy(prediction, y)) == 0.75


def test_leading_axes_are_averaged():
    prediction = jnp.arange(12.0).reshape(2, 3, 2) ** 2 % 5
    y = jnp.zeros((2, 3, 2)).at[..., 0].set(1.0)
    for judge in (cross_entropy, accuracy):
        each = [float(judge(p, q)) for p, q in zip(prediction, y, strict=True)]
        assert float(judge(prediction, y)) == pytest.approx(np.mean(each), rel=1e-6)


def test_large_logits_stay_finite():
    y = jnp.array([[0.0, 1.0]])
    assert float(cross_entropy(jnp.array([[1e4, 0.0]]), y)) == pytest.approx(1e4)
    assert float(cross_entropy(jnp.array([[-1e4]]), y[:, 1:])) == pytest.approx(1e4)
