"""`MetaTraining`: the settings of a meta-training, checked once."""

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from hebbax._arguments import is_key
from hebbax._errors import shown
from hebbax._options import LARGEST
from hebbax.devices import DeviceGrid, check_not_forked
from hebbax.inner import check_theta, unroll
from hebbax.losses import CLASSES, check_labels
from hebbax.networks import Architectures, Given, Hidden, as_hidden, label
from hebbax.outer._curriculum import Curriculum
from hebbax.outer._method import AbstractMethod
from hebbax.outer._sizes import layer_sizes
from hebbax.outer.objectives import AbstractObjective
from hebbax.rules import AbstractRule
from hebbax.tasks import AbstractFamily

LOOKED_AT = 8
"""Rows of a batch and of a query set that show whether targets are labels."""
F = TypeVar("F", bound=Callable[..., Any])
COUNTS = ("steps", "runs", "tasks", "validation", "log_every", "checkpoint_every")


class Keys(NamedTuple):
    """What decides the first θ, the meta-steps, and the tasks of validation."""

    init: PRNGKeyArray
    train: PRNGKeyArray
    validation: PRNGKeyArray


@dataclasses.dataclass(frozen=True, eq=False)
class MetaTraining:
    """The settings of a meta-training, for `meta_train`, `forecast` and `diagnose` alike.

    **Arguments:** those of `hebbax.meta_train` by their names there, but for what does not change
    what is found: the directory, who else computes or is told of it. `families` may be one.

    **Raises:** `ValueError` that names the first setting that is out of range.
    """

    rule: AbstractRule
    families: AbstractFamily | Sequence[AbstractFamily]
    objective: AbstractObjective | Curriculum
    method: AbstractMethod
    _: dataclasses.KW_ONLY
    hidden: Given | Sequence[Given] | Architectures = ()
    steps: int
    key: PRNGKeyArray
    theta: PyTree = None
    runs: int = 1
    tasks: int = 1
    validation: int = 16
    log_every: int = 50
    checkpoint_every: int = 500

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        check_not_forked()
        one = self.families
        families = tuple(one) if isinstance(one, Sequence) and not isinstance(one, str) else (one,)
        object.__setattr__(self, "families", families)
        self._check_parts()
        for name in COUNTS:
            object.__setattr__(self, name, _count(name, getattr(self, name)))
        if self.checkpoint_every % self.log_every:
            raise ValueError(
                f"checkpoint_every must be a multiple of log_every, {self.log_every}; "
                f"got {self.checkpoint_every}."
            )
        if not isinstance(self.hidden, Architectures):
            object.__setattr__(self, "hidden", as_hidden(self.hidden, len(families)))
        for steps in self.course.unrolls:
            self.method.check(steps)
        _check_learnable(jax.eval_shape(self.rule.init, self.key))
        if self.theta is not None:
            _check_theta(self.theta, jax.eval_shape(self.rule.init, self.key))
        for index in range(len(self.all_families)):
            jax.eval_shape(lambda key, index=index: self._begin(key, index), self.key)

    def _begin(self, key: PRNGKeyArray, index: int) -> PyTree:
        """Begin a network of a family, and let it learn where not all rules can.

        Rules refuse here, before a folder is made, sizes and targets that are not for them.
        """
        family, objective = self.all_families[index], self.course.objective
        sizes = layer_sizes(self.all_families, index, self.units, objective)
        theta = self.rule.init(key)
        net = self.rule.init_network(theta, key, sizes)
        if family.goal == CLASSES or not objective.supervised:
            return net
        episode = family.sample(key, steps=1, batch=objective.batch, query=objective.query)
        return unroll(self.rule, theta, net, episode.x, episode.told)

    def _check_parts(self) -> None:
        if not isinstance(self.rule, AbstractRule):
            raise ValueError(f"rule must be one such as hebbax.Blur(); got {self.rule!r}.")
        if not self.all_families:
            raise ValueError("family must be a task family, or several of them; got none.")
        for family in self.all_families:
            if not isinstance(family, AbstractFamily):
                raise ValueError(
                    f"family must be one of hebbax.tasks, such as toy('xor'), or several of them; "
                    f"got {family!r}."
                )
        judged = self.objective
        judged = judged.objective if isinstance(judged, Curriculum) else judged
        # What is called, instead of defining `judge`, would be passed over silently.
        if not isinstance(judged, AbstractObjective) or callable(judged):
            raise ValueError(
                f"objective must be one of hebbax.objectives or of a subclass of AbstractObjective "
                f"that defines judge, or a Curriculum of one; got {judged!r}."
            )
        for family in self.all_families:
            judged.check_family(family)
        if not isinstance(self.method, AbstractMethod):
            raise ValueError(
                f"method must be one of hebbax.methods, such as Gradient(optax.adam(5e-4)); "
                f"got {self.method!r}."
            )
        if not is_key(self.key):
            raise ValueError(f"key must be one such as jax.random.key(0); got {self.key!r}.")
        for family in self.all_families:
            if judged.classes_only and family.goal == CLASSES:
                # Of some objectives only the first columns are labels.
                y = _some_targets(family, jax.random.key(0))[:, : getattr(judged, "classes", None)]
                check_labels(f"the targets of {family.name}", y)

    @property
    def all_families(self) -> tuple[AbstractFamily, ...]:
        """The task families, however many."""
        return cast(tuple[AbstractFamily, ...], self.families)

    @property
    def course(self) -> Curriculum:
        """The objective as a `Curriculum`, of one stage if it is none."""
        if isinstance(self.objective, Curriculum):
            return self.objective
        return Curriculum(self.objective, (self.objective.steps,), 1, synchronize=False)

    @property
    def units(self) -> Hidden:
        """The hidden layers of all families or of each; the middle of `Architectures`."""
        if isinstance(self.hidden, Architectures):
            return self.hidden.middle
        return cast(Hidden, self.hidden)

    @property
    def per_run(self) -> bool:
        """Whether runs meet different tasks and batches: they would be copies of each other."""
        return self.course.synchronize or (self.theta is not None and self.runs > 1)

    @property
    def keys(self) -> Keys:
        """The keys that `key` is split into."""
        return Keys(*jax.random.split(self.key, 3))

    def thetas(self) -> PyTree:
        """Return the first θ of every run, with a leading axis of runs."""
        if self.theta is None:
            thetas = jax.vmap(self.rule.init)(jax.random.split(self.keys.init, self.runs))
        else:
            thetas = jax.tree.map(
                lambda a: jnp.broadcast_to(a, (self.runs, *jnp.shape(a))), self.theta
            )
        # Arrays read from a checkpoint are not weakly typed, and would be compiled for once more.
        return jax.tree.map(lambda a: jnp.asarray(a, a.dtype), thetas)

    def layout(self) -> DeviceGrid:
        """Return how the devices of this program share the work."""
        return DeviceGrid.over_devices(self.runs, self.method.inner(self.tasks))

    def check_alone(self) -> None:
        """Refuse what only workers can do. **Raises:** `ValueError`."""
        if isinstance(self.hidden, Architectures):
            raise ValueError(
                "hidden=Architectures(...) needs workers, such as workers=hebbax.Ray(...), "
                "each of which has networks of a size of its own."
            )

    def networks(self) -> dict[str, int]:
        """Return how many numbers φ holds, by layer sizes as in `784-64-10`."""
        theta = jax.eval_shape(self.rule.init, self.key)
        networks = {}
        for index in range(len(self.all_families)):
            sizes = layer_sizes(self.all_families, index, self.units, self.course.objective)
            net = jax.eval_shape(
                lambda t, k, sizes=sizes: self.rule.init_network(t, k, sizes), theta, self.key
            )
            networks[label(sizes)] = sum(leaf.size for leaf in jax.tree.leaves(net))
        return networks


