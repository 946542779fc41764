"""Options of Blur from the authors' program and the paper's outlook, and what they leave alone."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_blur import close, predict, update

import hebbax as hx
from hebbax.networks import Architecture, Conv

SIZES, SMALL, ROWS, STATES = (3, 5, 4, 2), (3, 4, 2), 4, 3
PLAIN = {
    "states": STATES,
    "normalization": None,
    "synapse_normalization": None,
    "reduction": "sum",
    "genome_init": "random",
    "init_scale": 0.4,
    "synapse_update": 0.05,
}
PROGRAM = {"forward_update": 0.03, "supervised_every": 2, "persistent": ROWS}
"""What the authors' program has, all at once."""


def started(options, key):
    """Return a rule with these options, a genome without two equal numbers, and a network."""
    rule = hx.Blur(**PLAIN, **options)

    @jax.jit
    def begin(key):
        theta = rule.init(key)
        leaves, tree = jax.tree.flatten(theta)
        keys = jax.random.split(jax.random.fold_in(key, 7), len(leaves))
        varied = [
            a + 0.1 * jax.random.normal(k, a.shape) for a, k in zip(leaves, keys, strict=True)
        ]
        return jax.tree.unflatten(tree, varied), rule.init_network(theta, key, SIZES)

    return rule, *begin(key)


def batches(steps=5):
    x = jax.random.normal(jax.random.key(3), (steps, ROWS, SIZES[0]))
    return x, jax.nn.one_hot(jnp.arange(steps * ROWS).reshape(steps, ROWS) % 2, 2)


class Program:
    """The authors' program as SPEC and README of the recorded numbers tell it, by plain sums.

    Neurons are `[rows, units, k]`; the synapses between two layers are one square array over lower
    units, a bias and upper units, rows sending and columns receiving.
    """

    def __init__(self, options, theta, net):
        self.options = options
        self.g = {name: np.asarray(a) for name, a in vars(theta).items() if a is not None}
        self.squares = []
        for synapses in net.layers:
            w = np.asarray(synapses.weight)
            k, upper, lower = w.shape
            square = np.zeros((lower + 1 + upper,) * 2 + (k,))
            square[:lower, lower + 1 :] = w.transpose(2, 1, 0)
            square[lower, lower + 1 :] = np.asarray(synapses.bias).T
            if synapses.backward is not None:
                square[lower + 1 :, :lower] = np.asarray(synapses.backward).transpose(2, 1, 0)
            self.squares.append(square)
        self.states = [np.zeros((ROWS, n, STATES)) for n in SIZES]
        self.step = 0

    def ones(self):
        return np.ones((ROWS, 1, STATES))

    def driven(self, old, sent, matrix, block):
        arriving = np.einsum("bid,cd,ijc->bjc", sent, matrix, block)
        return self.g["f"] * old + self.g["eta"] * arriving

    def change(self, pre, post, keep, rate):
        for index, (low, high) in enumerate(zip(self.states, self.states[1:], strict=False)):
            unit = np.concatenate([low, self.ones(), high], axis=1)
            hebb = np.einsum("bie,ec,cd,bjd->ijc", unit, pre, post, unit)
            self.squares[index] = keep * self.squares[index] + rate * hebb

    def update(self, x, y):
        g, a = self.g, self.states
        if not self.options.get("persistent"):
            a[:] = [np.zeros_like(s) for s in a]
        a[0] = np.zeros((ROWS, SIZES[0], STATES))
        a[0][:, :, 0] = x
        for index, square in enumerate(self.squares):
            sent = np.concatenate([a[index], self.ones()], axis=1)
            lower, last = SIZES[index], index == len(self.squares) - 1
            block = square[: lower + 1, lower + 1 :]
            driven = self.driven(a[index + 1], sent, g["nu"], block)
            a[index + 1] = driven if last else np.tanh(driven)
        said = a[-1][:, :, 0].copy()
        if self.options.get("forward_update"):
            self.change(
                g["forward_nu_tilde"], g["forward_mu_tilde"],
                g["forward_f_tilde"], g["forward_eta_tilde"],
            )  # fmt: skip
        if self.step % self.options.get("supervised_every", 1) == 0:
            a[-1][:, :, 1:] = 0
            a[-1][:, :, 1] = 2 * np.asarray(y) - 1
            for index in range(len(self.squares) - 1, 0, -1):
                lower = SIZES[index]
                block = self.squares[index][lower + 1 :, :lower]
                a[index] = np.tanh(self.driven(a[index], a[index + 1], g["mu"], block))
            self.change(g["nu_tilde"], g["mu_tilde"], g["f_tilde"], g["eta_tilde"])
        self.step += 1
        return said


