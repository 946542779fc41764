"""A change of the synapses at the end of the forward pass too (BLUR sec. 5)."""

import dataclasses
from collections.abc import Sequence

from jaxtyping import Array, Float

from hebbax.rules.blur import _changes as changes
from hebbax.rules.blur._genome import Genome
from hebbax.rules.blur._network import Synapses
from hebbax.rules.blur._options import Options
from hebbax.rules.blur._wired import Layer, Wired


def forward_change(
    options: Options,
    network: Sequence[Wired],
    x: Float[Array, "batch in"],
    forward: Sequence[Layer],
) -> tuple[Synapses, ...]:
    """Return all synapses after a change by the states that the forward pass left.

    It is that of eqs. 7 and 8 with the genome's matrices and gates for this pass; what bounds
    synapses is as for the other change. It has seen no label.
    """
    wired = [w._replace(genome=of_forward(w.genome)) for w in network]
    return changes.change(options, wired, x, forward, forward)


def of_forward(genome: Genome) -> Genome:
    """Return a genome whose synapses change as they do in the forward pass."""
    assert genome.forward_nu_tilde is not None
    assert genome.forward_mu_tilde is not None
    assert genome.forward_eta_tilde is not None
    return dataclasses.replace(
        genome,
        nu_tilde=genome.forward_nu_tilde,
        mu_tilde=genome.forward_mu_tilde,
        f_tilde=genome.forward_f_tilde,
        eta_tilde=genome.forward_eta_tilde,
    )
