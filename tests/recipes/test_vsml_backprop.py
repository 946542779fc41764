"""The recipe that teaches sub-RNNs backpropagation."""

from hebbax.recipes import VsmlBackprop


def test_in_networks_it_asks_for_the_same():
    recipe = VsmlBackprop(rate=0.2, bias_rate=0.3, side=5, query=15, unrolls=3)
    alone, inside = recipe.objective(), recipe.objective_in_networks(7, given=True)
    for name in ("rate", "bias_rate", "steps", "query"):
        assert getattr(alone, name) == getattr(inside, name)
    assert (inside.batch, inside.given) == (7, True)
