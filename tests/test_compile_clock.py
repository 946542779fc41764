"""Seconds of compiling, by phases, each counted once."""

import time

import jax
import jax.numpy as jnp
import pytest

from hebbax._compile_clock import CompileClock, covered


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([], 0.0),
        ([(1.0, 3.0)], 2.0),
        ([(1.0, 3.0), (4.0, 5.0)], 3.0),
        ([(4.0, 5.0), (1.0, 3.0), (2.0, 2.5)], 3.0),
        ([(1.0, 3.0), (2.0, 4.0), (4.0, 5.0)], 4.0),
    ],
)
def test_what_happens_at_once_counts_once(spans, seconds):
    assert covered(spans) == pytest.approx(seconds)


def test_phases():
    @jax.jit
    def inner(x):
        time.sleep(0.05)  # while it is traced
        return x + 1

    @jax.jit
    def outer(x):
        return inner(x) * 2

    with CompileClock() as clock:
        begin = time.perf_counter()
        outer(jnp.ones(3)).block_until_ready()
        whole = time.perf_counter() - begin
    assert set(clock.phases) == {"trace", "lower", "compile"}
    assert clock.phases["trace"] >= 0.05
    assert min(clock.phases.values()) > 0
    assert clock.seconds == pytest.approx(sum(clock.phases.values()))
    assert clock.seconds < whole
    before = clock.seconds
    jax.jit(lambda x: x - 1)(jnp.ones(3))
    assert clock.seconds == before
