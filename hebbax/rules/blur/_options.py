"""The options of `Blur`: what they are called, what they may be, what follows from them."""

import dataclasses
import json
from collections.abc import Callable
from typing import Annotated, Any, Literal

import equinox as eqx

from hebbax._options import (
    AT_LEAST_1,
    NOT_NEGATIVE,
    POSITIVE,
    Range,
    check_option,
    check_options,
)
from hebbax.rules import activations
from hebbax.rules._rule import AbstractRule
from hebbax.rules.blur._normalization import WINDOW


class _Group:
    """Some options that belong together, refused by name where they are out of range."""

    def __post_init__(self) -> None:
        check_options(self)


@dataclasses.dataclass(frozen=True)
class Normalization(_Group):
    """Bring each state of each unit to a learnt mean and deviation over the batch (BLUR sec. 3.4).

    Predictions use statistics that are stored in the network, so that each row stands alone: they
    are measured by a forward pass at the end of each update on that update's batch, and averaged
    with the older ones.

    **Arguments:**

    - `passes`: whether pre-activations are normalised in `both` passes, or in the `forward` or the
      `backward` one only.
    - `last`: whether the last layer is among the normalised ones. It gives all classes the same
      mean over the batch, which helps where they are equally frequent and only there.
    - `window`: the number of updates after which the newest statistics weigh as much as all the
      older ones. Few even out the noise of single batches; many follow synapses that change fast.
    """

    passes: Literal["both", "forward", "backward"] = "both"
    last: bool = True
    window: Annotated[float, POSITIVE] = WINDOW


@dataclasses.dataclass(frozen=True)
class SynapseNormalization(_Group):
    """Give the synapses of each unit, its bias among them, one norm (BLUR supplement 3.6).

    **Arguments:**

    - `form`: `activations` divides by the norm where activations are computed and leaves the
      stored synapses alone; `stored` normalises the stored ones before each update.
    - `learn`: whether the norm is learnt, `Genome.rescale`, or 1.
    - `bounded`: whether the stored synapses into a unit are divided by a power of two before they
      overflow, which a keep gate above 1 makes them do. As they are divided by their norm where
      they are used, no prediction changes. Only with the form `activations`, synapses of their own
      for either direction, and nothing else that their size matters to: no saturation, no Oja's
      term, whose squares overflow before they do.
    """

    form: Literal["activations", "stored"] = "activations"
    learn: bool = False
    bounded: bool = False


@dataclasses.dataclass(frozen=True)
class Oja(_Group):
    """Oja's term, which keeps synapses bounded; see `hebbax.rules.blur.oja` for its forms.

    **Arguments:**

    - `form`: `full` (BLUR eq. 8), `relative`, `first`, `weights`, or `activations`.
    - `extra`: a fixed factor on it.
    - `learn`: whether there is a learnt factor too; `full` and `relative` have none.
    - `apart`: whether it acts on the synapses of either direction apart, as in the authors'
      program, which pulls those of a symmetric rule asunder; if not, they stay the same.
    """

    form: Literal["full", "relative", "first", "weights", "activations"]
    extra: float = 1.0
    learn: bool = True
    apart: bool = True

    @property
    def multiplied(self) -> bool:
        """Whether a genome holds a factor on the term."""
        return self.learn and self.form in ("first", "weights", "activations")


@dataclasses.dataclass(frozen=True)
class Saturation(_Group):
    """Synapses that saturate (BLUR sec. 3.4); see `hebbax.rules.blur.saturate`.

    **Arguments:** `form`: `tanh` or `exponential`; `epsilon` ≥ 0: added to the learnt bound or
    rate.
    """

    form: Literal["tanh", "exponential"]
    epsilon: Annotated[float, NOT_NEGATIVE] = 1e-3


