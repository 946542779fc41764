import jax
import numpy as np
import pytest

from hebbax.networks._architectures import Architectures


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": (3, 2)}, "layers must be a range"),
        ({"layers": (-1, 2)}, "layers must be a range"),
        ({"units": (0, 5)}, "units must be a range"),
        ({"units": (3,)}, "units must be a range"),
        ({"multiple": 0}, "multiple must be a whole number of at least 1; got 0"),
        ({"units": (64, 500), "multiple": 64}, r"multiples of multiple, 64; got \(64, 500\)"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_architectures_out_of_range(changes, message):
    with pytest.raises(ValueError, match=message):
        Architectures(**changes)


def test_architectures_are_uniform_in_layers_and_log_uniform_in_units():
    some = Architectures()
    drawn = [some.draw(key) for key in jax.random.split(jax.random.key(1), 300)]
    assert drawn[0] == some.draw(jax.random.split(jax.random.key(1), 300)[0])
    layers = np.bincount([len(hidden) for hidden in drawn], minlength=6)
    assert layers[:2].sum() == 0
    assert np.all(np.abs(layers[2:] - 75) < 30)  # four standard deviations
    units = np.concatenate([np.log2(hidden) for hidden in drawn])
    assert 6 <= units.min() < 6.1 < 8.9 < units.max() <= 9
    # Uniform between 6 and 9: its mean and variance.
    np.testing.assert_allclose([units.mean(), units.var()], [7.5, 0.75], atol=0.12)


def test_rounded_architectures_and_the_middle_one():
    some = Architectures(layers=(1, 4), units=(16, 64), multiple=16)
    drawn = [some.draw(key) for key in jax.random.split(jax.random.key(2), 40)]
    assert {units for hidden in drawn for units in hidden} == {16, 32, 48, 64}
    assert some.middle == (32, 32)
    assert Architectures().middle == (181, 181, 181)
