import jax
import jax.numpy as jnp
import numpy as np
import tiny

import hebbax as hx
from hebbax.inner import watch

RULE, THETA = tiny.Delta(), {"rate": jnp.float32(0.1)}
KEY = jax.random.key(0)
XS = jax.random.normal(KEY, (6, 5, 3))
YS = jax.nn.one_hot(jax.random.randint(KEY, (6, 5), 0, 2), 2)


def live(after, net=None, first=0, look=lambda net: net):
    net = jnp.zeros((3, 2)) if net is None else net

    def update(net, index):
        return RULE.update(THETA, net, XS[index], YS[index])[0]

    return watch(update, net, look, jnp.asarray(after, bool), first=first)


def test_sees_the_network_after_each_update():
    net, seen = live(np.ones(6))
    for count in range(1, 7):
        expected, _ = hx.unroll(RULE, THETA, jnp.zeros((3, 2)), XS[:count], YS[:count])
        np.testing.assert_allclose(seen[count - 1], expected, rtol=1e-6)
    np.testing.assert_array_equal(net, seen[-1])


def test_looks_where_it_is_asked_to():
    whole, (some, count) = live(np.ones(6))[1], live([0, 1, 0, 0, 1, 0], look=lambda n: (n, 7))[1]
    np.testing.assert_array_equal(some[jnp.asarray([1, 4])], whole[jnp.asarray([1, 4])])
    assert not some[jnp.asarray([0, 2, 3, 5])].any()
    assert count.tolist() == [0, 7, 0, 0, 7, 0]


def test_goes_on_where_it_was_left():
    whole, _ = live(np.ones(6))
    half, _ = live(np.zeros(4))
    np.testing.assert_array_equal(live(np.zeros(2), half, first=4)[0], whole)


def test_does_not_compute_what_is_not_looked_at():
    looks = []

    def look(net):
        jax.debug.callback(lambda: looks.append(0))
        return jnp.sum(net)

    live([0, 0, 1, 0, 0, 0], look=look)
    jax.effects_barrier()
    assert len(looks) == 1
