import equinox as eqx
import jax
import numpy as np
import pytest

from hebbax.recipes import RECIPES


def test_genomes_begin_where_synapses_fade_slowly_and_f_changes_slowly():
    recipe = RECIPES["blur/stream"]()
    theta = recipe.start()
    assert float(theta.f_tilde) == pytest.approx(0.9985)
    optimizer = recipe.method().optimizer
    ones = jax.tree.map(np.ones_like, eqx.filter(theta, eqx.is_array))
    updates, _ = optimizer.update(ones, optimizer.init(theta), theta)
    assert float(updates.f_tilde / updates.eta_tilde) == pytest.approx(0.002, rel=1e-4)
