"""`Ensemble`: networks that learn at different speeds and vote by how right they were lately."""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PRNGKeyArray, PyTree

from hebbax._options import NOT_NEGATIVE, check_options
from hebbax.losses import Targets
from hebbax.rules._rule import AbstractRule, Sizes, Told, as_wiring, check_batch, check_sizes
from hebbax.rules._sections import Entry, Section, all_arrays
from hebbax.rules.blur import Blur

ROWS = 32
"""Rows in one change of synapses, which grows with their number. Of more, so many are learnt from
one after the other: one change for all would have to be larger than it is exact, or too small."""
FARTHEST = 5.0
"""Deviations at which standardised inputs are cut off."""
_LEAST_VARIANCE = 1e-2


class Members(eqx.Module):
    """Meta-parameters of `Ensemble`.

    **Fields:**

    - `deep`, `shallow`: genomes of the members with and without hidden layers, their arrays with a
      leading axis that counts these; None where there are none.
    - `log_rows` `[members]`: logarithm of the rows over which what a member knows of its inputs'
      mean and deviation is forgotten; deep members come first.
    - `log_life` `[members]`: logarithm of the rows over which its synapses fade to 1/e. It takes
      the place of the keep gate of synapses, f̃.
    - `log_pace` `[members]`: logarithm of a factor on η̃ of its genome.
    - `log_memory`: logarithm of the rows over which it is forgotten how right members were.
    - `log_sharpness`: logarithm of what a member's mean log-likelihood of late is multiplied by.
    - `least`: logit of the share of the votes that is spread evenly.
    """

    deep: PyTree
    shallow: PyTree
    log_rows: Float[Array, " members"]
    log_life: Float[Array, " members"]
    log_pace: Float[Array, " members"]
    log_memory: Float[Array, ""]
    log_sharpness: Float[Array, ""]
    least: Float[Array, ""]


class Votes(eqx.Module):
    """Network state of `Ensemble`: its members, and what is remembered of them and the inputs.

    **Fields:**

    - `deep`, `shallow`: networks, with a leading axis as in `Members`.
    - `mean`, `square` `[members, in]`: means of the inputs and of their squares, weighted by how
      new they are; 0 and 1 before the first.
    - `record` `[members]`: mean log-likelihood of late, 0 before the first.
    """

    deep: PyTree
    shallow: PyTree
    mean: Float[Array, "members in"]
    square: Float[Array, "members in"]
    record: Float[Array, " members"]


