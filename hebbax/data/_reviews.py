"""The reader of the movie reviews: which of the commonest words each one holds."""

import json
import lzma
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from hebbax.data._dataset import Dataset, check_pair
from hebbax.data._sources import Source

_WORD = re.compile(r"[a-z']+")
_BREAK = re.compile(r"<br\s*/?>")


def read_reviews(entry: Source, paths: tuple[Path, ...]) -> Dataset:
    """IMDB reviews, a JSON object with text, label and movie a line: a bag of words for each.

    A column a word, the commonest of the training part first, 1 where a review has it and else 0.
    The reviews of every fifth movie, in an order fixed for ever, are for testing, for those of
    one movie have its names in common.
    """
    (path,) = paths
    reviews = _parse(path)
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


def _parse(path: Path) -> list[tuple[list[str], int, str]]:
    """Return words, label and movie of every review."""
    reviews = []
    number = 0
    try:
        with lzma.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                number += 1
                row = json.loads(line)
                words = set(_WORD.findall(_BREAK.sub(" ", row["text"]).lower()))
                reviews.append((sorted(words), int(row["label"]), str(row["movie"])))
    except (lzma.LZMAError, EOFError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is truncated or not an xz file of text: {error}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} has no review in line {number}, a JSON object with text, label and movie: "
            f"{error!r}"
        ) from None
    return reviews


def _bags(
    rows: Sequence[Sequence[str]], common: Sequence[str], columns: int
) -> Float32[np.ndarray, "n words"]:
    column = {word: index for index, word in enumerate(common)}
    bags = np.zeros((len(rows), columns), np.float32)
    for bag, words in zip(bags, rows, strict=True):
        bag[[column[word] for word in words if word in column]] = 1
    return bags
