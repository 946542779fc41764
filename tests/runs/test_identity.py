import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hebbax._identity import identity
from hebbax._trees import from_arrays, to_arrays


class Held(eqx.Module):
    array: jax.Array
    slope: float = eqx.field(static=True, default=0.1)
    function: object = eqx.field(static=True, default=None)


def times(factor):
    return lambda x: factor * x


ONE = jnp.ones(2)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Held(ONE), Held(2 * ONE)),
        (Held(ONE), Held(ONE, -9.0)),
        (Held(ONE, function=times(2)), Held(ONE, function=times(3))),
        (times(ONE), times(2 * ONE)),
        (times(np.zeros(2000)), times(np.eye(2000)[1000])),
        (lambda x: x + 1, lambda x: x + 2),
        (eqx.Partial(times, 1), eqx.Partial(times, 2)),
        ({"a": 1}, {"b": 1}),
        ((1, 2), (2, 1)),
        (1, 1.0),
        (1, True),
        (jax.random.key(0), jax.random.key(0, impl="rbg")),
        (jnp.tanh, jnp.sin),
    ],
)
def test_tells_apart(one, other):
    assert identity(one) == identity(one)
    assert identity(one) != identity(other)


def test_same_of_the_same():
    assert identity(Held(ONE, 0.3, times(2))) == identity(Held(jnp.ones(2), 0.3, times(2)))


def test_same_in_every_process():
    program = (
        "from hebbax._identity import identity; import jax.numpy as jnp\n"
        "print(identity({'b': {'x', 'y', 'z'}, 'a': [lambda x: x + 1, jnp.tanh]}))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
        for _ in range(2)
    ]
    assert runs[0].stdout == runs[1].stdout != ""


def test_something_that_holds_itself():
    loop = []
    loop.append(loop)
    assert identity(loop) != identity([[]])


# Names of arrays

CLASH = {"w.a": ONE, "w": {"a": 0 * ONE}, "\\": {".": 3 * ONE}}


def test_names_do_not_clash():
    arrays = to_arrays(CLASH)
    assert len(arrays) == 3
    back = from_arrays(jax.eval_shape(lambda: CLASH), arrays)
    jax.tree.map(np.testing.assert_array_equal, back, CLASH)


def test_old_names_are_read():
    tree = {"w.a": ONE, "v": {"a": 0 * ONE}}
    old = {"w.a": np.ones(2, np.float32), "v.a": np.zeros(2, np.float32)}
    back = from_arrays(jax.eval_shape(lambda: tree), old)
    jax.tree.map(np.testing.assert_array_equal, back, tree)
