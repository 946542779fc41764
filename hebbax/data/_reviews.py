"""The reader of the movie reviews: which of the commonest words each one holds."""

import io
import lzma
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from hebbax._errors import shown
from hebbax._foreign import parse_json, read_at_most, refusing
from hebbax.data._dataset import Dataset, check_pair
from hebbax.data._sources import Source

# Bytes of a review, and of what is told about it, on average at most.
_ROW = 2_000
_WORD = re.compile(r"[a-z']+")
_BREAK = re.compile(r"<br\s*/?>")


def read_reviews(entry: Source, paths: tuple[Path, ...]) -> Dataset:
    """IMDB reviews, a JSON object with text, label and movie a line: a bag of words for each.

    A column a word, the commonest of the training part first, 1 where a review has it and else 0.
    The reviews of every fifth movie, in an order fixed for ever, are for testing, for those of
    one movie have its names in common.
    """
    (path,) = paths
    reviews = _parse(path, entry.rows[0])
    movies = sorted({movie for _, _, movie in reviews})
    # RandomState's stream is frozen by numpy's compatibility policy; default_rng's is not.
    order = np.random.RandomState(0).permutation(len(movies))
    held_out = {movies[index] for index in order[::5]}
    train, test = (
        [(words, label) for words, label, movie in reviews if (movie in held_out) == is_test]
        for is_test in (False, True)
    )
    counts = Counter(word for words, _ in train for word in words)
    # Ties are broken by the alphabet, so that no order of the rows matters.
    common = sorted(counts, key=lambda word: (-counts[word], word))[: entry.shape[0]]
    parts = []
    for part in (train, test):
        x = _bags([words for words, _ in part], common, entry.shape[0])
        y = np.asarray([label for _, label in part], np.int32)
        check_pair(x, y, len(entry.class_names), str(path), str(path))
        parts.append((x, y))
    (train_x, train_y), (test_x, test_y) = parts
    return Dataset(
        entry.name, train_x, train_y, test_x, test_y, entry.class_names, path=path.parent
    )


def _parse(path: Path, rows: int) -> list[tuple[list[str], int, str]]:
    """Return words, label and movie of every review."""
    limit = rows * _ROW
    data = read_at_most(path, limit)
    with refusing(f"{path} is truncated or not an xz file of text"):
        with lzma.open(io.BytesIO(data)) as stream:
            content = stream.read(limit + 1)
        if len(content) > limit:
            raise ValueError(f"it holds more than {limit:,} bytes")
        lines = io.StringIO(content.decode("utf-8"))
    reviews = []
    for number, line in enumerate(lines, 1):
        what = f"{path} has no review in line {number}, a JSON object with text, label and movie"
        if number > rows:
            raise ValueError(f"{path} holds more than {rows:,} reviews")
        with refusing(what):
            reviews.append(_review(parse_json(line)))
    return reviews


def _review(row: Any) -> tuple[list[str], int, str]:
    if not isinstance(row, dict):
        raise ValueError(f"it holds {shown(row)}")
    for name, kind in (("text", str), ("label", int), ("movie", str)):
        if type(row.get(name)) is not kind:
            raise ValueError(f"its {name} is {shown(row.get(name))}")
    if row["label"] not in (0, 1):
        raise ValueError(f"its label outside of 0 and 1 is {shown(row['label'])}")
    words = set(_WORD.findall(_BREAK.sub(" ", row["text"]).lower()))
    return sorted(words), row["label"], row["movie"]


def _bags(
    rows: Sequence[Sequence[str]], common: Sequence[str], columns: int
) -> Float32[np.ndarray, "n words"]:
    column = {word: index for index, word in enumerate(common)}
    bags = np.zeros((len(rows), columns), np.float32)
    for bag, words in zip(bags, rows, strict=True):
        bag[[column[word] for word in words if word in column]] = 1
    return bags
