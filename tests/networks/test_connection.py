import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hebbax.networks import Architecture, Conv, Flatten, Local, Pool, Shape, from_rows

BATCH = 3


def connection(block, image, *before):
    """Return the connection of a block right above an image."""
    return Architecture(*before, block).bind(int(np.prod(image)), 2, image).layers[0].connections[0]


def draw(shape, *seed):
    random = np.random.default_rng(sum(seed) + len(shape))
    return jnp.asarray(random.normal(size=shape), jnp.float32)


def as_image(signal, shape):
    """Return signals [k, units, batch] as [k, batch, height, width, channels]."""
    k, _, batch = signal.shape
    image = signal.reshape(k, shape.channels, shape.height, shape.width, batch)
    return jnp.transpose(image, (0, 4, 2, 3, 1))


CASES = {
    "plain": (Conv(4), (5, 4, 2)),
    "strided": (Conv(4, 3, 2), (5, 6, 2)),
    "valid, oblong": (Conv(3, (2, 3), (1, 2), "valid"), (5, 6, 1)),
    "padded": (Conv(3, 2, 2, 1), (4, 5, 2)),
    "grouped": (Conv(4, groups=2), (4, 4, 6)),
    "depth-wise": (Conv(6, 3, 2, groups="depthwise"), (5, 5, 3)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("states", [(2, 1), (2, 2), (1, 2)], ids=str)
def test_a_convolution_is_that_of_xla(case, states):
    """Whatever the signals and synapses have of states."""
    block, image = CASES[case]
    c = connection(block, image)
    k, s = states
    signal, synapses = draw((k, c.lower.units, BATCH)), draw((s, c.rows, c.senders), 1)
    padding = (
        block.padding.upper() if isinstance(block.padding, str) else [(block.padding,) * 2] * 2
    )

    @jax.jit
    def both(signal, synapses):
        sent = c.send(signal, synapses)
        size = (block.kernel,) * 2 if isinstance(block.kernel, int) else block.kernel
        kernel = synapses.reshape(s, c.upper.channels, -1, *size)
        stride = (block.stride,) * 2 if isinstance(block.stride, int) else block.stride
        true = jnp.stack(
            [
                jax.lax.conv_general_dilated(
                    as_image(signal, c.lower)[i % k],
                    kernel[i % s],
                    stride,
                    padding,
                    dimension_numbers=("NHWC", "OIHW", "NHWC"),
                    feature_group_count=c.groups,
                )
                for i in range(2)
            ]
        )
        return as_image(sent, c.upper), true

    sent, true = both(signal, synapses)
    np.testing.assert_allclose(sent, true, atol=1e-5)


OTHERS = {
    "local": (Local(4, 3, 2), (5, 4, 2)),
    "local, grouped": (Local(4, 3, groups=2), (3, 4, 4)),
    "pooled": (Conv(3, 2), (5, 6, 2), Pool(2)),
    "pooled, overlapping": (Conv(3, 2), (5, 6, 2), Pool(3, 2)),
    "flattened": (5, (3, 2, 2), Pool((1, 2)), Flatten()),
    "of one place": (Conv(5), (3, 2, 2), Pool()),
}


@pytest.mark.parametrize("case", [*CASES, *OTHERS])
def test_back_and_hebb_are_transposes(case):
    """In the signal and in the synapses; own backward synapses are the forward ones, rearranged."""
    c = connection(*{**CASES, **OTHERS}[case])
    signal, synapses = draw((2, c.lower.units, BATCH)), draw((2, c.rows, c.senders), 1)
    above = draw((2, c.upper.units, BATCH), 2)

    @jax.jit
    def all_of_it(signal, synapses, above):
        sent, back = jax.vjp(c.send, signal, synapses)
        mine = c.back(above, synapses), c.hebb(signal, above)
        turned = c.turned(synapses)
        return sent, back(above), mine, turned, c.unturned(turned)

    sent, true, mine, turned, again = all_of_it(signal, synapses, above)
    assert sent.shape == above.shape
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-5), mine, true)
    assert turned.shape == (2, c.backward_rows, c.backward_senders)
    # Every synapse has a place among the turned ones, but for those that hear from padding only.
    if not isinstance(c.block, Local):
        np.testing.assert_array_equal(again, synapses)
        assert turned.size == synapses.size
    heard = jax.jit(c.hebb)(jnp.ones_like(signal), jnp.ones_like(above)) != 0
    np.testing.assert_array_equal(jnp.where(heard, again, 0), jnp.where(heard, synapses, 0))


def test_a_local_layer_with_equal_synapses_is_the_convolution():
    conv, local = (connection(kind(4, 3, 2), (5, 4, 2)) for kind in (Conv, Local))
    w = draw((1, conv.rows, conv.senders))
    signal = draw((1, conv.lower.units, BATCH))
    same = jnp.repeat(w, conv.upper.places, axis=1)
    assert same.shape == (1, local.rows, local.senders)
    np.testing.assert_allclose(local.send(signal, same), conv.send(signal, w), atol=1e-5)


def test_a_convolution_of_one_place_is_a_dense_layer_at_each():
    c = connection(Conv(4, 1), (3, 2, 5))
    w, signal = draw((1, 4, 5)), draw((1, 30, BATCH))
    there = signal.reshape(5, 6, BATCH)
    true = jnp.einsum("oc,cpb->opb", w[0], there).reshape(1, 24, BATCH)
    np.testing.assert_allclose(c.send(signal, w), true, atol=1e-5)


def test_a_window_over_all_is_a_dense_layer():
    image = (3, 4, 2)
    conv, dense = connection(Conv(5, (3, 4), 1, "valid"), image), connection(5, image, Flatten())
    w, signal = draw((2, 5, 24)), draw((2, 24, BATCH))
    np.testing.assert_allclose(conv.send(signal, w), dense.send(signal, w), atol=1e-5)


def test_rows_of_images_count_channels_fastest():
    x = jnp.arange(24.0).reshape(1, 24)
    signal = from_rows(x, Shape(3, 2, 4))
    np.testing.assert_array_equal(as_image(signal, Shape(3, 2, 4))[0], x.reshape(1, 3, 2, 4))
