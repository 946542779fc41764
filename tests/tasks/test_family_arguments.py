"""Every function that makes a family, with arguments of every wrong type."""

import inspect
import math

import numpy as np
import pytest

from hebbax import tasks

X, Y = np.eye(8, 4), np.arange(8) % 2
WRONG = ("no", True, 1.5, math.nan, -1, 1e30, 10**30, None, [], ["a"], {"a": 1}, b"x", object())
ARRAYS = {"x", "y", "test_x", "test_y"}


def calls():
    digits = tasks.digits()
    return {
        "augmented": {"family": digits},
        "breast_cancer": {},
        "by_name": {"name": "digits"},
        "digits": {},
        "drifting": {"name": "mixtures"},
        "drifting_images": {"images": digits},
        "from_arrays": {"x": X, "y": Y, "test_x": X, "test_y": Y},
        "glyphs": {},
        "images": {"name": "digits"},
        "iris": {},
        "noisy": {"family": digits},
        "permuted_rows": {"family": digits, "permutations": 2, "rows": 5},
        "prepare": None,
        "projected": {"family": digits},
        "regression": {"x": X, "y": Y * 1.0},
        "sinusoids": {},
        "stream": {"x": X, "y": Y},
        "tabular": {"name": "iris"},
        "toy": {"name": "xor"},
        "wine": {},
        # Of real data sets, which are not everywhere.
        "omniglot": None,
        "subsets": None,
        "names": None,
        "check_counts": None,
    }


def test_no_function_is_forgotten():
    functions = {
        name for name, value in vars(tasks).items()
        if callable(value) and not inspect.isclass(value) and name[0].islower()
    }  # fmt: skip
    assert functions == set(calls())


def said(function, **arguments):
    """Return why arguments are refused, None if they are taken."""
    try:
        function(**arguments)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", [name for name, good in calls().items() if good is not None])
def test_every_wrong_type_is_named(name):
    good, function = calls()[name], getattr(tasks, name)
    function(**good)
    for option, parameter in inspect.signature(function).parameters.items():
        for value in () if option in ARRAYS else WRONG:
            why = said(function, **{**good, option: value})
            if why is None:
                default = parameter.default
                number = isinstance(value, float | int) and isinstance(default, float)
                assert value is default or number or isinstance(value, type(default)), option
            else:
                assert "\n" not in why
                # What is a text, but no name, is told what it should have been one of.
                assert option in why.lower() or isinstance(value, str), (option, value, why)
