"""Genomes, synapses, receptive fields and films."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import hebbax as hx
from hebbax.plots._film import decision_film
from hebbax.plots._genome import genome_diagram
from hebbax.plots._network import receptive_fields, synapse_changes

BACKPROP = hx.Backprop("sgd", learning_rate=0.5)


def _learner(rule, key):
    return rule, rule.init(key)


def _is_picture(figure):
    return figure._repr_png_().startswith(b"\x89PNG")


def _words(axes):
    return [text.get_text() for text in axes.texts]


# Genomes


def test_genome_diagram_labels_every_number_of_a_small_genome(key):
    rule = hx.Blur(genome_init="random")
    theta = rule.init(key)
    figure = genome_diagram(rule, theta, title="mine")
    forward, backward, synapse = figure.axes
    assert figure.get_suptitle() == "mine"
    assert _is_picture(figure)
    for axes, arrays in ((forward, [theta.nu]), (backward, [theta.mu]),
                         (synapse, [theta.nu_tilde, theta.mu_tilde])):  # fmt: skip
        numbers = sorted(f"{float(v):+.2f}" for a in arrays for v in np.ravel(a))
        assert sorted(w for w in _words(axes) if w[0] in "+-") == numbers


def test_genome_diagram_puts_numbers_beside_their_arrows(key):
    """Off the diagonal too: from state 1 to 0 is not from 0 to 1."""
    rule = hx.Blur()
    theta = rule.init(key)
    theta = jax.tree.map(jnp.zeros_like, theta)
    import equinox as eqx

    # Into the receiver's state 0 from the sender's state 1.
    theta = eqx.tree_at(lambda g: g.nu, theta, theta.nu.at[0, 1].set(0.7))
    # From the presynaptic neuron's state 1 to the synapse's state 0.
    theta = eqx.tree_at(lambda g: g.nu_tilde, theta, theta.nu_tilde.at[1, 0].set(0.6))
    # To the synapse's state 0 from the postsynaptic neuron's state 1.
    theta = eqx.tree_at(lambda g: g.mu_tilde, theta, theta.mu_tilde.at[0, 1].set(0.5))
    forward, _, synapse = genome_diagram(rule, theta).axes
    for axes, number, start in (
        (forward, "+0.70", 0),
        (synapse, "+0.60", 0),
        (synapse, "+0.50", 2),
    ):
        (text,) = [text for text in axes.texts if text.get_text() == number]
        x, y = text.get_position()
        assert abs(x - start) < 0.5  # nearer to where the arrow starts
        assert -1 < y < -0.5  # which is the second state


def test_genome_diagram_of_many_states_has_arrows_only(key):
    rule = hx.Blur(states=4, genome_init="random")
    forward = genome_diagram(rule, rule.init(key)).axes[0]
    assert not [w for w in _words(forward) if w[0] in "+-"]


@pytest.mark.parametrize(
    "name", [name for name in hx.zoo.list() if isinstance(hx.zoo.load(name)[0], hx.Blur)]
)
def test_every_shipped_genome_can_be_drawn(name):
    rule, theta = hx.zoo.load(name)
    layers = [None] if rule.synapse_layers is None else range(rule.synapse_layers)
    assert all(_is_picture(genome_diagram(rule, theta, layer=layer)) for layer in layers)


def test_genome_diagram_says_what_the_outlook_adds(key):
    rule = hx.Blur(forward_update=0.25, persistent=4, noise=0.5, self_regulation=True)
    panels = genome_diagram(rule, rule.init(key)).axes
    forward, backward, synapse = (axes.get_xlabel() for axes in panels)
    assert "noise +0.50, +0.50" in forward
    assert "neurons keep f a of the update before" in forward
    assert "gate what arrives" in backward
    assert "in the forward pass too, η̃ = +0.25" in synapse


def test_genome_diagram_takes_one_layer_of_several(key):
    rule = hx.Blur(layer_genomes=2, genome_init="random")
    theta = rule.init(key)
    words = _words(genome_diagram(rule, theta, layer=1).axes[0])
    assert f"{float(theta.nu[1, 0, 0]):+.2f}" in words
    for layer in (None, 2, -1):
        with pytest.raises(ValueError, match="from 0 to 1"):
            genome_diagram(rule, theta, layer=layer)
    with pytest.raises(ValueError, match="share one genome"):
        genome_diagram(hx.Blur(), hx.Blur().init(key), layer=0)


def test_genome_diagram_refuses_other_rules(key, unchecked):
    with pytest.raises(ValueError, match="got Backprop"):
        genome_diagram(*_learner(BACKPROP, key))


# Synapses


def test_synapse_changes_are_those_of_the_updates_named(key):
    family = hx.tasks.toy("xor")
    figure = synapse_changes(
        {"SGD": _learner(BACKPROP, key), "Hebb": _learner(hx.Hebbian(), key)},
        family, hidden=(3,), updates=(1, 3), layer=0, batch=8, title="here",
    )  # fmt: skip
    assert _is_picture(figure)
    assert [axes.get_title() for axes in figure.axes] == ["update 1", "update 3", "", ""]
    assert [axes.get_ylabel() for axes in figure.axes] == ["SGD", "", "Hebb", ""]
    # By hand, with the keys that the picture is drawn with.
    k_task, k_net, k_data = jax.random.split(jax.random.key(0), 3)
    rule, theta = _learner(BACKPROP, key)
    net = rule.init_network(theta, k_net, (2, 3, 2))
    xs, ys = family.draw(k_task).stream(k_data, 3, 8)
    for x, y in zip(xs, ys, strict=True):
        old, (net, _) = net, rule.update(theta, net, x, y)
    change = rule.synapse_matrices(net)[0] - rule.synapse_matrices(old)[0]
    shown = np.asarray(figure.axes[1].images[0].get_array())
    assert shown.shape == (3, 2)
    np.testing.assert_allclose(shown, change, atol=1e-6)


def test_synapse_changes_reads_a_network_of_your_own(key):
    rule, theta = _learner(BACKPROP, key)
    figure = synapse_changes(
        {"mine": (rule, theta)}, hx.tasks.toy("xor"), hidden=(), updates=(1,), batch=4,
        read=lambda net: [net.network.weights[0].T],
    )  # fmt: skip
    assert figure.axes[0].images[0].get_array().shape == (2, 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"updates": (0, 1)}, "ascend from 1"),
        ({"updates": (2, 1)}, "ascend from 1"),
        ({"updates": ()}, "ascend from 1"),
        ({"layer": 2}, "layer must be from -2 to 1"),
        ({"learners": {}}, "at least one rule"),
    ],
)
def test_synapse_changes_refuses(settings, message, key):
    given = {"learners": {"SGD": _learner(BACKPROP, key)}, "hidden": (3,), "batch": 4} | settings
    with pytest.raises(ValueError, match=message):
        synapse_changes(given.pop("learners"), hx.tasks.toy("xor"), **given)


def test_receptive_fields_have_an_image_a_unit():
    weights = np.arange(5 * 6.0).reshape(5, 6)
    figure = receptive_fields(weights, (2, 3), columns=2, labels=list("abcde"), title="units")
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_xlabel() for axes in shown] == list("abcde")
    np.testing.assert_array_equal(shown[1].images[0].get_array(), weights[1].reshape(2, 3))
    # Symmetric about zero, so that white is zero.
    assert shown[1].images[0].get_clim() == (-11.0, 11.0)
    assert _is_picture(figure)


def test_receptive_fields_of_units_that_are_silent_or_overflow():
    assert _is_picture(receptive_fields(np.array([[0.0, 0.0], [np.nan, np.inf]]), (1, 2)))


def test_receptive_fields_refuse_other_sizes():
    with pytest.raises(ValueError, match=r"\[units, 6\]"):
        receptive_fields(np.zeros((4, 5)), (2, 3))
    with pytest.raises(ValueError, match="labels must be 4"):
        receptive_fields(np.zeros((4, 6)), (2, 3), labels=["one"])


# Films


def test_film_has_a_frame_a_look(tmp_path, key):
    path = tmp_path / "new" / "film.gif"
    figure = decision_film(
        path,
        {"SGD": _learner(BACKPROP, key), "Hebb": _learner(hx.Hebbian(), key)},
        [hx.tasks.toy("xor")],
        hidden=(3,), updates=(0, 1, 4), batch=8, resolution=10, dpi=40, title="xor",
    )  # fmt: skip
    assert [axes.get_title() for axes in figure.axes] == ["SGD", "Hebb"]
    assert "after 4 updates of 8 examples" in figure.get_suptitle()
    with Image.open(path) as film:
        assert film.format == "GIF"
        assert film.n_frames == 3
        assert film.info["loop"] == 0
        # As large as was asked for.
        np.testing.assert_allclose(film.size, 40 * figure.get_size_inches(), atol=1)
        frames = []
        for index in range(3):
            film.seek(index)
            frames.append(np.asarray(film.convert("RGB"), int))
    # Something moves, and most does not.
    moved = np.abs(frames[2] - frames[0]).sum(axis=2) > 0
    assert 0.005 < moved.mean() < 0.9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"updates": (-1, 0)}, "ascend from 0"),
        ({"updates": ()}, "ascend from 0"),
        ({"families": []}, "at least one"),
        ({"learners": {}}, "at least one"),
        ({"families": [hx.tasks.iris()]}, "iris with 4"),
    ],
)
def test_film_refuses(settings, message, tmp_path, key):
    given = {"learners": {"SGD": _learner(BACKPROP, key)}, "families": [hx.tasks.toy("xor")]}
    given |= {"hidden": (3,)} | settings
    with pytest.raises(ValueError, match=message):
        decision_film(tmp_path / "film.gif", **given)
    assert not (tmp_path / "film.gif").exists()
