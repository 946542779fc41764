"""`Normalized`: a perceptron whose pre-activations are normalised over the batch."""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.networks import gather
from hebbax.rules._perceptron import Perceptron
from hebbax.rules.blur._normalization import Statistics, measure, normalize


class Normalized(eqx.Module):
    """A perceptron with batch normalisation (Ioffe and Szegedy, 2015).

    Each unit, or channel where the units of a channel share their synapses, is brought to mean
    zero and deviation one over the batch and all places, then to a gain and a shift that learn.

    **Fields:**

    - `network`: the perceptron; its biases do nothing in a layer that is normalised.
    - `gains`, `shifts` `[channels]`: of each normalised layer, from below.
    """

    network: Perceptron
    gains: tuple[Float[Array, " _"], ...]
    shifts: tuple[Float[Array, " _"], ...]

    @classmethod
    def of(cls, network: Perceptron, last: bool) -> "Normalized":
        """Return a network of gains one and shifts zero; the last layer is normalised if `last`."""
        layers = network.wired.layers if last else network.wired.layers[:-1]
        channels = [layer.shape.channels for layer in layers]
        return cls(network, tuple(jnp.ones(c) for c in channels), tuple(map(jnp.zeros, channels)))

    def __call__(
        self,
        x: Float[Array, "batch in"],
        activation: Callable[[Array], Array],
        statistics: Sequence[Statistics] | None = None,
    ) -> tuple[Float[Array, "batch out"], tuple[Statistics, ...]]:
        """Return what the last layer says, and the statistics: those given, or the batch's."""
        used: list[Statistics] = []

        def normalized(index: int, drive: Float[Array, "1 units batch"]) -> Array:
            if index == len(self.gains):
                return drive
            gain, shift = self.gains[index], self.shifts[index]
            channels = gather(drive, len(gain))
            used.append(measure(channels) if statistics is None else statistics[index])
            standard = normalize(channels, used[-1], jnp.zeros(1), jnp.ones(1))
            return (gain[None, :, None] * standard + shift[None, :, None]).reshape(drive.shape)

        signals, _ = self.network.signals(x, activation, normalized)
        return signals[-1][0].T, tuple(used)

    def fresh_statistics(self) -> tuple[Statistics, ...]:
        """Return means of zero and variances of one."""
        shapes = [(1, len(gain), 1) for gain in self.gains]
        return tuple(Statistics(jnp.zeros(shape), jnp.ones(shape)) for shape in shapes)
