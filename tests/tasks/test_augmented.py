import jax
import numpy as np
import pytest
from equinox import filter_jit

from hebbax import tasks


@pytest.fixture
def family(key):
    """Return images of 5 by 5 pixels in (0, 1), no two pixels alike."""
    x = np.asarray(jax.random.uniform(key, (120, 25), minval=0.1, maxval=0.9))
    y = np.arange(120) % 3
    return tasks.from_arrays(x, y, x[:30], y[:30], standardize=False)


def _inside(family, key, steps, batch):
    return np.asarray(filter_jit(family.stream)(jax.random.split(key)[0], steps, batch)[0])


def test_nothing_asked_for_changes_nothing(family, key):
    same = filter_jit(tasks.augmented(family, permute=False).draw)(key)
    x, y = filter_jit(same.stream)(key, 4, 6)
    np.testing.assert_array_equal(x, _inside(family, key, 4, 6))
    np.testing.assert_array_equal(y, filter_jit(family.stream)(jax.random.split(key)[0], 4, 6)[1])
    np.testing.assert_array_equal(same.test_set()[0], family.test_set()[0])


def test_one_permutation_for_all_of_a_task(family, key):
    whole = tasks.augmented(family)
    task = filter_jit(whole.draw)(key)
    order = np.asarray(task.look.order)
    assert sorted(order.tolist()) == list(range(25))
    np.testing.assert_array_equal(
        filter_jit(task.stream)(key, 4, 6)[0], _inside(family, key, 4, 6)[..., order]
    )
    np.testing.assert_array_equal(
        task.test_set()[0],
        np.asarray(family.test_set()[0])[:, order],
    )
    other = np.asarray(filter_jit(whole.draw)(jax.random.key(1)).look.order)
    assert (order != other).any()


def test_a_mask_stays_for_the_task_and_another_changes(family):
    whole = tasks.augmented(family, permute=False, mask=0.8, example_mask=0.8)
    kept, lost, alone = [], [], 0
    for seed in range(24):
        key = jax.random.key(seed)
        task = filter_jit(whole.draw)(key)
        x = np.asarray(filter_jit(task.stream)(key, 10, 20)[0]).reshape(-1, 25)
        seen = np.asarray(task.look.seen)
        assert (x[:, ~seen] == 0).all()
        share = float((x[:, seen] == 0).mean())
        assert share == pytest.approx(float(task.look.masked), abs=0.05)
        kept.append(seen.mean())
        lost.append(share)
        alone += share == 0 and seen.all()
    assert min(kept) < 0.5
    assert max(lost) > 0.3
    # Each of them spares half of the tasks.
    assert 0 < alone < 16


def test_shifts_move_images_and_bring_in_zeros(family, key):
    task = filter_jit(tasks.augmented(family, permute=False, shift=2).draw)(jax.random.key(3))
    reach = int(task.look.reach)
    assert reach > 0
    before = _inside(family, key, 1, 40)[0].reshape(-1, 5, 5)
    after = np.asarray(filter_jit(task.stream)(key, 1, 40)[0])[0].reshape(-1, 5, 5)
    moves = set()
    for a, b in zip(before, after, strict=True):
        wide = np.pad(a, reach)
        found = [
            (i, j)
            for i in range(2 * reach + 1)
            for j in range(2 * reach + 1)
            if np.array_equal(wide[i : i + 5, j : j + 5], b)
        ]
        assert len(found) == 1
        moves.add(found[0])
    assert len(moves) > 4


def test_inversion_and_fading(family, key):
    before = _inside(family, key, 2, 30)
    inverted = filter_jit(tasks.augmented(family, permute=False, invert=1.0).draw)(key)
    np.testing.assert_allclose(filter_jit(inverted.stream)(key, 2, 30)[0], 1 - before, rtol=1e-6)
    whole = tasks.augmented(family, permute=False, fade=0.9)
    ratios = []
    for seed in range(12):
        task = filter_jit(whole.draw)(jax.random.key(seed))
        ratio = np.asarray(filter_jit(task.stream)(key, 2, 30)[0]) / before
        # One factor for all pixels of an example.
        np.testing.assert_allclose(ratio, ratio[..., :1] * np.ones(25), rtol=1e-4)
        assert ratio.min() >= 1 - float(task.look.faded) - 1e-5
        ratios.append(ratio.min())
    assert min(ratios) < 0.5
    assert max(ratios) == pytest.approx(1, abs=1e-5)


def test_a_task_has_to_be_drawn(family, key):
    whole = tasks.augmented(family)
    with pytest.raises(ValueError, match="fix one with family"):
        whole.stream(key, 1, 1)
    task = filter_jit(whole.draw)(key)
    assert task.draw(jax.random.key(7)) is task


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mask": 1.0}, r"mask must be a finite number in \[0, 1\); got 1.0"),
        ({"example_mask": -0.1}, "example_mask must be .* got -0.1"),
        ({"fade": 2.0}, "fade must be .* got 2.0"),
        ({"invert": 1.5}, r"invert must be a finite number in \[0, 1\]; got 1.5"),
        ({"shift": -1}, "shift must be a whole number of at least 0; got -1"),
        ({"shift": 6}, "shift must be 0 where rows of arrays, 25 pixels, .* got 6"),
    ],
)
def test_bad_settings(family, settings, message):
    with pytest.raises(ValueError, match=message):
        tasks.augmented(family, **settings)
