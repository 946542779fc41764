import jax
import numpy as np
import pytest

from hebbax import zoo
from hebbax.recipes import RECIPES, BlurPaper


def test_it_is_the_paper_s_rule_and_goes_on_from_a_genome_of_it():
    recipe = BlurPaper()
    assert RECIPES["blur/paper"] is BlurPaper
    rule, theta = recipe.rule(), recipe.start()
    before, expected = zoo.load("blur/mnist")
    assert rule == before
    jax.tree.map(np.testing.assert_array_equal, theta, expected)
    assert (rule.backward_update, rule.symmetric, rule.feedback) == ("additive", False, "target")
    assert zoo.load("blur/paper")[0] == rule


def test_no_other_number_of_states_fits_the_start():
    with pytest.raises(ValueError, match="states must be 4, as those of blur/mnist"):
        BlurPaper(states=2)


def test_schedules_are_made_for_the_planned_meta_steps():
    recipe = BlurPaper(steps=600, decay=300)
    rate = recipe.falling(1.0)
    assert float(rate(0)) == 1
    assert float(rate(300)) == float(rate(600)) == pytest.approx(0.02)
    with pytest.raises(ValueError, match="decay must be at least 1; got 0"):
        BlurPaper(decay=0)
