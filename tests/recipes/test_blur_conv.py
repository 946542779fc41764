import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx
from hebbax.recipes import RECIPES, BlurConv

SMALL = BlurConv(hidden=(2, 2), unrolls=2, skip=1, batch=8, query=8, steps=1, log_every=1,
                 checkpoint_every=1, validation=1)  # fmt: skip


def test_the_start_is_a_genome_for_each_layer(key):
    recipe = BlurConv()
    assert RECIPES["blur/conv"] is BlurConv
    rule, theta = recipe.rule(), recipe.start()
    assert jax.tree.structure(theta) == jax.tree.structure(rule.init(key))
    assert theta.eta_tilde.shape == (3,)
    net = rule.init_network(theta, key, recipe.units().bind(16, 3, (1, 4, 4)))
    assert len(net.layers) == rule.layer_genomes


def test_a_meta_step_changes_stiff_numbers_less(tmp_path):
    result = SMALL.meta_train(tmp_path, (hx.tasks.digits(),))
    assert np.isfinite(result.loss)
    start, last = SMALL.start(), jax.tree.map(lambda a: a[0], result.thetas)
    moved = {
        name: float(jnp.max(jnp.abs(getattr(last, name) - getattr(start, name))))
        for name in ("mu", "eta_tilde")
    }
    np.testing.assert_allclose(moved["eta_tilde"], SMALL.learning_rate, rtol=0.01)
    np.testing.assert_allclose(moved["mu"], SMALL.stiff * SMALL.learning_rate, rtol=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"states": 3}, "states must be 2"), ({"skip": 2}, "skip must be less than unrolls, 2")],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **options)
