import jax
import pytest
from sklearn.datasets import load_wine

import hebbax as hx


@pytest.fixture(scope="session")
def unsupervised():
    """Return a small unsupervised rule for any number of features, and a fresh θ."""
    rule = hx.UnsupervisedRule(
        step_size=0.02,
        top_units=None,
        hidden_channels=4,
        top_channels=3,
        signal_channels=2,
        rank=2,
    )
    return rule, jax.jit(rule.init)(jax.random.key(0))


@pytest.fixture(scope="session")
def wine():
    return load_wine(return_X_y=True)