def _group(option: str, cls: Callable[..., Any], named: bool = True) -> Callable[[Any], Any]:
    """Return what makes a group of options of the fields in a file, or of its form's name."""

    def convert(value: Any) -> Any:
        if named and isinstance(value, str):
            value = {"form": value}
        if not isinstance(value, dict):
            return value
        try:
            return cls(**value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{option}: {error}") from error

    return convert


class Options(AbstractRule):
    """What `Blur` is made with; it says there what each option does."""

    states: Annotated[int, Range(2)] = eqx.field(static=True, default=2)
    forward_activation: str = eqx.field(static=True, default="tanh")
    backward_activation: str = eqx.field(static=True, default="tanh")
    last_activation: str = eqx.field(static=True, default="none")
    backward_update: Literal["additive", "multiplicative", "multiplicative_second_state"] = (
        eqx.field(static=True, default="additive")
    )
    symmetric: bool = eqx.field(static=True, default=False)
    single_state: bool = eqx.field(static=True, default=False)
    bias: bool = eqx.field(static=True, default=True)
    normalization: Normalization | None = eqx.field(
        static=True,
        default=Normalization(),
        converter=_group("normalization", Normalization, named=False),
    )
    synapse_normalization: SynapseNormalization | None = eqx.field(
        static=True,
        default=SynapseNormalization(),
        converter=_group("synapse_normalization", SynapseNormalization),
    )
    oja: Oja | None = eqx.field(static=True, default=None, converter=_group("oja", Oja))
    saturation: Saturation | None = eqx.field(
        static=True, default=None, converter=_group("saturation", Saturation)
    )
    learn_keep: bool = eqx.field(static=True, default=True)
    feedback: Literal["target", "residual", "error"] = eqx.field(static=True, default="target")
    reduction: Literal["sum", "mean"] = eqx.field(static=True, default="mean")
    places: Literal["sum", "root"] = eqx.field(static=True, default="sum")
    forward_presynaptic: bool = eqx.field(static=True, default=False)
    layer_genomes: Annotated[int, AT_LEAST_1] | None = eqx.field(static=True, default=None)
    genome_init: Literal["random", "backprop"] = eqx.field(static=True, default="backprop")
    init_scale: Annotated[float, NOT_NEGATIVE] | None = eqx.field(static=True, default=None)
    synapse_update: float = eqx.field(static=True, default=0.1)
    fan_in: bool = eqx.field(static=True, default=False)
    learn_synapse_gain: bool = eqx.field(static=True, default=False)
    forward_update: float | None = eqx.field(static=True, default=None)
    supervised_every: Annotated[int, AT_LEAST_1] = eqx.field(static=True, default=1)
    persistent: Annotated[int, AT_LEAST_1] | None = eqx.field(static=True, default=None)
    noise: Annotated[float, NOT_NEGATIVE] | None = eqx.field(static=True, default=None)
    self_regulation: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        """Refuse options that are unknown or out of range, by name."""
        check_options(self)
        for name in ("forward_activation", "backward_activation", "last_activation"):
            activations.check(name, getattr(self, name))
        if self.bounded and self._size_matters():
            raise ValueError(
                "synapse_normalization may be bounded only where the size of synapses does not "
                "matter: with the form activations, not symmetric, without saturation, and with "
                "oja None."
            )
        if self.forward_update is not None and self.forward_presynaptic:
            raise ValueError(
                f"forward_update must be None with forward_presynaptic=True, for synapses cannot "
                f"read states of the forward pass twice; got {self.forward_update}."
            )

    def _size_matters(self) -> bool:
        divided = self.synapse_normalization is not None and not self.normalizes_stored
        return self.tied or self.saturation is not None or self.oja is not None or not divided

    @classmethod
    def from_hyperparameters(cls, values: dict[str, Any]) -> "Options":
        """Return the rule that a rule file describes, also one written with older names."""
        return cls(**_renamed(values))

    @property
    def normalizes_forward(self) -> bool:
        """Whether the forward pass normalises activations."""
        return self.normalization is not None and self.normalization.passes != "backward"

    @property
    def normalizes_backward(self) -> bool:
        """Whether the backward pass normalises activations."""
        return self.normalization is not None and self.normalization.passes != "forward"

    @property
    def normalizes_stored(self) -> bool:
        """Whether stored synapses are normalised before each update."""
        synapses = self.synapse_normalization
        return synapses is not None and synapses.form == "stored"

    @property
    def tied(self) -> bool:
        """Whether the backward pass reads the forward synapses."""
        return self.symmetric and (self.oja is None or not self.oja.apart)

    @property
    def bounded(self) -> bool:
        """Whether synapses are made smaller before they overflow."""
        return self.synapse_normalization is not None and self.synapse_normalization.bounded

    @property
    def synapse_states(self) -> int:
        """States that a synapse holds."""
        # The activation form of Oja's term pulls the states of a synapse apart.
        pulled = self.oja is not None and self.oja.form == "activations"
        return 1 if self.single_state and not pulled else self.states


# What stood in rule files before options were grouped: group, its field, and the old default.
_OLD: dict[str, tuple[str, str]] = {
    "normalized_passes": ("normalization", "passes"),
    "normalize_last": ("normalization", "last"),
    "statistics_window": ("normalization", "window"),
    "learn_rescale": ("synapse_normalization", "learn"),
    "oja_extra": ("oja", "extra"),
    "learn_oja": ("oja", "learn"),
    "saturation_epsilon": ("saturation", "epsilon"),
}
_GROUPS: dict[str, type] = {
    "normalization": Normalization,
    "synapse_normalization": SynapseNormalization,
    "oja": Oja,
    "saturation": Saturation,
}
_FORMS = {
    "normalization": None,
    "synapse_normalization": "form",
    "oja": "form",
    "saturation": "form",
}
# Options that are no more, with the values that they had in all rules that shipped.
_GONE = {"statistics": "stored", "synapse_init": "normal"}


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    """Put the options of older files into their groups.

    **Raises:** `ValueError` for an option that this version has no longer, or out of range.
    """
    values = dict(values)
    for name, only in _GONE.items():
        if values.pop(name, only) != only:
            raise ValueError(f"{name} other than {json.dumps(only)} is an option no longer")
    if values.get("normalization") in ("units", "batch_and_units"):
        raise ValueError(f"normalization {values['normalization']!r} is an option no longer")
    old = {name: values.pop(name) for name in _OLD if name in values}
    for group, form in _FORMS.items():
        chosen = values.get(group)
        if isinstance(chosen, str):
            fields = {_OLD[name][1]: v for name, v in old.items() if _OLD[name][0] == group}
            values[group] = fields if form is None else {form: chosen, **fields}
    for name, value in old.items():
        # Also where nothing uses it: a file that says nonsense is no file of ours.
        group, field = _OLD[name]
        check_option(name, value, _GROUPS[group].__annotations__[field])
    return values