class Ensemble(AbstractRule):
    """Networks with a genome of their own each, whose votes weigh by how right they were lately.

    All see the same rows and learn from their own errors, some fast, some slowly. Each brings
    inputs to mean 0 and deviation 1 by the rows before, over a time of its own: over a short one
    it sees what is unusual now. Members without hidden layers are sure after fewer rows. The
    prediction is a mixture of theirs, weighted as in Hedge (Freund and Schapire, 1997) by the
    likelihood of the labels of late, with a share for everyone (Herbster and Warmuth, 1998), so
    that the one that suits comes up soon after a change.

    **Arguments:**

    - `rule`: how each member learns: a `Blur` that normalises no activations and learns no keep
      gate.
    - `deep`, `shallow`: how many members have the hidden layers that are asked for, and none.

    **Raises:** `ValueError` for a value out of range, no member, or a rule that does not suit.
    """

    rule: Blur = eqx.field(static=True, converter=lambda v: Blur(**v) if isinstance(v, dict) else v)
    deep: Annotated[int, NOT_NEGATIVE] = eqx.field(static=True, default=3)
    shallow: Annotated[int, NOT_NEGATIVE] = eqx.field(static=True, default=2)

    def __check_init__(self) -> None:
        """Refuse options out of range by name."""
        check_options(self)
        blur = self.rule
        if blur.normalization is not None or blur.learn_keep or blur.layer_genomes is not None:
            raise ValueError(
                "rule must be a Blur with normalization=None, learn_keep=False and one genome for "
                "all layers."
            )
        if not self.deep + self.shallow:
            raise ValueError("deep and shallow must not both be 0: an ensemble has members.")

    @property
    def most_batch(self) -> int | None:
        """As many as one change is made from."""
        return ROWS

    @classmethod
    def from_hyperparameters(cls, values: dict[str, Any]) -> "Ensemble":
        """Return the rule that a rule file describes."""
        rule = values.get("rule")
        if isinstance(rule, dict):
            values = {**values, "rule": Blur.from_hyperparameters(rule)}
        return cls(**values)

    def sections(self, theta: Members) -> tuple[Section, ...]:
        """Return each member's genome, and what weighs their votes."""
        found = []
        for kind, genomes in (("deep", theta.deep), ("shallow", theta.shallow)):
            for index in range(getattr(self, kind)):
                genome = jax.tree.map(lambda a, index=index: a[index], genomes)
                (one,) = self.rule.sections(genome)
                found.append(Section(f"{kind} member {index + 1}", one.entries))
        rest = dataclasses.replace(theta, deep=None, shallow=None)
        entries = tuple(Entry(e.array, e.symbol) for e in all_arrays(rest).entries)
        return (*found, Section("votes", entries))

    def init(self, key: PRNGKeyArray) -> Members:
        """Draw θ: genomes, times from 30 rows to 10,000, and votes that follow some 300 rows."""
        k_deep, k_shallow = jax.random.split(key)

        def genomes(key: PRNGKeyArray, count: int) -> PyTree:
            return jax.vmap(self.rule.init)(jax.random.split(key, count)) if count else None

        times = [jnp.linspace(jnp.log(1e4), jnp.log(30.0), n) for n in (self.deep, self.shallow)]
        return Members(
            deep=genomes(k_deep, self.deep),
            shallow=genomes(k_shallow, self.shallow),
            log_rows=jnp.concatenate(times),
            log_life=jnp.full(self.deep + self.shallow, jnp.log(3e4)),
            log_pace=jnp.zeros(self.deep + self.shallow),
            log_memory=jnp.log(300.0),
            log_sharpness=jnp.log(20.0),
            least=jnp.asarray(-3.0),
        )

    def init_network(self, theta: Members, key: PRNGKeyArray, sizes: Sizes) -> Votes:
        """Draw every member's synapses; `sizes` are those of layers that are fully connected."""
        sizes = check_sizes(as_wiring(sizes))
        keys = jax.random.split(key, self.deep + self.shallow)

        def draw(genomes: PyTree, keys: Key[Array, " members"], sizes: Sizes) -> PyTree:
            if genomes is None:
                return None
            return jax.vmap(lambda g, k: self.rule.init_network(g, k, sizes))(genomes, keys)

        shape = (len(keys), sizes[0])
        return Votes(
            deep=draw(theta.deep, keys[: self.deep], sizes),
            shallow=draw(theta.shallow, keys[self.deep :], (sizes[0], sizes[-1])),
            mean=jnp.zeros(shape), square=jnp.ones(shape), record=jnp.zeros(shape[0]),
        )  # fmt: skip

    def update(
        self,
        theta: Members,
        net: Votes,
        x: Float[Array, "batch in"],
        y: Told,
    ) -> tuple[Votes, Float[Array, "batch out"]]:
        """Let every member predict and learn, and remember how right each was.

        Of more than `ROWS` rows, each so many are predicted and learnt from in turn, so that later
        predictions come after earlier changes. With `y` None nothing is changed.

        **Raises:** `ValueError` for targets that are no classes.
        """
        if y is None:
            return net, self.predict(theta, net, x)
        if isinstance(y, Targets):
            raise ValueError(
                f"an Ensemble votes on classes only; got targets of a {type(y.goal).__name__}."
            )
        check_batch(x, y, (net.mean.shape[1], y.shape[1]))
        if len(x) <= ROWS:
            return self._learnt(theta, net, x, y)
        whole = len(x) // ROWS * ROWS

        def turn(net: Votes, rows: tuple[Array, Array]) -> tuple[Votes, Array]:
            return self._learnt(theta, net, *rows)

        turns = jax.tree.map(lambda a: a[:whole].reshape(-1, ROWS, a.shape[1]), (x, y))
        net, said = jax.lax.scan(turn, net, turns)
        said = said.reshape(whole, y.shape[1])
        if whole == len(x):
            return net, said
        net, rest = self._learnt(theta, net, x[whole:], y[whole:])
        return net, jnp.concatenate([said, rest])

    def _learnt(
        self,
        theta: Members,
        net: Votes,
        x: Float[Array, "rows in"],
        y: Float[Array, "rows out"],
    ) -> tuple[Votes, Float[Array, "rows out"]]:
        """Make one change from up to `ROWS` rows."""
        batch = len(x)
        pace = jnp.exp(theta.log_pace) * (batch / ROWS)
        stays = jnp.exp(-batch / jnp.exp(theta.log_life))
        seen = _standardised(net, x)

        def learn(
            genome: PyTree, member: PyTree, x: Array, pace: Array, stays: Array
        ) -> tuple[PyTree, Array]:
            eta = pace * genome.eta_tilde
            genome = dataclasses.replace(genome, eta_tilde=eta, f_tilde=stays)
            return self.rule.update(genome, member, x, y)

        deep, shallow, logits = self._each(theta, net, learn, seen, pace, stays)
        chances = _log_chances(logits)
        right = jnp.mean(jnp.sum(_both(y) * chances, axis=2), axis=1)
        keep = jnp.exp(-batch / jnp.exp(theta.log_memory))
        fresh = jnp.exp(-batch / jnp.exp(theta.log_rows))
        old, new = fresh[:, None], (1 - fresh)[:, None]
        changed = Votes(
            deep=deep,
            shallow=shallow,
            mean=old * net.mean + new * jnp.mean(x, axis=0)[None],
            square=old * net.square + new * jnp.mean(x**2, axis=0)[None],
            record=keep * net.record + (1 - keep) * right,
        )
        return changed, _mixed(theta, net, chances, y.shape[1])

    def predict(
        self, theta: Members, net: Votes, x: Float[Array, "batch in"]
    ) -> Float[Array, "batch out"]:
        """Return the logits of the members' mixture."""
        check_batch(x, None, (net.mean.shape[1], 0))

        def say(genome: PyTree, member: PyTree, x: Array) -> tuple[None, Array]:
            return None, self.rule.predict(genome, member, x)

        *_, logits = self._each(theta, net, say, _standardised(net, x))
        return _mixed(theta, net, _log_chances(logits), logits.shape[2])

    def _each(
        self,
        theta: Members,
        net: Votes,
        function: Callable[..., tuple[PyTree, Array]],
        *arguments: Float[Array, "members ..."],
    ) -> tuple[PyTree, PyTree, Float[Array, "members batch out"]]:
        """Apply a function to all members; the deep ones apart, for their networks differ."""
        found, logits = [], []
        parts = slice(0, self.deep), slice(self.deep, None)
        kinds = (theta.deep, net.deep), (theta.shallow, net.shallow)
        for (genomes, members), part in zip(kinds, parts, strict=True):
            if genomes is None:
                found.append(None)
                continue
            each, said = jax.vmap(function)(genomes, members, *(a[part] for a in arguments))
            found.append(each)
            logits.append(said)
        return *found, jnp.concatenate(logits)


