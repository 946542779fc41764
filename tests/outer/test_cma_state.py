"""The state of a CMA-ES search: all of it is kept, and nothing foreign is read."""

import importlib
import inspect
import json
import pkgutil
import warnings

import cma
import numpy as np
import pytest
from tiny_cma import OPTIONS, sphere

import hebbax as hx
from hebbax.outer.methods._cma_es import Search

LEFT_OUT = (
    *("_tell2_args", "ary", "timer", "logger", "more_to_write", "pop_sorted", "inputargs"),
    *("inopts", "callbackstop", "pop", "hsiglist"),
    *("fit.bndpen", "fit.fit_plus_pen", "best.last", "_stopdict.es", "_stopdict.opts"),
    *("sent_solutions.last_iteration", "sent_solutions.last_solution_index"),
    *("sigma_vec._parameters", "sm._parameters", "sm.randn", "opts.randn"),
    *(
        "sm._mueff",
        "sm._lam",
        "boundary_handler.bounds_tf",
        "adapt_sigma._es_opts",
        "_stopdict.stoplist",
    ),
    *("gp.tf_pheno", "gp.tf_geno", "adapt_sigma.check_consistency"),
)
"""What `cma` computes anew before it reads it, keeps for pictures, or measures by a clock."""


def described(value, path="", seen=None):
    """Return all that can be reached from `value`, by the path that leads there."""
    seen = {} if seen is None else seen
    name = path.lstrip(".")
    if name in LEFT_OUT:
        return {}
    if isinstance(value, np.ndarray):
        order = value.ndim > 1 and (value.flags.c_contiguous, value.flags.f_contiguous)
        return {name: (value.shape, order, value.tobytes())}
    if value is None or isinstance(value, int | float | str | np.generic):
        return {name: (type(value), repr(value))}
    if callable(value) and not hasattr(value, "__dict__"):
        return {name: type(value)}
    if id(value) in seen:
        return {}
    seen[id(value)] = value
    found = {name: None if isinstance(value, list | range) else type(value)}
    if isinstance(value, dict):
        for key in sorted(value, key=repr):
            found |= described(value[key], f"{path}.{key}", seen)
    elif isinstance(value, list | tuple | range):
        found[name] = len(value)
        for index, each in enumerate(value):
            found |= described(each, f"{path}.{index}", seen)
    if not inspect.isfunction(value) and not inspect.ismethod(value):
        for key, each in getattr(value, "__dict__", {}).items():
            found |= described(each, f"{path}.{key}", seen)
    return found


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_what_is_restored_is_all_that_there_was(options):
    """Every number within a strategy, but for those that are known not to matter."""
    method = hx.methods.CMAES(0.3, 9, options=options)
    search = Search(method, np.linspace(-1, 0.9, 7), 11)
    for step in range(30):
        search.tell(sphere(search.ask()) if step != 20 else np.full(9, np.nan))
        search.strategy.stop()
        if step in (0, 20, 29):
            again = Search.restore(method, search.state())
            mine, other = described(search.strategy), described(again.strategy)
            assert {k: (mine.get(k), other.get(k)) for k in mine.keys() ^ other.keys()} == {}
            assert {k: (mine[k], other[k]) for k in mine if mine[k] != other[k]} == {}


METHOD = hx.methods.CMAES(0.3, 6)


def state():
    search = Search(METHOD, np.zeros(4), 3)
    search.tell(sphere(search.ask()))
    return search.state()


def with_numbers(arrays, **changes):
    numbers = json.loads(arrays["cma.numbers"].tobytes())
    return {**arrays, "cma.numbers": np.frombuffer(json.dumps(numbers | changes).encode(), "u1")}


def classes_of_cma():
    names = [each.name for each in pkgutil.walk_packages(cma.__path__, "cma.")]
    for name in names:
        if name.split(".")[-1] in ("__main__", "test", "bbobbenchmarks"):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                module = importlib.import_module(name)
            except ImportError:
                continue  # needs a package that is not there
        yield from (f"{name}.{n}" for n, _ in inspect.getmembers(module, inspect.isclass))


def test_a_checkpoint_names_no_class():
    """Whatever class of `cma` stands where a number, an array or the sampler should."""
    names = sorted({*classes_of_cma()})
    assert len(names) > 100
    arrays = state()
    for name in names:
        short = name.rpartition(".")[2]
        places = [("sigma", short), ("mean", name), ("sm.C", {"scalar": 1, "dtype": name})]
        places += [("sampler", short)] if short != "GaussFullSampler" else []
        for place, value in places:
            with pytest.raises(ValueError, match="the state of cma cannot be read"):
                Search.restore(METHOD, with_numbers(arrays, **{place: value}))


def test_nothing_is_unpickled():
    source = "".join(
        inspect.getsource(importlib.import_module(f"hebbax.outer.{name}"))
        for name in ("methods._cma_es", "methods._cma_state", "engines._search")
    )
    assert "import pickle" not in source
    assert all(array.dtype.kind in "biuf" for array in state().values())


@pytest.mark.parametrize("name", ["start", "counts", "random", "cma.numbers", "cma.mean"])
def test_a_state_with_something_missing(name):
    arrays = state()
    del arrays[name]
    with pytest.raises(ValueError, match="the state of cma cannot be read"):
        Search.restore(METHOD, arrays)
