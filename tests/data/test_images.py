import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_files import pixels

from hebbax.data import images


def test_crop_is_central():
    x = pixels(3, 28, 28)
    np.testing.assert_array_equal(images.crop(x, 20), x[:, 4:24, 4:24])
    np.testing.assert_array_equal(images.crop(x, 28), x)
    assert images.crop(pixels(2, 8, 8, 3), 4).shape == (2, 4, 4, 3)


@pytest.mark.parametrize("size", [0, -1, 29])
def test_crop_refuses(size):
    with pytest.raises(ValueError, match=f"crop must be from 1 to 28 .* got {size}"):
        images.crop(pixels(3, 28, 28), size)


@pytest.mark.parametrize("size", [0, 257])
def test_resize_refuses(size):
    with pytest.raises(ValueError, match=f"size must be .* got {size}"):
        images.resize(pixels(3, 28, 28), size)


@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 255))
def test_constant_images_stay_constant(old, new, value):
    x = np.full((2, old, old), value, np.uint8)
    got = images.resize(x, new)
    assert got.shape == (2, new, new)
    np.testing.assert_allclose(got, value, rtol=1e-5)


@given(st.integers(1, 6), st.integers(1, 5))
def test_whole_factors_average_blocks(new, factor):
    x = pixels(2, new * factor, new * factor)
    expected = x.reshape(2, new, factor, new, factor).mean(axis=(2, 4))
    np.testing.assert_allclose(images.resize(x, new), expected, rtol=1e-5, atol=1e-3)


@given(st.integers(2, 12), st.integers(1, 12))
def test_shrinking_keeps_the_mean(old, new):
    x = pixels(1, old, old)
    got = images.resize(x, min(new, old))
    np.testing.assert_allclose(got.mean(), x.mean(), rtol=1e-5)


def test_channels_are_resized_alike():
    x = pixels(3, 12, 12, 3)
    got = images.resize(x, 5)
    for channel in range(3):
        np.testing.assert_allclose(
            got[..., channel],
            images.resize(np.ascontiguousarray(x[..., channel]), 5),
            rtol=1e-5,
        )


def test_chunks_do_not_show(monkeypatch):
    x = pixels(10, 9, 9)
    whole = images.resize(x, 4)
    monkeypatch.setattr(images, "_CHUNK", 3)
    np.testing.assert_allclose(images.resize(x, 4), whole, rtol=1e-6)


def test_enlarging_interpolates():
    x = np.array([[[0, 100], [0, 100]]], np.uint8)
    np.testing.assert_allclose(images.resize(x, 4)[0, 0], [0, 25, 75, 100], atol=1e-4)


def test_to_unit():
    x = np.array([[[0, 255]]], np.uint8)
    np.testing.assert_array_equal(images.to_unit(x), np.array([[[0.0, 1.0]]], np.float32))


@pytest.mark.parametrize("per_feature", [False, True])
def test_standardized_mean_and_deviation(per_feature, monkeypatch):
    monkeypatch.setattr(images, "_CHUNK", 17)
    rng = np.random.default_rng(0)
    scale = np.array([1.0, 100.0, 0.01])
    train = (rng.normal(5, 1, (200, 3)) * scale).astype(np.float32)
    test = (rng.normal(5, 1, (50, 3)) * scale).astype(np.float32)
    got, held = images.standardize(train, test, per_feature)
    axis = 0 if per_feature else None
    np.testing.assert_allclose(got.mean(axis=axis), 0, atol=1e-4)
    np.testing.assert_allclose(got.std(axis=axis), 1, rtol=1e-4)
    mean, deviation = train.mean(axis=axis), train.std(axis=axis)
    np.testing.assert_allclose(held, (test - mean) / deviation, rtol=1e-3, atol=1e-3)


def test_constant_features_become_zero():
    train = np.stack([np.full(7, 0.1), np.zeros(7), np.arange(7)], axis=1).astype(np.float32)
    got, held = images.standardize(train, train + 1, per_feature=True)
    assert np.isfinite(got).all()
    np.testing.assert_array_equal(got[:, :2], np.zeros((7, 2)))
    np.testing.assert_array_equal(held[:, :2], np.zeros((7, 2)))
    flat, _ = images.standardize(train * 0, train * 0)
    np.testing.assert_array_equal(flat, train * 0)
