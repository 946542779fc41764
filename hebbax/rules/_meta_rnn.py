"""`MetaRnn`: a plain LSTM that learns in its activations, the baseline without shared weights."""

import math
from typing import Annotated, Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hebbax._options import AT_LEAST_1, POSITIVE, Range, check_options
from hebbax.losses import Targets
from hebbax.rules._rule import AbstractRule, Sizes, Told, check_batch, check_sizes


class MetaRnnWeights(eqx.Module):
    """Meta-parameters of `MetaRnn`.

    **Fields:**

    - `lstm_w` `[in + 2 out + s, 4 s]`: from the datum, the previous error, the previous label and
      the hidden state, in this order, to the input gate, candidate, forget gate and output gate.
    - `lstm_b` `[4 s]`: their bias.
    - `out_w` `[s, out]`, `out_b` `[out]`: the read-out.
    """

    lstm_w: Float[Array, "rows gates"]
    lstm_b: Float[Array, " gates"]
    out_w: Float[Array, "s out"]
    out_b: Float[Array, " out"]


class MetaRnnState(eqx.Module):
    """Network state of `MetaRnn`.

    **Fields:** `h`, `c` `[s]`; `error`, `label` `[out]` of the last datum, zero before the first.
    """

    h: Float[Array, " s"]
    c: Float[Array, " s"]
    error: Float[Array, " out"]
    label: Float[Array, " out"]


class MetaRnn(AbstractRule):
    """A meta recurrent network (Hochreiter et al., 2001), as VSML's paper compares itself with.

    One LSTM reads each datum together with the error and the label of the datum before; its states
    are all that changes in a lifetime. All its weights are meta-parameters, so they fit one number
    of inputs and outputs only, and there are many of them: 478,986 for 784 inputs and 10 outputs.

    The rows of a batch are data one after another, and each row's prediction comes after the
    changes by the rows before it. Without labels nothing is changed.

    **Arguments:**

    - `inputs`, `outputs`: of the networks that it is made for.
    - `state_size`: hidden units, and as many cell states.
    - `ticks`, 1 to 100: for each datum, on the same inputs.
    - `bound`: predictions are bound · tanh(read-out / bound); None for the read-out itself.
    - `forget_offset`: added to the forget gate's pre-activation.

    **Raises:** `ValueError` for a value out of range.
    """

    inputs: Annotated[int, AT_LEAST_1] = eqx.field(static=True, default=784)
    outputs: Annotated[int, AT_LEAST_1] = eqx.field(static=True, default=10)
    state_size: Annotated[int, AT_LEAST_1] = eqx.field(static=True, default=128)
    ticks: Annotated[int, Range(1, 100)] = eqx.field(static=True, default=2)
    bound: Annotated[float, POSITIVE] | None = eqx.field(static=True, default=100.0)
    forget_offset: float = eqx.field(static=True, default=1.0)

    def __check_init__(self) -> None:
        """Refuse options out of range by name."""
        check_options(self)

    def init(self, key: PRNGKeyArray) -> MetaRnnWeights:
        """Draw normals of deviation 1/√fan-in, cut off at two deviations; biases are zero."""
        k_lstm, k_out = jax.random.split(key)
        rows = self.inputs + 2 * self.outputs + self.state_size
        lstm = jax.random.truncated_normal(k_lstm, -2.0, 2.0, (rows, 4 * self.state_size))
        out = jax.random.truncated_normal(k_out, -2.0, 2.0, (self.state_size, self.outputs))
        return MetaRnnWeights(
            lstm / math.sqrt(rows),
            jnp.zeros(4 * self.state_size),
            out / math.sqrt(self.state_size),
            jnp.zeros(self.outputs),
        )

    def init_network(self, theta: MetaRnnWeights, key: PRNGKeyArray, sizes: Sizes) -> MetaRnnState:
        """Return the state before the first datum: zeros, whatever the key.

        **Raises:** `ValueError` if `sizes` are not `(inputs, outputs)`.
        """
        sizes = check_sizes(sizes)
        if sizes != (self.inputs, self.outputs):
            raise ValueError(
                f"this MetaRnn is made for sizes ({self.inputs}, {self.outputs}), with no hidden "
                f"layers; got {sizes}."
            )
        state, out = jnp.zeros(self.state_size), jnp.zeros(self.outputs)
        return MetaRnnState(state, state, out, out)

    def update(
        self,
        theta: MetaRnnWeights,
        net: MetaRnnState,
        x: Float[Array, "batch in"],
        y: Told,
    ) -> tuple[MetaRnnState, Float[Array, "batch out"]]:
        """Run the rows of `x` through the LSTM and keep the error and label of each for the next.

        Returns the state and each row's prediction before its own label was seen.
        """
        self._check(x, y)
        if y is None:
            return net, self.predict(theta, net, x)

        def row(
            net: MetaRnnState, datum: tuple[Array, Any]
        ) -> tuple[MetaRnnState, Float[Array, " out"]]:
            x, y = datum
            h, c, prediction = self._read(theta, net, x)
            if isinstance(y, Targets):
                one = jax.tree.map(lambda a: a[None], y)
                feedback = one.feedback(prediction[None])[0]
                return MetaRnnState(h, c, -feedback, prediction + feedback), prediction
            one_output = len(y) == 1
            error = (jax.nn.sigmoid if one_output else jax.nn.softmax)(prediction) - y
            return MetaRnnState(h, c, error, y), prediction

        y = y if isinstance(y, Targets) else y.astype(x.dtype)
        if len(x) == 1:
            net, prediction = row(net, (x[0], jax.tree.map(lambda a: a[0], y)))
            return net, prediction[None]
        return jax.lax.scan(row, net, (x, y))

    def predict(
        self, theta: MetaRnnWeights, net: MetaRnnState, x: Float[Array, "batch in"]
    ) -> Float[Array, "batch out"]:
        """Return the logits of each row from the present state, which does not change."""
        self._check(x, None)
        return jax.vmap(lambda row: self._read(theta, net, row)[2])(x)

    def _read(
        self, theta: MetaRnnWeights, net: MetaRnnState, x: Float[Array, " in"]
    ) -> tuple[Float[Array, " s"], Float[Array, " s"], Float[Array, " out"]]:
        """Tick on one datum; return the states and the logits."""
        seen = jnp.concatenate([x, net.error, net.label])
        given = seen @ theta.lstm_w[: len(seen)] + theta.lstm_b
        h, c = net.h, net.c
        for _ in range(self.ticks):
            i, u, r, o = jnp.split(given + h @ theta.lstm_w[len(seen) :], 4)
            keep = jax.nn.sigmoid(r + self.forget_offset)
            c = keep * c + jax.nn.sigmoid(i) * jnp.tanh(u)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
        logits = h @ theta.out_w + theta.out_b
        if self.bound is not None:
            logits = self.bound * jnp.tanh(logits / self.bound)
        return h, c, logits

    def _check(self, x: Float[Array, "batch in"], y: Told) -> None:
        check_batch(x, y, (self.inputs, self.outputs))
        if len(x) == 0:
            raise ValueError("x must hold at least one row; got none.")
