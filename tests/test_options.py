"""Options are refused unless they are what their annotations say."""

import dataclasses
import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
import pytest

from hebbax._options import AT_LEAST_1, POSITIVE, SHARE, Range, as_tuple, check_options


@dataclasses.dataclass(frozen=True)
class Inner:
    form: str = "a"


@dataclasses.dataclass(frozen=True)
class Options:
    flag: bool = False
    count: Annotated[int, AT_LEAST_1] = 1
    rate: Annotated[float, POSITIVE] = 0.1
    share: Annotated[float, Range(0, 1, open_low=True)] = 0.5
    plain: float = 0.0
    form: Literal["sum", "mean"] = "sum"
    maybe: Literal["full", "first"] | None = None
    limit: Annotated[float, POSITIVE] | None = None
    sizes: tuple[Annotated[int, AT_LEAST_1], ...] = ()
    pair: Annotated[tuple[float, float], SHARE] = (0.0, 1.0)
    mixed: float | tuple[float, ...] = 0.0
    function: str | Callable[[Any], Any] = "relu"
    inner: Inner | None = None
    anything: Any = None

    def __post_init__(self):
        check_options(self)


GOOD = [
    {}, {"flag": True}, {"count": np.int64(3)}, {"rate": 1}, {"rate": np.float32(0.5)},
    {"share": 1.0}, {"maybe": "first"}, {"limit": 4.0}, {"sizes": (1, 2)}, {"pair": (1, 0)},
    {"mixed": (1.0, 2.0)}, {"mixed": 3}, {"function": len}, {"inner": Inner()},
    {"anything": object()},
]  # fmt: skip
BAD = [
    ("flag", "no", "flag must be True or False; got 'no'."),
    ("flag", 1, "flag must be True or False; got 1."),
    ("count", 0, "count must be a whole number of at least 1; got 0."),
    ("count", 1.5, "count must be a whole number of at least 1; got 1.5."),
    ("count", True, "count must be a whole number of at least 1; got True."),
    ("count", 10**30, "count must be a whole number of at least 1; got 1000000"),
    ("count", math.nan, "count must be a whole number of at least 1; got nan."),
    ("rate", 0.0, "rate must be a finite number above 0; got 0.0."),
    ("rate", math.inf, "rate must be a finite number above 0; got inf."),
    ("rate", 10**400, "rate must be a finite number above 0; got 1000000"),
    ("rate", "1", "rate must be a finite number above 0; got '1'."),
    ("share", 0, r"share must be a finite number in \(0, 1\]; got 0."),
    ("plain", math.nan, "plain must be a finite number; got nan."),
    ("form", "men", "form must be one of sum, mean; got 'men'. Did you mean 'mean'?"),
    ("form", None, "form must be one of sum, mean; got None."),
    ("maybe", "ful", "maybe must be None or one of full, first; got 'ful'. Did you mean 'full'?"),
    ("maybe", 0, "maybe must be None or one of full, first; got 0."),
    ("limit", -1.0, "limit must be None or a finite number above 0; got -1.0."),
    ("sizes", [1], "sizes must be a tuple, each item a whole number of at least 1"),
    ("sizes", (0,), r"sizes must be a tuple, each item a whole number of at least 1; got \(0,\)"),
    ("sizes", 5, "sizes must be a tuple"),
    ("pair", (0.5,), "pair must be a tuple of 2"),
    ("pair", (0.5, 2.0), "pair must be a tuple of 2"),
    ("mixed", "x", "mixed must be a finite number or a tuple, each item a finite number; got 'x'"),
    ("function", 3, "function must be a text or a function; got 3."),
    ("inner", "a", "inner must be None or an Inner; got 'a'."),
]  # fmt: skip


@pytest.mark.parametrize("options", GOOD, ids=["-".join(options) for options in GOOD])
def test_what_the_annotation_says_is_taken(options):
    for name, value in options.items():
        assert getattr(Options(**options), name) is value


@pytest.mark.parametrize(("name", "value", "why"), BAD)
def test_all_else_is_refused_in_one_line(name, value, why):
    with pytest.raises(ValueError, match=why) as caught:
        Options(**{name: value})
    assert "\n" not in str(caught.value)


def test_long_values_are_cut():
    long: Any = list(range(10_000))
    with pytest.raises(ValueError, match="…") as caught:
        Options(count=long)
    assert len(str(caught.value)) < 200


def test_lists_of_files_become_tuples():
    assert as_tuple([1, 2]) == (1, 2)
    assert as_tuple("ab") == "ab"