def shows_settings(function: F) -> F:
    """Let `help` and `inspect.signature` of a function that calls `as_training` show settings."""
    own: Any = inspect.signature(function)
    given = inspect.signature(MetaTraining).parameters.values()
    settings = [p.replace(name="family") if p.name == "families" else p for p in given]
    kept = [p for p in own.parameters.values() if p.kind is p.KEYWORD_ONLY]
    setattr(function, "__signature__", own.replace(parameters=[*settings, *kept]))  # noqa: B010
    return function


def as_training(given: MetaTraining | AbstractRule, *others: Any, **settings: Any) -> MetaTraining:
    """Return settings that are given as one, or one by one as to `hebbax.meta_train`.

    **Raises:** `TypeError` if they are given both ways.
    """
    if not isinstance(given, MetaTraining):
        if "family" in settings:
            settings["families"] = settings.pop("family")
        return MetaTraining(given, *others, **settings)
    if others or settings:
        raise TypeError("a MetaTraining holds all settings; none can be given beside it.")
    return given


@eqx.filter_jit
def _some_targets(family: AbstractFamily, key: PRNGKeyArray) -> Float[Array, "_ out"]:
    """Return the targets of a small episode."""
    episode = family.sample(key, steps=1, batch=LOOKED_AT, query=LOOKED_AT)
    return jnp.concatenate([episode.y[0], episode.query_y])


def _count(name: str, value: Any) -> int:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < 1:
        raise ValueError(
            f"{name} must be at least 1; got {value}."
            if whole
            else f"{name} must be a whole number, at least 1; got {shown(value)}."
        )
    if value > LARGEST:
        raise ValueError(f"{name} must be at most {LARGEST}; got {shown(value)}.")
    return int(value)


def _check_learnable(skeleton: PyTree) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(skeleton):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise ValueError(
                f"θ must hold floating-point numbers only, which can be meta-trained; that of this "
                f"rule has theta{jax.tree_util.keystr(path)} of {leaf.dtype}."
            )


def _check_theta(theta: PyTree, skeleton: PyTree) -> None:
    if jax.tree.structure(theta) != jax.tree.structure(skeleton):
        raise ValueError(
            f"theta must have the structure that rule.init gives it, "
            f"{jax.tree.structure(skeleton)}; got {jax.tree.structure(theta)}."
        )
    leaves = jax.tree.leaves(theta)
    for (path, wanted), leaf in zip(
        jax.tree_util.tree_leaves_with_path(skeleton), leaves, strict=True
    ):
        found = jax.eval_shape(jnp.asarray, leaf)
        if (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
            raise ValueError(
                f"theta{jax.tree_util.keystr(path)} must be {wanted.dtype}{list(wanted.shape)}, as "
                f"of rule.init; got {found.dtype}{list(found.shape)}."
            )
    check_theta(theta)