def _standardised(net: Votes, x: Float[Array, "batch in"]) -> Float[Array, "members batch in"]:
    """Relate inputs to what each member calls usual, at first mean 0 and deviation 1."""
    deviation = jnp.sqrt(jnp.maximum(net.square - net.mean**2, 0.0) + _LEAST_VARIANCE)
    scaled = (x[None] - net.mean[:, None]) / deviation[:, None]
    return jnp.clip(scaled, -FARTHEST, FARTHEST)


def _log_chances(logits: Float[Array, "members batch out"]) -> Float[Array, "members batch _"]:
    """Return log-probabilities of the classes, of two where there is one output."""
    if logits.shape[2] == 1:
        logits = jnp.concatenate([logits, jnp.zeros_like(logits)], axis=2)
    return jax.nn.log_softmax(logits)


def _both(y: Float[Array, "batch out"]) -> Float[Array, "1 batch _"]:
    return (jnp.concatenate([y, 1 - y], axis=1) if y.shape[1] == 1 else y)[None]


def _mixed(
    theta: Members, net: Votes, chances: Float[Array, "members batch _"], outputs: int
) -> Float[Array, "batch out"]:
    """Return the logits of what members say together."""
    least = jax.nn.sigmoid(theta.least)
    votes = jax.nn.softmax(jnp.exp(theta.log_sharpness) * net.record)
    votes = (1 - least) * votes + least / len(votes)
    mixed = jax.nn.logsumexp(chances + jnp.log(votes)[:, None, None], axis=0)
    return mixed if outputs > 1 else mixed[:, :1] - mixed[:, 1:]
