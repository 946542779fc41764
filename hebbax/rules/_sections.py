"""What a rule's meta-parameters look like on a page: arrays with names and words."""

from typing import NamedTuple

import numpy as np
from jaxtyping import PyTree, Shaped

from hebbax._trees import to_arrays


class Entry(NamedTuple):
    """An array of θ.

    **Fields:** `array`; `symbol`, what it is called; `meaning`, a few words; of a matrix, what its
    `row`s and `column`s count.
    """

    array: Shaped[np.ndarray, "..."]
    symbol: str
    meaning: str = ""
    row: str = "row"
    column: str = "column"


class Section(NamedTuple):
    """Arrays that belong together, under a `title`, empty where there is just one section."""

    title: str
    entries: tuple[Entry, ...]


def all_arrays(theta: PyTree) -> Section:
    """Return every array of θ under the name of its field."""
    return Section("", tuple(Entry(array, name) for name, array in to_arrays(theta).items()))
