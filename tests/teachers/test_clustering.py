"""Cloning of an online clustering: what the target is, and that a rule can be taught it."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx
from hebbax.outer.methods import TruncatedGradient
from hebbax.rules.unsupervised._planes import PULL, columns, standardized
from hebbax.tasks import Episode
from hebbax.teachers._clustering import CloneClustering, clustering

SIZES = (6, 4)


def drawn(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def rms(a):
    return np.sqrt(np.mean(np.square(a), axis=0))


def formula(individual):
    """Return the target in NumPy, and what it was made of."""
    x, w = np.asarray(drawn(0, 20, 6)), np.asarray(drawn(1, 6, 4))
    y = np.maximum(x @ w, 0)
    y_hat = (y - y.mean(0)) / y.std(0)
    r = np.exp(3 * y_hat) / np.exp(3 * y_hat).sum(axis=1, keepdims=True)
    v = (y_hat * np.abs(y_hat)).mean(0) if individual else 1
    q = (r - r.mean(0)) / r.std(0) - 0.4 * v * y_hat
    centred, told = x - x.mean(0), y_hat @ (w / rms(w)).T
    c = np.zeros((6, 4))
    for units in [[0], [1], [2], [3]] if individual else [[0, 1, 2, 3]]:
        # The least squares fit of one by the other has the κ of the module's description.
        taken, given = told.T @ q[:, units], centred.T @ q[:, units]
        (kappa,), *_ = np.linalg.lstsq(taken.reshape(-1, 1), given.ravel())
        c[:, units] = given - kappa * taken
    return c / rms(c), jnp.asarray(x), jnp.asarray(w), jnp.asarray(y)


@pytest.mark.parametrize("individual", [False, True])
def test_the_target_is_the_formula_in_numpy(individual):
    c, x, w, y = formula(individual)
    found = clustering(x, w, y, 3.0, 0.4, individual)
    np.testing.assert_allclose(found, c, rtol=2e-3, atol=2e-3)


def test_columns_of_the_target_have_one_size_however_small_the_inputs_are():
    x, w = drawn(0, 20, 6), drawn(1, 6, 4)
    for scale in (1.0, 1e-2):
        c = clustering(scale * x, w, jax.nn.relu(x @ w), 5.0, 0.4)
        np.testing.assert_allclose(rms(c), 1.0, rtol=1e-3)


def blobs(count, dimensions, apart=1.0, noise=1.0):
    """Examples of as many blobs, their labels, and the blobs' centres."""
    random = np.random.default_rng(0)
    centres = apart * random.normal(size=(count, dimensions))
    labels = random.integers(0, count, 400)
    x = centres[labels] + noise * random.normal(size=(400, dimensions))
    return jnp.asarray(x, jnp.float32), labels, centres


@eqx.filter_jit
def followed(x, w, function, residual, individual, steps=200):
    def step(_, w):
        y = function(standardized(x @ columns(w)))
        return columns(w) + 0.1 * clustering(x, w, y, 5.0, residual, individual)

    return jax.lax.fori_loop(0, steps, step, w)


def owned(x, labels, w):
    """Return the shares of all examples that are of a blob and of its most active unit."""
    owner = np.asarray(jnp.argmax(standardized(x @ columns(w)), axis=1))
    counts = np.zeros((w.shape[1], labels.max() + 1))
    np.add.at(counts, (owner, labels), 1 / len(x))
    return counts


def kept_whole(shares):
    """Return the share of examples that fall to the unit that most of their blob falls to."""
    return shares.max(axis=0).sum()


@pytest.mark.parametrize("function", [jax.nn.relu, jnp.tanh])
def test_following_the_target_keeps_few_clusters_whole_and_no_unit_idle(function):
    x, labels, _ = blobs(4, 6, apart=3.0, noise=0.3)
    w = drawn(2, 6, 4)
    after = owned(x, labels, followed(x, w, function, 0.2, individual=False))
    assert kept_whole(after) > max(kept_whole(owned(x, labels, w)), 0.95)
    assert after.any(axis=1).all()


@pytest.mark.parametrize(("residual", "individual"), [(0.5, False), (0.9, True)])
def test_with_rectified_units_following_the_target_finds_many_clusters(residual, individual):
    """Each of as many units as there are blobs ends by being the most active for one of them."""
    x, labels, _ = blobs(8, 30)
    w = drawn(2, 30, 8)
    assert kept_whole(owned(x, labels, w)) < 0.6
    after = owned(x, labels, followed(x, w, jax.nn.relu, residual, individual))
    assert kept_whole(after) > 0.95
    assert sorted(after.argmax(axis=0)) == [*range(8)]


def test_with_symmetric_units_following_the_target_finds_the_space_of_the_clusters():
    x, _, centres = blobs(8, 30)
    between = centres - centres.mean(axis=0)

    def spanned(w):
        basis, _ = np.linalg.qr(np.asarray(w))
        return np.sum((between @ basis) ** 2) / np.sum(between**2)

    w = drawn(2, 30, 8)
    assert spanned(w) < 0.4
    assert spanned(followed(x, w, jnp.tanh, 0.9, individual=True)) > 0.85


@eqx.filter_jit
def begun(rule, key):
    """Return θ and a network."""
    theta = rule.init(key)
    return theta, rule.init_network(theta, key, SIZES)


@eqx.filter_jit
def judged(teacher, rule, theta, net, episode, first=0):
    return teacher.unroll_and_judge(rule, theta, net, episode, first=first)