@pytest.mark.parametrize("options", [PROGRAM, {"forward_update": 0.03}], ids=["all", "forward"])
def test_it_is_the_authors_program(options, key):
    with jax.enable_x64(True):
        rule, theta, net = started(options, key)
        plain = Program(options, theta, net)
        for x, y in zip(*batches(), strict=True):
            net, said = update(rule, theta, net, x.astype(jnp.float64), y.astype(jnp.float64))
            np.testing.assert_allclose(said, plain.update(x, y), atol=1e-9)
            for synapses, square, lower in zip(net.layers, plain.squares, SIZES, strict=False):
                above = square[:, lower + 1 :].transpose(2, 1, 0)
                np.testing.assert_allclose(synapses.weight, above[:, :, :lower], atol=1e-9)
                np.testing.assert_allclose(synapses.bias, above[:, :, lower], atol=1e-9)
                if synapses.backward is not None:
                    below = square[lower + 1 :, :lower].transpose(2, 1, 0)
                    np.testing.assert_allclose(synapses.backward, below, atol=1e-9)
            if "persistent" in options:
                for ours, theirs in zip(net.memory.neurons, plain.states[1:], strict=True):
                    np.testing.assert_allclose(ours, theirs.T, atol=1e-9)


NEUTRAL = {
    "persistent": ROWS,
    "noise": 0.0,
    "self_regulation": True,
    "supervised_every": 1,
}
"""With gates f of zero, nothing of these changes what is learnt."""


@pytest.fixture(scope="module")
def told():
    x, y = batches(2)
    return x, y


def taught(rule, theta, net, xs, ys):
    """Return what was predicted, the network after all updates and its own predictions."""
    net, said = hx.unroll(rule, theta, net, xs, ys)
    return said, dataclasses.replace(net, memory=None), rule.predict(theta, net, xs[0])


def test_what_adds_nothing_is_the_plain_rule(key, told):
    """Noise and gates of zero and neurons that keep nothing; statistics of batches are stored."""
    plain, other = hx.Blur(init_scale=0.3), hx.Blur(init_scale=0.3, **NEUTRAL)

    @jax.jit
    def both(key):
        found = []
        for rule in (plain, other):
            theta = eqx.tree_at(lambda g: g.f, rule.init(key), jnp.zeros(()))
            net = rule.init_network(theta, key, SMALL)
            found.append(taught(rule, theta, net, *told))
        return found

    close(*both(key), atol=1e-6)


def test_updates_without_labels(key, told):
    """They change synapses in the forward pass only; each has noise of its own."""
    x = told[0]
    rule = hx.Blur(forward_update=0.05, noise=0.3, init_scale=0.3)

    @jax.jit
    def twice(key):
        theta = rule.init(key)
        nets = [rule.init_network(theta, key, SMALL)]
        said = []
        for _ in range(2):
            net, prediction = rule.update(theta, nets[-1], x[0], None)
            nets.append(net)
            said.append(prediction)
        return nets, said

    (fresh, once, twice), (first, second) = twice(key)
    bits = [int(net.memory.noise[0]) for net in (fresh, once, twice)]
    assert len(set(bits)) == 3
    for a, b, c in zip(fresh.layers, once.layers, twice.layers, strict=True):
        assert np.any(a.weight != b.weight)
        assert np.any(b.weight != c.weight)
    assert not np.allclose(first, second, atol=1e-2)
    assert float(twice.updates) == 2  # statistics are of synapses as they are


