"""Ways in which files are damaged or forged, for tests."""

import copy
import json

import numpy as np

STRANGE = (
    None, True, 0, -1, -5, 1, 2, 3, 1.5, 2**31, 2**64, 10**30, 10**400, 10**9, 1e300, 1e-300,
    float("nan"), float("inf"), "", "a", "two", "ä\udc80", "\x1b[2J", [], {}, ["a", 3], [None],
    [[1]], [1, 2, 3], {"a": 1}, {"unrolls": -5}, {"unrolls": ["a", 3]}, "x" * 10_000,
)  # fmt: skip


def damaged(rng: np.random.Generator, content: bytes) -> bytes:
    """Return `content` with some bits flipped, cut short, or with a piece moved, lost or added."""
    data = bytearray(content)
    if not data:
        return bytes(data)
    for _ in range(int(rng.choice([1, 1, 1, 2, 8]))):
        at = int(rng.integers(len(data))) if data else 0
        # Headers are short, so half of the damage is done at either end.
        if rng.random() < 0.5:
            at = int(rng.integers(min(200, len(data) or 1)))
            at = at if rng.random() < 0.5 else max(0, len(data) - 1 - at)
        kind = rng.integers(6)
        if kind <= 1 and data:
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 2 and data:
            data[at] = int(rng.choice([0, 1, 99, 127, 128, 255]))
        elif kind == 3:
            del data[at:]
        elif kind == 4:
            piece = data[at : at + int(rng.integers(1, 64))]
            to = int(rng.integers(len(data) + 1))
            data[to:to] = piece
        else:
            del data[at : at + int(rng.integers(1, 64))]
    return bytes(data)


def forged(rng: np.random.Generator, value):
    """Return a JSON value with something in it replaced by something strange."""
    if not isinstance(value, (dict, list)) or not value:
        return _strange(rng)
    value = copy.deepcopy(value)
    place, keys = value, [*value] if isinstance(value, dict) else [*range(len(value))]
    key = keys[int(rng.integers(len(keys)))]
    inner = place[key]
    if isinstance(inner, (dict, list)) and inner and rng.random() < 0.5:
        place[key] = forged(rng, inner)
    elif rng.random() < 0.1:
        del place[key]
    elif rng.random() < 0.1 and isinstance(place, dict):
        place["strange"] = _strange(rng)
    else:
        place[key] = _strange(rng)
    return value


def _strange(rng):
    return copy.deepcopy(STRANGE[int(rng.integers(len(STRANGE)))])


def forged_text(rng: np.random.Generator, text: str) -> str:
    """Return a text of JSON that is forged, nested too deep, no JSON, or of another kind."""
    kind = rng.integers(8)
    if kind == 0:
        deep = int(rng.choice([10, 100, 1000, 100_000]))
        return "[" * deep + "]" * deep if rng.random() < 0.5 else '{"a":' * deep + "1" + "}" * deep
    if kind == 1:
        return str(rng.choice(["null", "1", "-", "1" * 5000, "1e999", '"a"', "", "NaN", "{}"]))
    if kind == 2:
        return damaged(rng, text.encode()).decode("latin1")
    try:
        return json.dumps(forged(rng, json.loads(text)))
    except ValueError:
        return "{" + text
