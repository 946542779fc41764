"""The unsupervised update's equations as they are written, the yardstick of `unsupervised.py`.

Layers are `[batch, units]` and signals `[batch, units, channels]`, as in the paper; one line for
one term; nothing is fused, factored, kept in another layout or given a derivative of its own.
"""

import jax
import jax.numpy as jnp


def shift(m, by, axis):
    """Return `out[t] = m[t + by]` along `axis`, zero beyond both ends."""
    pad = [(0, 0)] * m.ndim
    pad[axis] = (max(-by, 0), max(by, 0))
    start = max(by, 0)
    return jax.lax.slice_in_dim(jnp.pad(m, pad), start, start + m.shape[axis], axis=axis)


def conv(m, p, axis):
    """ConvBatch (axis 0) or ConvUnit (axis 1): a sum over taps."""
    taps = p.w.shape[0]
    terms = [jnp.einsum("bnc,cd->bnd", shift(m, k - taps // 2, axis), p.w[k]) for k in range(taps)]
    return sum(terms) + p.b[None, None]


def library_conv(m, p, axis):
    """The same by the library's convolution."""
    dimensions = ("WNC", "WIO", "WNC") if axis == 0 else ("NWC", "WIO", "NWC")
    out = jax.lax.conv_general_dilated(m, p.w, (1,), "SAME", dimension_numbers=dimensions)
    return out + p.b[None, None]


def norm(m, offset):
    mean = jnp.mean(m, axis=(0, 1), keepdims=True)
    variance = jnp.mean((m - mean) ** 2, axis=(0, 1), keepdims=True)
    return (m - mean) / jnp.sqrt(variance + 1e-3) + offset[None, None]


def forward(net, x):
    z, xs = [x], [x]
    for layer in net.layers:
        a = xs[-1] @ layer.weight
        a = a - jnp.mean(a, axis=0, keepdims=True)
        a = a / jnp.sqrt(jnp.mean(a**2, axis=0, keepdims=True) + 1e-6)
        z.append(a + layer.bias[None])
        xs.append(jax.nn.relu(z[-1]))
    return z, xs


def top_d(p, x, conv):
    def block(m, p):
        return jax.nn.relu(norm(conv(m, p, 0), p.offset))

    m = block(x[:, :, None], p.batch_conv_in)
    m = jnp.swapaxes(m, 1, 2)
    m = block(block(m, p.unit_mix_1), p.unit_mix_2)
    m = jnp.swapaxes(m, 1, 2)
    return conv(block(block(m, p.batch_conv_1), p.batch_conv_2), p.batch_conv_out, 0)


def stats(w, axis):
    mean = jnp.mean(w, axis=axis)
    variance = jnp.mean((w - jnp.expand_dims(mean, axis)) ** 2, axis=axis)
    rms = jnp.sqrt(jnp.mean(w**2, axis=axis) + 1e-6)
    return [jnp.mean(jnp.abs(w), axis=axis), rms, mean, jnp.sqrt(variance + 1e-8)]


def compute_h(p, d, x, z, bias, below, above, conv):
    batch, units = x.shape
    angle = 4 * jnp.pi * jnp.arange(units) / (units - 1)

    def spread(v):
        return jnp.broadcast_to(v[None, :, None], (batch, units, 1))

    moving = [x[..., None], z[..., None], spread(jnp.sin(angle)), spread(jnp.cos(angle)), d]
    m = norm(jnp.concatenate(moving, axis=2), p.input.offset)
    found = ([] if below is None else stats(below, 0)) + ([] if above is None else stats(above, 1))
    s = jnp.stack(found if len(found) == 8 else found + found, axis=1)
    s = s / jnp.sqrt(jnp.mean(s**2) + 1e-6)
    fixed = [spread(s[:, k]) for k in range(8)] + [spread(bias)]
    m = jnp.concatenate([*fixed, m], axis=2)

    def block(m, p, axis):
        return jax.nn.relu(norm(conv(m, p, axis), p.offset))

    m = block(m, p.batch_conv_1, 0)
    m = m + block(block(m, p.unit_conv_1a, 1), p.unit_conv_1b, 1)
    m = block(m, p.batch_conv_2, 0)
    return m + block(block(m, p.unit_conv_2a, 1), p.unit_conv_2b, 1)


def low_rr(h_lower, h_upper, p_lower, p_upper):
    lower = h_lower @ p_lower.w + p_lower.b[None, None]
    upper = h_upper @ p_upper.w + p_upper.b[None, None]
    return jnp.einsum("bjg,bkg->jk", lower, upper) / (lower.shape[0] * lower.shape[2])


def sym(u):
    u = (u + u.T) / jnp.sqrt(2.0)
    return jnp.where(jnp.eye(len(u), dtype=bool), 0, u) / jnp.sqrt(len(u))


def cols(a):
    return a / jnp.sqrt(jnp.mean(a**2, axis=0, keepdims=True) + 1e-6)


def squash(a):
    return a / jnp.sqrt(1 + jnp.mean(a**2, axis=0, keepdims=True))


def change(theta, layer, x_lower, x_upper, h_lower, h_upper):
    r = theta.readout
    w = cols(layer.weight)
    s, bent = jnp.sign(w), jnp.sqrt(1 + w**2) - 1
    c_lower = cols(x_lower - jnp.mean(x_lower, axis=0, keepdims=True))
    c_upper = cols(x_upper - jnp.mean(x_upper, axis=0, keepdims=True))
    batch = len(x_lower)

    def cross(name):
        return low_rr(h_lower, h_upper, r[name].lower, r[name].upper)

    def within(name, h):
        return sym(low_rr(h, h, r[name].lower, r[name].upper))

    psd = r["lin_upper_psd"].upper
    q = w @ (c_upper.T @ c_upper) / (batch * jnp.sqrt(w.shape[1]))
    planes = [
        cross("lowrr_zero"),
        w * cross("lowrr_first"),
        q / jnp.sqrt(jnp.mean(q**2 + 1e-8)),
        -(c_lower.T @ c_upper) / batch,
        w**2 * s,
        within("lin_lower_symm", h_lower) @ w,
        w @ low_rr(h_upper, h_upper, psd, psd) / jnp.sqrt(w.shape[1]),
        w @ within("lin_upper_symm", h_upper),
        jnp.exp(-(w**2)) * cross("lowrr_rbf"),
        s * (within("sqr_lower_symm", h_lower) @ bent),
        s * (bent @ within("sqr_upper_symm", h_upper)),
        w,
    ]
    merged = sum(theta.merge.w[k] * squash(plane) for k, plane in enumerate(planes))
    merged = (merged + theta.merge.b) / 12
    orthogonal = merged - w * jax.nn.relu(jnp.mean(merged * w))
    change_w = squash(orthogonal / jnp.sqrt(12.0)) - w / 7
    base = jnp.mean(h_upper @ theta.bias.w + theta.bias.b, axis=0)
    held = base + jax.nn.relu(-jnp.mean(base))
    return change_w, held / jnp.sqrt(0.5 + jnp.mean(held**2))


def update(theta, net, x, step_size, conv=conv):
    """Return the changed network and the features before the change."""
    z, xs = forward(net, x)
    top = len(net.layers)
    d = top_d(theta.topd, xs[-1], conv)
    hs = []
    for index in range(top, -1, -1):
        below = net.layers[index - 1].weight if index > 0 else None
        above = net.layers[index].weight if index < top else None
        bias = net.layers[index - 1].bias if index > 0 else jnp.zeros(x.shape[1])
        h = compute_h(theta.h, d, xs[index], z[index], bias, below, above, conv)
        hs.insert(0, h)
        if index > 0:
            delta = d * jax.nn.sigmoid(z[index])[..., None]
            delta = delta + h @ theta.delta.w + theta.delta.b[None, None]
            d = jnp.einsum("bjc,mj->bmc", delta, net.layers[index - 1].backward)
            d = d / jnp.sqrt(jnp.mean(d**2, axis=2, keepdims=True) + 1e-6)
    layers = []
    for index, layer in enumerate(net.layers):
        dw, db = change(theta, layer, xs[index], xs[index + 1], hs[index], hs[index + 1])
        layers.append(
            type(layer)(
                weight=(1 - step_size) * layer.weight - step_size * dw,
                bias=(1 - step_size) * layer.bias - step_size * db,
                backward=(1 - step_size) * layer.backward - step_size * dw,
            )
        )
    return type(net)(tuple(layers)), xs[-1]