def test_predictions_begin_with_neurons_at_rest(key, told):
    """Rows stand alone, and may be any number, whatever the neurons of a batch were left in."""
    x, y = told
    rule = hx.Blur(persistent=ROWS, noise=0.2, init_scale=0.3)
    theta = rule.init(key)
    net = jax.jit(rule.init_network, static_argnums=2)(theta, key, SMALL)
    net, _ = update(rule, theta, net, x[0], y[0])
    assert np.any(net.memory.neurons[0] != 0)
    together = predict(rule, theta, net, x[0])
    close(together, predict(rule, theta, dataclasses.replace(net, memory=None), x[0]), atol=0)
    close(together[1:2], predict(rule, theta, net, x[0][1:2]))


def test_gates_regulate_the_backward_pass(key, told):
    """Open by 2·s(ρ a): with ρ so small that nothing arrives, forward states are all there is."""
    x, y = told
    rule = hx.Blur(**PLAIN, self_regulation=True)
    theta = rule.init(key)
    net = rule.init_network(theta, key, SIZES)
    forward = [jnp.ones_like(a) for a in jax.eval_shape(rule.forward, theta, net, x[0])]
    shut = dataclasses.replace(theta, regulation=jnp.full((STATES, STATES), -30.0))
    final = jax.jit(rule.backward)(shut, net, forward, y[0])
    for before, after in zip(forward[:-1], final[:-1], strict=True):
        np.testing.assert_allclose(after, np.tanh(before), atol=1e-6)


def test_other_architectures_take_all_of_them(key):
    wiring = Architecture(Conv(2, 3, 2)).bind(16, 2, (4, 4, 1))
    rule = hx.Blur(**PROGRAM, noise=0.1, self_regulation=True)
    xs = jax.random.normal(key, (3, ROWS, 16))
    ys = jnp.broadcast_to(jnp.eye(2)[jnp.arange(ROWS) % 2], (3, ROWS, 2))

    @jax.jit
    @jax.grad
    def learn(theta, net):
        net, said = hx.unroll(rule, theta, net, xs, ys)
        assert [a.shape for a in net.memory.neurons] == [(2, 8, ROWS), (2, 2, ROWS)]
        return jnp.sum(said**2) + jnp.sum(rule.predict(theta, net, xs[0]) ** 2)

    theta = rule.init(key)
    gradient = learn(theta, rule.init_network(theta, key, wiring))
    assert all(np.all(np.isfinite(a)) for a in jax.tree.leaves(gradient))
    for name in ("f", "noise", "regulation", "forward_eta_tilde", "forward_nu_tilde"):
        assert np.any(getattr(gradient, name) != 0), name


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"supervised_every": 0}, "supervised_every must be .* of at least 1; got 0"),
        ({"persistent": 0}, "persistent must be .* of at least 1.*; got 0"),
        ({"noise": -0.1}, "noise must be .* of at least 0.*; got -0.1"),
        ({"forward_update": float("nan")}, "forward_update must be .*; got nan"),
        ({"forward_update": 0.1, "forward_presynaptic": True}, "forward_presynaptic=True.*got 0.1"),
    ],
)
def test_bad_options_are_named(options, words, unchecked):
    with pytest.raises(ValueError, match=words) as error:
        hx.Blur(**options)
    assert "\n" not in str(error.value)


def test_another_number_of_rows_is_refused(key):
    rule = hx.Blur(persistent=ROWS)
    theta = rule.init(key)
    net = rule.init_network(theta, key, SIZES)
    for call in (rule.update, rule.plasticity):
        with pytest.raises(ValueError, match=r"the 4 rows .*\(persistent=4\); got 3"):
            call(theta, net, jnp.ones((3, SIZES[0])), jnp.ones((3, 2)))


def test_rule_files_hold_them(key, tmp_path):
    rule = hx.Blur(**PROGRAM, noise=0.1, self_regulation=True)
    theta = rule.init(key)
    hx.save_rule(tmp_path / "all.safetensors", rule, theta)
    same, again = hx.load_rule(tmp_path / "all.safetensors")
    assert same == rule
    close(again, theta, atol=0)
    symbols = [entry.symbol for section in rule.sections(theta) for entry in section.entries]
    assert len(symbols) == len(jax.tree.leaves(theta))
    assert symbols.count("η̃") == symbols.count("f̃") == 2
