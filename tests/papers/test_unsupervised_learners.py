import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx
from hebbax.papers.unsupervised import _learners, _prototypes, _quantised, _trained
from hebbax.papers.unsupervised._few_shot import FewShot, few_shot, read_out

SIZES = (64, 6, 4)
RULE = hx.UnsupervisedRule(
    step_size=0.1, top_units=4, hidden_channels=3, top_channels=3, signal_channels=2, rank=2
)


@pytest.fixture(scope="module")
def digits():
    return few_shot("digits", 8, 3, labelled=5, tested=80, many=200)


@pytest.fixture(scope="module")
def blobs():
    """Return images of three classes, each bright in a third of its pixels."""
    random = np.random.default_rng(0)

    def draw(n):
        y = np.arange(n) % 3
        x = 0.3 * random.random((n, 9)) + 0.7 * np.repeat(np.eye(3)[y], 3, axis=1)
        return x.astype(np.float32), y.astype(np.int32)

    return FewShot(draw(300)[0], *draw(30), *draw(120))


def test_what_a_learner_is_given(digits):
    assert np.bincount(digits.y).tolist() == [5] * 10
    assert digits.unlabelled.shape == (200, 64)
    assert digits.test_x.shape == (80, 64)
    assert digits.test_x.min() >= 0
    assert digits.test_x.max() <= 1
    again = few_shot("digits", 8, 3, labelled=5, tested=80, many=200)
    straight = few_shot("digits", 8, 3, labelled=5, tested=80, many=200, permute=False)
    for a, b, c in zip(digits, again, straight, strict=True):
        np.testing.assert_array_equal(a, b)
        if a.ndim == 2:
            # The same images with one order of pixels for all parts.
            order = np.random.default_rng(3).permutation(64)
            np.testing.assert_array_equal(a, c[:, order])
        else:
            np.testing.assert_array_equal(a, c)
    other = few_shot("digits", 8, 4, labelled=5, tested=80, many=200)
    assert (other.x != digits.x).any()


def test_read_out_needs_good_features_and_no_scale(blobs):
    assert read_out(lambda x: x, blobs) == 1
    assert read_out(lambda x: 1e-4 * x, blobs) == 1
    noise = np.random.default_rng(1)
    assert read_out(lambda x: noise.random((len(x), 2)), blobs) < 0.6


@pytest.mark.slow
def test_features_of_the_rule(digits):
    theta = RULE.init(jax.random.key(0))
    found = _learners.by_rule(RULE, theta, digits, SIZES, (3, 0), 16, seed=5)
    assert sorted(found) == [0, 3]
    net = RULE.init_network(theta, jax.random.split(jax.random.key(5))[0], SIZES)
    moments = RULE.measure(theta, net, jnp.asarray(digits.unlabelled))
    fresh = RULE.predict_alone(theta, net, jnp.asarray(digits.test_x), moments)
    np.testing.assert_allclose(found[0](digits.test_x), fresh, rtol=1e-4, atol=1e-5)
    later = found[3](digits.test_x)
    assert np.abs(later - fresh).max() > 0.01
    # Each image's features stand alone.
    np.testing.assert_allclose(found[3](digits.test_x[:7]), later[:7], rtol=1e-4, atol=1e-5)


def test_pca_and_kmeans(blobs):
    white = _learners.by_pca(blobs, 2, True, 0)(blobs.unlabelled)
    np.testing.assert_allclose(white.std(axis=0), 1, atol=0.02)
    far = _learners.by_kmeans(blobs, 3, 0)(blobs.test_x)
    assert far.shape == (120, 3)
    assert far.min() == 0
    # The nearest centre has the largest feature, and each class a centre of its own.
    assert len({tuple(far[blobs.test_y == c].argmax(axis=1)) for c in range(3)}) == 3
    assert read_out(_learners.by_kmeans(blobs, 3, 0), blobs) == 1


