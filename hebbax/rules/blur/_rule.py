"""`Blur`: bidirectional learned update rules (Sandler et al., ICML 2021)."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hebbax._errors import check_choice
from hebbax.rules import activations
from hebbax.rules._plasticity import Plasticity
from hebbax.rules._rule import AbstractRule, check_batch, check_sizes
from hebbax.rules.blur import _neurons as neurons
from hebbax.rules.blur import _plasticity as plasticity
from hebbax.rules.blur import _signals as signals
from hebbax.rules.blur._genome import Genome, transforms
from hebbax.rules.blur._network import Network, Synapses, draw, normalized
from hebbax.rules.blur._neurons import Statistics

Layer = Float[Array, "k _ batch"]


class Blur(AbstractRule):
    """Neurons and synapses with several states and Hebb-like updates in both directions.

    One update resets the neurons, runs the forward pass (eq. 5), puts the feedback on the last
    layer's second state (zeros in the further ones), runs the backward pass (eq. 6) and changes
    all synapses from the neurons' final states (eq. 7). The input layer is `[x, 0, …]` and never
    changes; the last layer keeps prediction and feedback through the backward pass.

    **Arguments:**

    - `states`: k ≥ 2, states per neuron.
    - `forward_activation`, `backward_activation`, `last_activation`: σ of the hidden layers in
      the forward and in the backward pass, and of the last layer; see `activations.NAMES`.
    - `backward_update`: `additive` (eq. 6), `multiplicative`, or `multiplicative_second_state`
      (eq. 4).
    - `symmetric`: the backward pass reads the transposed forward synapses, and they change alike.
      Oja's term acts on either direction apart, as in the authors' program.
    - `single_state`: one state per synapse, changed by the rule's first; else k.
    - `bias`: a unit with all states 1 below every layer.
    - `normalization`: bring pre-activations, forward and backward, to a learnt mean and deviation
      per state, with statistics of each unit over the `batch` (as the paper), of each example
      over the `units`, or over `batch_and_units`; None for none, as in the authors' program.
    - `normalized_passes`: whether that is done in `both` passes, or in the `forward` or the
      `backward` one only.
    - `normalize_last`: whether the last layer is among the normalised ones. It gives all classes
      the same mean over the batch, which helps where they are equally frequent and only there.
    - `statistics`: which ones `predict` normalises with: `stored` ones, measured by a forward
      pass at the end of each update on that update's batch and averaged with the older ones, so
      that each prediction stands alone, or those of the `batch` that is predicted, which saves
      that pass but makes predictions depend on each other.
    - `statistics_window`: the number of updates, above 0, after which the newest statistics weigh
      as much as all the older ones. Few even out the noise of single batches; many follow synapses
      that change fast.
    - `synapse_normalization`: `activations` divides by the norm of each unit's incoming synapses
      where activations are computed and leaves the stored ones alone (supplement 3.6); `stored`
      normalises the stored ones before each update; None for none.
    - `learn_rescale`: synapse normalisation to a learnt norm instead of 1.
    - `oja`, `oja_extra`: Oja's term, see `plasticity.oja`; `oja_extra` is a fixed factor.
    - `learn_oja`: a learnt multiplier on it (not with `full` and `relative`).
    - `learn_keep`: whether the keep gate of synapses, f̃, is learnt or stays 1. With synapse
      normalisation a learnt one tends to grow past 1, which makes later changes relatively
      smaller, until the stored synapses overflow.
    - `saturation`, `saturation_epsilon`: see `plasticity.saturate`.
    - `feedback`: `target` is ±1 (sec. 3.3); `residual` is ±1 minus the prediction; `error` is the
      one-hot label minus the softmax of the prediction (the sigmoid if there is one output), the
      negative gradient of the cross-entropy.
    - `reduction`: the change is the `sum` over the batch, as in the authors' program, or the
      `mean`, which does not depend on the batch size.
    - `forward_presynaptic`: the synapse update reads the lower layer as the forward pass left it.
    - `layer_genomes`: None for one genome shared by all layers, else the number of synapse layers
      with a genome of their own.
    - `genome_init`, `init_scale`: the transforms are drawn at `random`, normals of deviation
      `init_scale` (None: 1), or around the `backprop` matrices of eq. 4 with noise of that
      deviation (None: 0, exact). Gates start at 1, except η̃.
    - `synapse_update`: initial η̃.
    - `synapse_init`: initial synapses `uniform` on [−1, 1] or standard `normal`; `fan_in` divides
      them by the square root of the number of senders; `learn_synapse_gain` multiplies them by a
      learnt factor. With synapse normalisation, unscaled synapses make the relative size of a
      change independent of the number of inputs, so a genome carries over to other resolutions.

    **Raises:** `ValueError` for a value that is not listed above.
    """

    states: int = eqx.field(static=True, default=2)
    forward_activation: str = eqx.field(static=True, default="tanh")
    backward_activation: str = eqx.field(static=True, default="tanh")
    last_activation: str = eqx.field(static=True, default="none")
    backward_update: str = eqx.field(static=True, default="additive")
    symmetric: bool = eqx.field(static=True, default=False)
    single_state: bool = eqx.field(static=True, default=False)
    bias: bool = eqx.field(static=True, default=True)
    normalization: str | None = eqx.field(static=True, default="batch")
    normalized_passes: str = eqx.field(static=True, default="both")
    normalize_last: bool = eqx.field(static=True, default=True)
    statistics: str = eqx.field(static=True, default="stored")
    statistics_window: float = eqx.field(static=True, default=20.0)
    synapse_normalization: str | None = eqx.field(static=True, default="activations")
    learn_rescale: bool = eqx.field(static=True, default=False)
    oja: str | None = eqx.field(static=True, default=None)
    oja_extra: float = eqx.field(static=True, default=1.0)
    learn_oja: bool = eqx.field(static=True, default=True)
    learn_keep: bool = eqx.field(static=True, default=True)
    saturation: str | None = eqx.field(static=True, default=None)
    saturation_epsilon: float = eqx.field(static=True, default=1e-3)
    feedback: str = eqx.field(static=True, default="target")
    reduction: str = eqx.field(static=True, default="mean")
    forward_presynaptic: bool = eqx.field(static=True, default=False)
    layer_genomes: int | None = eqx.field(static=True, default=None)
    genome_init: str = eqx.field(static=True, default="backprop")
    init_scale: float | None = eqx.field(static=True, default=None)
    synapse_update: float = eqx.field(static=True, default=0.1)
    synapse_init: str = eqx.field(static=True, default="normal")
    fan_in: bool = eqx.field(static=True, default=False)
    learn_synapse_gain: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        """Refuse unknown options by name."""
        if self.states < 2:
            raise ValueError(
                f"states must be at least 2, one for activity and one for feedback; "
                f"got {self.states}."
            )
        for name in ("forward_activation", "backward_activation", "last_activation"):
            activations.check(name, getattr(self, name))
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            if value is not None or None not in allowed:
                check_choice(name, value, [a for a in allowed if a is not None])
        if not self.statistics_window > 0:
            raise ValueError(f"statistics_window must be above 0; got {self.statistics_window}.")
        if self.layer_genomes is not None and self.layer_genomes < 1:
            raise ValueError(f"layer_genomes must be None or positive; got {self.layer_genomes}.")

    # θ

    def init(self, key: PRNGKeyArray) -> Genome:
        """Draw a genome; see `Genome` for its fields."""
        if self.layer_genomes is None:
            return self._init_one(key)
        return eqx.filter_vmap(self._init_one)(jax.random.split(key, self.layer_genomes))

    def _init_one(self, key: PRNGKeyArray) -> Genome:
        scale = self.init_scale
        if scale is None:
            scale = 1.0 if self.genome_init == "random" else 0.0
        one = jnp.ones(())
        per_state = jnp.ones(self.states)
        return Genome(
            **transforms(key, self.states, self.genome_init, scale),
            f=one,
            eta=one,
            f_tilde=one if self.learn_keep else None,
            eta_tilde=self.synapse_update * one,
            forward_mean=0 * per_state if self._forward_normalization else None,
            forward_deviation=per_state if self._forward_normalization else None,
            backward_mean=0 * per_state if self._backward_normalization else None,
            backward_deviation=per_state if self._backward_normalization else None,
            oja_multiplier=one if self._multiplies_oja else None,
            saturation=one if self.saturation else None,
            rescale=one if self.learn_rescale else None,
            synapse_gain=one if self.learn_synapse_gain else None,
        )

    @property
    def _multiplies_oja(self) -> bool:
        return self.learn_oja and self.oja in ("first", "weights", "activations")

    def _genome(self, theta: Genome, layer: int) -> Genome:
        if self.layer_genomes is None:
            return theta
        return jax.tree.map(lambda a: a[layer], theta)

    # φ

    @property
    def _forward_normalization(self) -> str | None:
        return None if self.normalized_passes == "backward" else self.normalization

    @property
    def _backward_normalization(self) -> str | None:
        return None if self.normalized_passes == "forward" else self.normalization

    @property
    def _normalizes_stored(self) -> bool:
        return self.synapse_normalization == "stored"

    @property
    def _stores_statistics(self) -> bool:
        kept = self._forward_normalization in ("batch", "batch_and_units")
        return self.statistics == "stored" and kept

    @property
    def _tied(self) -> bool:
        return self.symmetric and self.oja is None

    @property
    def _synapse_states(self) -> int:
        # The activation form of Oja's term pulls the states of a synapse apart.
        return 1 if self.single_state and self.oja != "activations" else self.states

    def init_network(self, theta: Genome, key: PRNGKeyArray, sizes: Sequence[int]) -> Network:
        """Draw the synapses of a network with `sizes` units, input first.

        **Raises:** `ValueError` if `sizes` are not at least two positive numbers, or do not match
        `layer_genomes`.
        """
        sizes = check_sizes(sizes)
        if self.layer_genomes is not None and len(sizes) - 1 != self.layer_genomes:
            raise ValueError(
                f"this genome was made for networks of {self.layer_genomes} synapse layers; "
                f"sizes {sizes} make {len(sizes) - 1}."
            )
        net = draw(
            key,
            sizes,
            self._synapse_states,
            bias=self.bias,
            tied=self._tied,
            copied=self.symmetric and not self._tied,
            uniform=self.synapse_init == "uniform",
            fan_in=self.fan_in,
        )
        if self.single_state and self._synapse_states > 1:
            net = jax.tree.map(lambda w: jnp.broadcast_to(w[:1], w.shape), net)
        if self._stores_statistics:
            wide = self.normalization == "batch"
            normalized_sizes = sizes[1:] if self.normalize_last else sizes[1:-1]
            net = Network(
                net.layers,
                tuple(
                    Statistics(jnp.zeros(shape), jnp.ones(shape))
                    for shape in ((self.states, n if wide else 1, 1) for n in normalized_sizes)
                ),
                jnp.zeros(()),
            )
        if theta.synapse_gain is None:
            return net
        layers = []
        for index, synapses in enumerate(net.layers):
            gain = self._genome(theta, index).synapse_gain
            layers.append(jax.tree.map(lambda w, gain=gain: gain * w, synapses))
        return Network(tuple(layers), net.statistics, net.updates)

    # The inner loop

    def update(
        self,
        theta: Genome,
        net: Network,
        x: Float[Array, "batch in"],
        y: Float[Array, "batch out"] | None,
    ) -> tuple[Network, Float[Array, "batch out"]]:
        """Run one forward pass, one backward pass and one change of the synapses.

        `y` is one-hot in {0, 1}; with None nothing is changed. Returns the network and the
        prediction before the change.
        """
        check_batch(x, y, (net.sizes[0], net.sizes[-1]))
        if self._normalizes_stored:
            net = self._normalize_stored(theta, net)
        forward = self.forward(theta, net, x)
        prediction = forward[-1][0].T
        if y is None:
            return net, prediction
        final = self.backward(theta, net, forward, y)
        changed = self._changed(theta, net, x, forward, final)
        if self._stores_statistics:
            changed = self._with_statistics(theta, changed, net, x)
        return changed, prediction

    def plasticity(
        self,
        theta: Genome,
        net: Network,
        x: Float[Array, "batch in"],
        y: Float[Array, "batch out"] | None,
    ) -> Plasticity:
        """Return the change of the synapses, given the states of all neurons.

        A synapse's states are those of both directions where each has its own.

        **Raises:** `ValueError` without labels, for then nothing changes.
        """
        if y is None:
            raise ValueError("BLUR's synapses change with labels only; got y=None.")
        check_batch(x, y, (net.sizes[0], net.sizes[-1]))
        ready = self._normalize_stored(theta, net) if self._normalizes_stored else net
        forward = self.forward(theta, ready, x)
        final = self.backward(theta, ready, forward, y)

        def change(net: Network, x: Array, forward: list[Layer], final: list[Layer]) -> Network:
            if self._normalizes_stored:
                net = self._normalize_stored(theta, net)
            return self._changed(theta, net, x, forward, final)

        return signals.plasticity(net, x, forward, final, change)

    def predict(
        self, theta: Genome, net: Network, x: Float[Array, "batch in"]
    ) -> Float[Array, "batch out"]:
        """Return the first state of the last layer after a forward pass: the logits."""
        check_batch(x, None, (net.sizes[0], net.sizes[-1]))
        if self._normalizes_stored:
            net = self._normalize_stored(theta, net)
        return self._forward(theta, net, x, net.statistics)[0][-1][0].T

    def forward(self, theta: Genome, net: Network, x: Float[Array, "batch in"]) -> list[Layer]:
        """Return the states `[k, units, batch]` of all layers but the input (BLUR eq. 5).

        Normalisation of activations, if any, is by the statistics of this batch.
        """
        return self._forward(theta, net, x, None)[0]

    def _forward(
        self,
        theta: Genome,
        net: Network,
        x: Float[Array, "batch in"],
        statistics: tuple[Statistics, ...] | None,
    ) -> tuple[list[Layer], tuple[Statistics, ...]]:
        layers: list[Layer] = []
        measured: list[Statistics] = []
        for index, synapses in enumerate(net.layers):
            genome = self._genome(theta, index)
            # Gates scale the small matrices, not the large layers. f · a is zero: the neurons
            # were reset.
            nu = genome.eta * genome.nu
            if index == 0:
                u = neurons.send_input(x, nu[:, 0], synapses.weight)
            else:
                u = neurons.send(neurons.mix(nu, layers[-1]), synapses.weight)
            if synapses.bias is not None:
                u = u + (jnp.sum(nu, axis=1)[:, None] * synapses.bias)[:, :, None]
            u = self._rescale(genome, u, synapses.weight, synapses.bias)
            last = index == len(net.layers) - 1
            kind = self._forward_normalization
            if kind is not None and (self.normalize_last or not last):
                if statistics is None:
                    measured.append(neurons.measure(u, kind))
                else:
                    measured.append(statistics[index])
                mean, deviation = genome.forward_mean, genome.forward_deviation
                assert mean is not None
                assert deviation is not None
                u = neurons.normalize(u, measured[-1], mean, deviation)
            name = self.last_activation if last else self.forward_activation
            layers.append(activations.apply(name, u))
        return layers, tuple(measured)

    def backward(
        self,
        theta: Genome,
        net: Network,
        forward: list[Layer],
        y: Float[Array, "batch out"],
    ) -> list[Layer]:
        """Return the final states of all layers but the input, given feedback (BLUR eq. 6)."""
        final = [*forward[:-1], self._with_feedback(forward[-1], y)]
        for index in range(len(net.layers) - 1, 0, -1):
            genome = self._genome(theta, index)
            synapses = net.layers[index]
            weight = synapses.backward
            if weight is None:
                weight = jnp.swapaxes(synapses.weight, 1, 2)
            additive = self.backward_update == "additive"
            mu = genome.eta * genome.mu if additive else genome.mu
            u = neurons.send(neurons.mix(mu, final[index]), weight)
            u = self._rescale(genome, u, weight, None)
            u = neurons.backward_drive(self.backward_update, genome.f, final[index - 1], u)
            if self._backward_normalization is not None:
                mean, deviation = genome.backward_mean, genome.backward_deviation
                assert mean is not None
                assert deviation is not None
                statistics = neurons.measure(u, self._backward_normalization)
                u = neurons.normalize(u, statistics, mean, deviation)
            final[index - 1] = activations.apply(self.backward_activation, u)
        return final

    def _with_feedback(self, last: Layer, y: Float[Array, "batch out"]) -> Layer:
        target = (2 * y.T - 1).astype(last.dtype)
        if self.feedback == "residual":
            target = target - last[0]
        elif self.feedback == "error":
            one_output = y.shape[1] == 1
            probability = jax.nn.sigmoid(last[0]) if one_output else jax.nn.softmax(last[0], axis=0)
            target = y.T.astype(last.dtype) - probability
        return jnp.concatenate([jnp.stack([last[0], target]), jnp.zeros_like(last[2:])])

    def _changed(
        self,
        theta: Genome,
        net: Network,
        x: Float[Array, "batch in"],
        forward: list[Layer],
        final: list[Layer],
    ) -> Network:
        """Change all synapses; the network has no statistics yet."""
        return Network(
            tuple(
                self._change(theta, index, synapses, x, forward, final)
                for index, synapses in enumerate(net.layers)
            )
        )

    def _change(
        self,
        theta: Genome,
        index: int,
        synapses: Synapses,
        x: Float[Array, "batch in"],
        forward: list[Layer],
        final: list[Layer],
    ) -> Synapses:
        """Change the synapses below layer `index` of `final` (BLUR eqs. 7 and 8)."""
        genome = self._genome(theta, index)
        scale = 1.0 if self.reduction == "sum" else 1.0 / x.shape[0]
        limits = plasticity.Limits(
            self.oja, self.oja_extra, self.saturation, self.saturation_epsilon
        )
        # A synapse with one state is changed by the rule's first.
        s = 1 if self.single_state else self.states
        nu_tilde = genome.nu_tilde[:, :s].T
        mu_tilde = genome.eta_tilde * scale * genome.mu_tilde[:s]
        post = neurons.mix(mu_tilde, final[index])
        lower = None
        if index == 0:
            change = plasticity.hebb_input(x, nu_tilde[:, 0], post)
        else:
            lower = (forward if self.forward_presynaptic else final)[index - 1]
            change = plasticity.hebb(neurons.mix(nu_tilde, lower), post)
        bias_change = None
        if synapses.bias is not None:
            bias_change = jnp.sum(nu_tilde, axis=1)[:, None] * jnp.sum(post, axis=2)

        def activity(layer: Layer) -> Float[Array, "k _"] | None:
            if self.oja != "activations":
                return None
            return scale * jnp.sum(neurons.mix(genome.mu_tilde, layer) ** 2, axis=2)

        weight, bias = plasticity.change_block(
            limits,
            genome,
            synapses.weight,
            synapses.bias,
            change,
            bias_change,
            activity(final[index]),
        )
        backward = synapses.backward
        if backward is not None:
            assert lower is not None
            if self.symmetric:
                change = jnp.swapaxes(change, 1, 2)
            else:
                upper_pre = neurons.mix(nu_tilde, final[index])
                change = plasticity.hebb(upper_pre, neurons.mix(mu_tilde, lower))
            backward, _ = plasticity.change_block(
                limits, genome, backward, None, change, None, activity(lower)
            )
        return Synapses(weight, bias, backward)

    # Normalisation

    def _with_statistics(
        self, theta: Genome, changed: Network, old: Network, x: Float[Array, "batch in"]
    ) -> Network:
        """Store the statistics that the changed synapses give, averaged with the older ones."""
        _, measured = self._forward(theta, changed, x, None)
        updates = old.updates
        assert updates is not None
        # Early on synapses change fast and old statistics are wrong; later they change little
        # and those of one batch are noisy.
        weight = 1 / (1 + updates / self.statistics_window)
        averaged = jax.tree.map(lambda n, o: o + weight * (n - o), measured, old.statistics)
        return Network(changed.layers, averaged, updates + 1)

    def _rescale(
        self,
        genome: Genome,
        u: Layer,
        weight: Float[Array, "s _ _"],
        bias: Float[Array, "s _"] | None,
    ) -> Layer:
        if self.synapse_normalization != "activations":
            return u
        u = u / neurons.column_norm(weight, bias)
        return u if genome.rescale is None else genome.rescale * u

    def _normalize_stored(self, theta: Genome, net: Network) -> Network:
        return Network(
            tuple(
                normalized(synapses, self._genome(theta, index).rescale)
                for index, synapses in enumerate(net.layers)
            ),
            net.statistics,
            net.updates,
        )


_CHOICES: dict[str, tuple[str | None, ...]] = {
    "backward_update": ("additive", "multiplicative", "multiplicative_second_state"),
    "normalization": (None, "batch", "units", "batch_and_units"),
    "normalized_passes": ("both", "forward", "backward"),
    "statistics": ("stored", "batch"),
    "synapse_normalization": (None, "activations", "stored"),
    "oja": (None, "full", "relative", "first", "weights", "activations"),
    "saturation": (None, "tanh", "exponential"),
    "feedback": ("target", "residual", "error"),
    "reduction": ("sum", "mean"),
    "genome_init": ("random", "backprop"),
    "synapse_init": ("uniform", "normal"),
}
