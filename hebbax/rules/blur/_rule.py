"""`Blur`: bidirectional learned update rules (Sandler et al., ICML 2021)."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hebbax.losses import Targets
from hebbax.rules._plasticity import Plasticity
from hebbax.rules._rule import Sizes, Told, as_wiring, check_batch, check_sizes
from hebbax.rules._sections import Section
from hebbax.rules.blur import _changes as changes
from hebbax.rules.blur import _fresh as fresh
from hebbax.rules.blur import _memory as memory
from hebbax.rules.blur import _passes as passes
from hebbax.rules.blur import _signals as signals
from hebbax.rules.blur._forward_change import forward_change
from hebbax.rules.blur._genome import Genome, section
from hebbax.rules.blur._network import Network, draw, normalized
from hebbax.rules.blur._normalization import LEAST_NORMALIZED, Statistics, averaged
from hebbax.rules.blur._options import Options
from hebbax.rules.blur._wired import Layer, Wired, genome_of, wired


class Blur(Options):
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
      Oja's term acts on either direction apart, unless it is told not to.
    - `single_state`: one state per synapse, changed by the rule's first; else k.
    - `bias`: a unit with all states 1 below every layer.
    - `normalization`: a `Normalization` of pre-activations over the batch, as in the paper; None
      for none, as in the authors' program.
    - `synapse_normalization`: a `SynapseNormalization`, or the name of its form; None for none.
    - `oja`: `Oja`'s term, or the name of its form; None for none.
    - `saturation`: a `Saturation` of synapses, or the name of its form; None for none.
    - `learn_keep`: whether the keep gate of synapses, f̃, is learnt or stays 1. With synapse
      normalisation a learnt one tends to grow past 1, which makes later changes relatively
      smaller, until the stored synapses overflow, unless they are `bounded`.
    - `feedback`: `target` is ±1 (sec. 3.3); `residual` is ±1 minus the prediction; `error` is the
      one-hot label minus the softmax of the prediction (the sigmoid if there is one output), the
      negative gradient of the cross-entropy. That is for labels: families with other targets say
      themselves what the feedback is, see `hebbax.losses.AbstractGoal`.
    - `reduction`: the change is the `sum` over the batch, as in the authors' program, or the
      `mean`, which does not depend on the batch size.
    - `places`: what units at several places share changes by the `sum` over them, as gradients do,
      or by that over the `root` of their number. Relative to the synapses of dense layers, those of
      a convolution then change about as fast.
    - `forward_presynaptic`: the synapse update reads the lower layer as the forward pass left it.
    - `layer_genomes`: None for one genome shared by all layers, else the number of synapse layers
      with a genome of their own.
    - `genome_init`, `init_scale`: the transforms are drawn at `random`, normals of deviation
      `init_scale` (None: 1), or around the `backprop` matrices of eq. 4 with noise of that
      deviation (None: 0, exact). Gates start at 1, except η̃.
    - `synapse_update`: initial η̃.
    - `fan_in`: initial synapses, standard normals, are divided by the square root of the number of
      senders; `learn_synapse_gain` multiplies them by a learnt factor. With synapse normalisation,
      unscaled synapses make the relative size of a change independent of the number of inputs, so
      a genome carries over to other resolutions.

    Off by default, from the paper's outlook (sec. 5) and the authors' program:

    - `forward_update`: None, or the initial η̃ of a change of the synapses at the end of the forward
      pass too, before the feedback (sec. 5 and the program). It has matrices and gates of its own
      that begin as those of the other change, and reads no label: updates with `y=None` change
      synapses too. Not with `forward_presynaptic`, as in the program.
    - `supervised_every`: updates whose number, from 0, it does not divide end after the forward
      part, as without labels (the program).
    - `persistent`: None, or the rows of every batch: neurons keep the states that they had in a
      row at the end of the update before, all but the input's, and f·a counts in the forward pass
      (the program). `predict` and the statistics that it uses begin with neurons at rest: rows
      that are asked about are none of the batch's, may be any number, and stand alone.
    - `noise`: None, or the initial deviation of normal noise on the states of hidden units, in the
      forward pass of updates, each state with a learnt one ("injection of randomness", sec. 5).
      It is added to what σ is applied to. `predict` has none.
    - `self_regulation`: whether neurons scale what arrives at them by gates that read their own
      states ("self-regulate based on current state", sec. 5). The learnt matrix in them begins at
      zero and there changes nothing. In the forward pass neurons are at rest, unless they are
      `persistent`, and all gates the same; so it is the backward pass that is regulated.

    **Raises:** `ValueError` for a value that is not listed above.
    """

    # What the rule says of itself

    @property
    def least_batch(self) -> int:
        """Two where activations are normalised over the batch; all whose states are kept."""
        if self.persistent is not None:
            return self.persistent
        return 1 if self.normalization is None else LEAST_NORMALIZED

    @property
    def learns_without_labels(self) -> bool:
        """Whether synapses change in the forward pass too."""
        return self.forward_update is not None

    @property
    def normalizes_hidden(self) -> bool:
        """Whether the forward pass normalises activations."""
        return self.normalizes_forward

    @property
    def normalizes_last(self) -> bool:
        """Whether it does so in the last layer too."""
        return passes.normalizes(self, last=True)

    @property
    def synapse_layers(self) -> int | None:
        """As many as there are genomes, where each layer has its own."""
        return self.layer_genomes

    def hand_set(self) -> tuple[tuple[float, Genome], ...]:
        """Return genomes of eq. 4, backpropagation's, with these options: a η̃ and a norm each."""
        return fresh.hand_set(self)

    def sections(self, theta: Genome) -> tuple[Section, ...]:
        """Return the genome's arrays under the names of the paper, a section a genome."""
        if self.layer_genomes is None:
            return (section(theta, ""),)
        count = self.layer_genomes
        return tuple(
            section(genome_of(theta, layer, True), f"synapse layer {layer + 1} of {count}")
            for layer in range(count)
        )

    def synapse_matrices(self, net: Network) -> list[Float[Array, "receivers senders"]]:
        """Return the first state of the forward synapses of each layer."""
        return [layer.weight[0] for layer in net.layers]

    # θ

    def init(self, key: PRNGKeyArray) -> Genome:
        """Draw a genome; see `Genome` for its fields."""
        return fresh.genome(self, key)

    def _wired(self, theta: Genome, net: Network) -> list[Wired]:
        return wired(theta, net, self.layer_genomes is not None)

    # φ

    def init_network(self, theta: Genome, key: PRNGKeyArray, sizes: Sizes) -> Network:
        """Draw the synapses of a network with `sizes` units, input first, or of any wiring.

        **Raises:** `ValueError` if `sizes` are not at least two positive numbers, or do not match
        `layer_genomes`.
        """
        wiring = as_wiring(sizes)
        count = len(wiring.layers)
        if self.layer_genomes is not None and count != self.layer_genomes:
            given = wiring.chain or tuple(map(str, wiring.shapes))
            raise ValueError(
                f"this genome was made for networks of {self.layer_genomes} synapse layers; "
                f"sizes {given} make {count}."
            )
        net = draw(
            key,
            wiring,
            self.synapse_states,
            bias=self.bias,
            tied=self.tied,
            copied=self.symmetric and not self.tied,
            fan_in=self.fan_in,
        )
        if self.single_state and self.synapse_states > 1:
            net = jax.tree.map(lambda w: jnp.broadcast_to(w[:1], w.shape), net)
        if theta.synapse_gain is not None:
            layers = []
            for genome, synapses, _ in self._wired(theta, net):
                gain = genome.synapse_gain
                layers.append(jax.tree.map(lambda w, gain=gain: gain * w, synapses))
            net = eqx.tree_at(lambda n: n.layers, net, tuple(layers))
        kept = memory.begun(self, key, wiring)
        if kept is not None:
            net = dataclasses.replace(net, memory=kept)
        if not self.normalizes_forward:
            return net
        statistics = tuple(
            Statistics(jnp.zeros(shape), jnp.ones(shape))
            for shape in (
                (self.states, layer.shape.channels, 1)
                for index, layer in enumerate(wiring.layers)
                if passes.normalizes(self, last=index == count - 1)
            )
        )
        return _measured(net, statistics, jnp.zeros(()))

    # The inner loop

    def update(
        self,
        theta: Genome,
        net: Network,
        x: Float[Array, "batch in"],
        y: Told,
    ) -> tuple[Network, Float[Array, "batch out"]]:
        """Run one forward pass, one backward pass and one change of the synapses.

        `y` is one-hot in {0, 1}, or `Targets`; with None the update ends after the forward part,
        in which nothing changes unless options say so. Returns the network and the prediction
        before the change.

        **Raises:** `ValueError` for a batch that does not fit the network.
        """
        check_batch(x, y, (net.sizes[0], net.sizes[-1]))
        memory.check_rows(self, net.memory, x)
        net = self._ready(theta, net)
        forward = self.forward(theta, net, x)
        prediction = forward[-1][0].T
        net = self._changed_forward(theta, net, x, forward)

        def unsupervised() -> tuple[Network, list[Layer]]:
            seen = net if self.forward_update is None else self._remembering(theta, net, x)
            return seen, forward

        if y is None:
            return memory.remembering(*unsupervised()), prediction

        def supervised() -> tuple[Network, list[Layer]]:
            final = self.backward(theta, net, forward, y)
            changed = self._changed(theta, net, x, forward, final)
            return self._remembering(theta, changed, x), final

        if net.memory is None or net.memory.steps is None:
            return memory.remembering(*supervised()), prediction
        told = net.memory.steps % self.supervised_every == 0
        return memory.remembering(*jax.lax.cond(told, supervised, unsupervised)), prediction

    def plasticity(
        self,
        theta: Genome,
        net: Network,
        x: Float[Array, "batch in"],
        y: Told,
    ) -> Plasticity:
        """Return the change of the synapses, given the states of all neurons.

        A synapse's states are those of both directions where each has its own. It is the change of
        an update with labels, whatever `supervised_every`.

        **Raises:** `ValueError` without labels, for then nothing changes, and for networks whose
        layers are not all dense, where synapses that are shared have no place of their own.
        """
        if y is None:
            raise ValueError("BLUR's synapses change with labels only; got y=None.")
        check_sizes(net.wired)
        check_batch(x, y, (net.sizes[0], net.sizes[-1]))
        memory.check_rows(self, net.memory, x)
        ready = self._ready(theta, net)
        forward = self.forward(theta, ready, x)
        between = self._changed_forward(theta, ready, x, forward)
        final = self.backward(theta, between, forward, y)

        def change(net: Network, x: Array, forward: list[Layer], final: list[Layer]) -> Network:
            between = self._changed_forward(theta, self._ready(theta, net), x, forward)
            return self._changed(theta, between, x, forward, final)

        return signals.plasticity(net, x, forward, final, change)

    def predict(
        self, theta: Genome, net: Network, x: Float[Array, "batch in"]
    ) -> Float[Array, "batch out"]:
        """Return the first state of the last layer after a forward pass: the logits.

        Neurons are at rest before, whatever the network keeps, and there is no noise.
        """
        check_batch(x, None, (net.sizes[0], net.sizes[-1]))
        ready = self._wired(theta, self._ready(theta, net))
        return passes.forward(self, ready, x, net.statistics)[0][-1][0].T

    def forward(self, theta: Genome, net: Network, x: Float[Array, "batch in"]) -> list[Layer]:
        """Return the states `[k, units, batch]` of all layers but the input (BLUR eq. 5).

        It is the pass of an update: normalisation of activations, if any, is by the statistics of
        this batch, and neurons begin in the states that the network keeps, with its noise.
        """
        return passes.forward(self, self._wired(theta, net), x, None, net.memory)[0]

    def backward(
        self,
        theta: Genome,
        net: Network,
        forward: list[Layer],
        y: Float[Array, "batch out"] | Targets,
    ) -> list[Layer]:
        """Return the final states of all layers but the input, given feedback (BLUR eq. 6)."""
        layers = [*forward[:-1], passes.with_feedback(self, forward[-1], y)]
        return passes.backward(self, self._wired(theta, net), net.wired, layers)

    def _ready(self, theta: Genome, net: Network) -> Network:
        """Normalise the stored synapses if they are to be."""
        if not self.normalizes_stored:
            return net
        layers = tuple(normalized(s, g.rescale) for g, s, _ in self._wired(theta, net))
        return eqx.tree_at(lambda n: n.layers, net, layers)

    def _changed_forward(
        self, theta: Genome, net: Network, x: Float[Array, "batch in"], forward: list[Layer]
    ) -> Network:
        """Change all synapses after the forward pass, if they change then."""
        if self.forward_update is None:
            return net
        layers = forward_change(self, self._wired(theta, net), x, forward)
        return eqx.tree_at(lambda n: n.layers, net, layers)

    def _changed(
        self,
        theta: Genome,
        net: Network,
        x: Float[Array, "batch in"],
        forward: list[Layer],
        final: list[Layer],
    ) -> Network:
        """Change all synapses; the statistics stay."""
        layers = changes.change(self, self._wired(theta, net), x, forward, final)
        return eqx.tree_at(lambda n: n.layers, net, layers)

    def _remembering(self, theta: Genome, net: Network, x: Float[Array, "batch in"]) -> Network:
        """Store the statistics of a batch under these synapses, averaged with the older ones."""
        if self.normalization is None or net.statistics is None or net.updates is None:
            return net
        _, measured = passes.forward(self, self._wired(theta, net), x, None)
        statistics = averaged(measured, net.statistics, net.updates, self.normalization.window)
        return _measured(net, statistics, net.updates + 1)


def _measured(
    net: Network, statistics: tuple[Statistics, ...], updates: Float[Array, ""]
) -> Network:
    """Return the network with other statistics, or its first."""
    return eqx.tree_at(
        lambda n: (n.statistics, n.updates),
        net,
        (statistics, updates),
        is_leaf=lambda part: part is None,
    )
