import numpy as np
import pytest

from hebbax import tasks


def test_inputs_change_places_and_nothing_else():
    family = tasks.digits()
    x, y = tasks.permuted_rows(family, 3, 50, seed=1)
    assert x.shape == (150, 64)
    known = {tuple(np.sort(row)): int(label) for row, label in zip(
        np.asarray(family.train_x), family.train_y, strict=True)}  # fmt: skip
    assert [known[tuple(np.sort(row))] for row in x] == y.tolist()
    # In each part the corners, which are empty, are at other places.
    empty = [np.flatnonzero(np.ptp(x[i : i + 50], axis=0) == 0).tolist() for i in (0, 50, 100)]
    assert empty[0] != empty[1] != empty[2]
    again = tasks.permuted_rows(family, 3, 50, seed=1)
    np.testing.assert_array_equal(x, again[0])


@pytest.mark.parametrize(
    ("permutations", "rows", "match"), [(0, 5, "permutations"), (1, 0, "rows"), (1, 5000, "rows")]
)
def test_bad_numbers(permutations, rows, match):
    with pytest.raises(ValueError, match=match):
        tasks.permuted_rows(tasks.digits(), permutations, rows)