def test_the_loss_of_a_vae_that_says_nothing(key):
    """A code that is the prior costs nothing; every pixel costs ln 2."""
    model = jax.tree.map(jnp.zeros_like, _trained.draw_vae(key, SIZES))
    x = jax.random.uniform(key, (30, 64))
    assert float(_trained.vae_loss(model, x, key)) == pytest.approx(64 * np.log(2), rel=1e-5)
    mean = model.heads[0][0], jnp.full(4, 2.0)
    moved = _trained.Model(model.body, (mean, *model.heads[1:]), model.decoder)
    expected = 64 * np.log(2) + 4 * 2**2 / 2
    assert float(_trained.vae_loss(moved, x, key)) == pytest.approx(expected, rel=1e-5)


def test_training_lowers_the_loss(blobs, key):
    model = _trained.draw_vae(key, (9, 6, 4))
    x = jnp.asarray(blobs.unlabelled)
    first, last = _trained.train(_trained.vae_loss, model, x, (1, 60), 0.03, key)
    assert _trained.vae_loss(last, x, key) < 0.9 * _trained.vae_loss(first, x, key)
    features = _trained.by_vae(blobs, (9, 6, 4), (60,), 0.03, 1)[60]
    assert features(blobs.test_x).shape == (120, 4)
    assert read_out(features, blobs) > 0.9


def test_supervised_learning(blobs):
    found = _trained.by_labels(blobs, (9, 6, 4), (1, 60), 0.03, 1)
    assert sorted(found) == [1, 60]
    assert found[60] > 0.9


def test_prototypes_by_hand():
    shown = jnp.array([[0.0, 0.0], [2.0, 0.0], [5.0, 5.0]])
    y = jax.nn.one_hot(jnp.array([0, 0, 2]), 3)
    logits = _prototypes._logits(shown, y, jnp.array([[1.0, 3.0]]))
    np.testing.assert_allclose(logits, [[-9, -10, -20]], rtol=1e-6)


@pytest.mark.slow
def test_prototypical_networks_learn_to_tell_characters(key):
    family = hx.tasks.glyphs(3, 8)
    nets = _prototypes.networks([family], (64, 4), (1, 30), 0.03, seed=2)
    before, after = (_prototypes.loss(nets[p], (family,), key) for p in (1, 30))
    assert after < 0.9 * before


def test_accuracy_by_prototypes(blobs, key):
    from hebbax.rules.unsupervised._network import Layer, Network

    eye = Layer(jnp.eye(9), jnp.zeros(9), jnp.zeros((9, 9)))
    assert _prototypes.accuracy(Network((eye,)), blobs) == 1


def test_other_unlabelled_images_may_stand_for_the_test_part():
    given = few_shot("digits", 8, 3, labelled=5, tested=80, many=200, held_out=False)
    rows = {row.tobytes() for row in given.unlabelled}
    assert {row.tobytes() for row in given.test_x} <= rows
    assert not {row.tobytes() for row in given.test_x} & {row.tobytes() for row in given.x}


def test_tables_are_drawn_from_as_they_are():
    given = few_shot("wine", None, 0, labelled=5, tested=20, many=50)
    assert given.unlabelled.shape == (50, 13)
    assert given.x.max() > 100
    assert np.bincount(given.y).tolist() == [5, 5, 5]


def test_shares_of_a_quantised_normal_sum_to_one():
    levels = jnp.arange(-300, 600) / (_quantised.LEVELS - 1)
    for mean, deviation in ((0.3, 0.1), (0.5, 0.004), (0.9, 0.0005)):
        share = jnp.exp(_quantised._log_share(levels, jnp.asarray(mean), jnp.asarray(deviation)))
        np.testing.assert_allclose(share.sum(), 1, rtol=1e-3)


@pytest.mark.slow
def test_the_bound_of_a_quantised_vae_has_finite_gradients_and_improves(digits):
    model = _quantised.draw(jax.random.key(0), (64, 8, 3))
    x = jnp.asarray(digits.unlabelled)
    before, after = (
        _quantised.bound(trained, x, jax.random.key(2))
        for trained in _trained.train(_quantised.loss, model, x, (0, 60), 1e-2, jax.random.key(1))
    )
    np.testing.assert_allclose(before.loss, before.said + before.divergence, rtol=1e-5)
    assert after.loss < before.loss