class Follower(hx.UnsupervisedRule):
    """A rule that changes weights by the target times `of`, whatever θ is."""

    of: float = eqx.field(static=True, default=1.0)

    def update(self, theta, net, x, y):
        objective = CloneClustering()
        assert objective.query == 1
        layer, features = net.layers[0], self.forward(net, x)[-1].x
        c = clustering(x, layer.weight, features, objective.sharpness, objective.residual)
        change = -self.of * objective.size * c - PULL * columns(layer.weight)
        weight = (1 - self.step_size) * layer.weight - self.step_size * change
        return eqx.tree_at(lambda n: n.layers[0].weight, net, weight), features


def episode(steps=3):
    return Episode(
        drawn(3, steps, 20, 6), jnp.zeros((steps, 20, 2)), drawn(4, 1, 6), drawn(5, 1, 2)
    )


@pytest.mark.parametrize(("of", "loss", "cosine"), [(1.0, 0.0, 1.0), (0.0, 1.0, 0.0)])
def test_the_loss_is_0_for_the_clustering_itself_and_1_for_doing_nothing(key, of, loss, cosine):
    rule = Follower(step_size=0.1, top_units=None, hidden_channels=2, top_channels=2, of=of)
    theta, net = begun(rule, key)
    teacher = CloneClustering(steps=3, batch=20)
    found, metrics = judged(teacher, rule, theta, net, episode())[1]
    assert found == pytest.approx(loss, abs=1e-4)
    assert metrics["cosine"] == pytest.approx(cosine, abs=1e-2)


def small_rule():
    return hx.UnsupervisedRule(
        step_size=0.05, top_units=None, hidden_channels=4, top_channels=4, signal_channels=2
    )


def test_no_gradient_passes_from_one_update_to_the_next(key):
    rule = small_rule()
    theta, net = begun(rule, key)
    whole = episode(2)

    def loss(theta, net, episode):
        after, (value, _) = CloneClustering().unroll_and_judge(rule, theta, net, episode)
        return value, after

    parts = [eqx.tree_at(lambda e: e.x, whole, whole.x[i : i + 1]) for i in range(2)]
    gradient = eqx.filter_jit(jax.grad(loss, has_aux=True))
    first, net_1 = gradient(theta, net, parts[0])
    second, _ = gradient(theta, net_1, parts[1])
    both, _ = gradient(theta, net, whole)
    for a, b, c in zip(*map(jax.tree.leaves, (first, second, both)), strict=True):
        np.testing.assert_allclose((a + b) / 2, c, rtol=1e-3, atol=1e-6)


def steep_sigmoid(z):
    return jax.nn.sigmoid(5 * z)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(
    ("options", "turns"),
    [
        ({"activations": ("relu", "tanh")}, ("relu", "tanh", "relu", "tanh")),
        ({"activations": ("sigmoid",), "slopes": (1.0, 5.0)}, ("sigmoid", steep_sigmoid) * 2),
        (
            {"activations": ("tanh", "sigmoid"), "slopes": (1.0, 5.0)},
            ("tanh", "sigmoid", lambda z: jnp.tanh(5 * z), steep_sigmoid),
        ),
    ],
)
def test_activations_and_slopes_take_turns(key, first, options, turns):
    """Judging from update number `first` on is judging rules of these neurons one by one."""
    rule = small_rule()
    theta, net = begun(rule, key)
    whole = episode(3)
    expected, alone = [], net
    for index in range(3):
        own = dataclasses.replace(rule, activation=turns[first + index])
        part = eqx.tree_at(lambda e: e.x, whole, whole.x[index : index + 1])
        alone, (loss, _) = judged(CloneClustering(), own, theta, alone, part)
        expected.append(loss)
    after, (loss, _) = judged(CloneClustering(**options), rule, theta, net, whole, first)
    assert loss == pytest.approx(np.mean(expected), rel=1e-4)
    np.testing.assert_allclose(after.layers[0].weight, alone.layers[0].weight, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_meta_training_teaches_it(key, tmp_path):
    import optax

    result = hx.meta_train(
        small_rule(),
        hx.tasks.augmented(hx.tasks.glyphs(4, 6)),
        CloneClustering(steps=4, batch=20, units=6),
        TruncatedGradient(optax.adam(1e-2), truncation=1),
        steps=600,
        key=key,
        runs=1,
        directory=tmp_path,
        log_every=50,
        checkpoint_every=50,
    )
    losses = [float(line["loss"][0]) for line in result.history]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"units": 0}, "units must be a whole number of at least 1; got 0"),
        ({"sharpness": 0.0}, "sharpness must be a finite number above 0; got 0.0"),
        ({"residual": 1.0}, r"residual must be a finite number in \[0, 1\); got 1.0"),
        ({"size": 1.0}, r"size must be a finite number in \(0, 1\); got 1.0"),
        ({"activations": ("relu", "thanh")}, "activations must be one of .*; got 'thanh'.*'tanh'"),
        ({"slopes": ()}, r"slopes must hold at least one number; got \(\)"),
        (
            {"slopes": (1.0, 0.0)},
            r"slopes must be a tuple, each item a finite number above 0; got \(1.0, 0.0\)",
        ),
        ({"steps": 0}, "steps must be a whole number of at least 1; got 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        CloneClustering(**settings)


def test_truncations_of_different_lengths_are_refused(key):
    rule = small_rule()
    theta, net = begun(rule, key)
    with pytest.raises(ValueError, match="all of one length"):
        CloneClustering().unroll_and_judge(rule, theta, net, episode(), taken=jnp.asarray(1))
