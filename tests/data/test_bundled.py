import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hebbax import data
from hebbax.data._bundled import stratified


@pytest.mark.parametrize(
    ("name", "train", "test", "shape"),
    [
        ("digits", 1000, 797, (8, 8)),
        ("iris", 105, 45, (4,)),
        ("wine", 125, 53, (13,)),
        ("breast_cancer", 398, 171, (30,)),
    ],
)
def test_sizes_and_classes(name, train, test, shape):
    got = data.load(name)
    assert got.train_x.shape == (train, *shape)
    assert got.test_x.shape == (test, *shape)
    classes = np.arange(len(got.class_names))
    np.testing.assert_array_equal(np.unique(got.train_y), classes)
    np.testing.assert_array_equal(np.unique(got.test_y), classes)
    assert got.path is None
    assert got.is_image == (name == "digits")
    np.testing.assert_array_equal(got.test_x, data.load(name).test_x)


def test_digits_use_the_whole_range():
    got = data.load("digits")
    assert got.train_x.min() == 0
    assert got.train_x.max() == 255


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=60), st.floats(0.05, 0.9), st.integers(0, 5)
)
def test_stratified_leaves_every_class_on_both_sides(labels, fraction, seed):
    labels = np.array(labels)
    chosen = stratified(labels, fraction, seed)
    np.testing.assert_array_equal(chosen, stratified(labels, fraction, seed))
    for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
        inside = int(chosen[labels == label].sum())
        if count == 1:
            assert inside == 0
        else:
            assert 1 <= inside <= count - 1
            assert abs(inside - fraction * count) <= 1
