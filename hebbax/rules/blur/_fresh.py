"""Genomes to begin with: drawn, or set by hand."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from hebbax.rules.blur._genome import Genome, transforms
from hebbax.rules.blur._options import Options

STEP_SIZES = tuple(np.logspace(-3, 1, 13).tolist())
NORMS = (1.0, 2.0, 4.0)
"""What a hand would try: η̃, and the norm of synapses where one is learnt."""


def genome(options: Options, key: PRNGKeyArray) -> Genome:
    """Draw a genome, or one for each layer."""
    if options.layer_genomes is None:
        return _one(options, key)
    keys = jax.random.split(key, options.layer_genomes)
    return eqx.filter_vmap(lambda k: _one(options, k))(keys)


def _one(options: Options, key: PRNGKeyArray) -> Genome:
    scale = options.init_scale
    if scale is None:
        scale = 1.0 if options.genome_init == "random" else 0.0
    one = jnp.ones(())
    per_state = jnp.ones(options.states)
    synapses = options.synapse_normalization
    drawn = transforms(key, options.states, options.genome_init, scale)
    twice = options.forward_update is not None
    return Genome(
        **drawn,
        f=one,
        eta=one,
        f_tilde=one if options.learn_keep else None,
        eta_tilde=options.synapse_update * one,
        forward_mean=0 * per_state if options.normalizes_forward else None,
        forward_deviation=per_state if options.normalizes_forward else None,
        backward_mean=0 * per_state if options.normalizes_backward else None,
        backward_deviation=per_state if options.normalizes_backward else None,
        oja_multiplier=one if options.oja is not None and options.oja.multiplied else None,
        saturation=None if options.saturation is None else one,
        rescale=one if synapses is not None and synapses.learn else None,
        synapse_gain=one if options.learn_synapse_gain else None,
        # As in the authors' program the matrices begin as those of the other change.
        forward_nu_tilde=drawn["nu_tilde"] if twice else None,
        forward_mu_tilde=drawn["mu_tilde"] if twice else None,
        forward_f_tilde=one if twice and options.learn_keep else None,
        forward_eta_tilde=None if options.forward_update is None else options.forward_update * one,
        noise=None if options.noise is None else options.noise * per_state,
        regulation=0 * drawn["nu"] if options.self_regulation else None,
    )


def hand_set(options: Options) -> tuple[tuple[float, Genome], ...]:
    """Return genomes of eq. 4, backpropagation's, with these options: a η̃ and a norm each."""
    start = dataclasses.replace(options, genome_init="backprop", init_scale=None)
    drawn = start.init(jax.random.key(0))
    norms = (None,) if drawn.rescale is None else NORMS
    found = []
    for step_size in STEP_SIZES:
        for norm in norms:
            knobs = [(drawn.eta_tilde, step_size), (drawn.rescale, norm)]
            fields = [jnp.full_like(was, v) for was, v in knobs if was is not None]
            found.append((step_size, eqx.tree_at(_knobs, drawn, fields)))
    return tuple(found)


def _knobs(drawn: Genome) -> list[Any]:
    """Return what a hand sets of a genome."""
    return [k for k in (drawn.eta_tilde, drawn.rescale) if k is not None]
