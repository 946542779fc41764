"""`hebbax show RULE`."""

import dataclasses
import json as json_
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.cells import cell_len
from tyro.conf import FlagCreatePairsOff, Positional

from hebbax.cli._command import Command
from hebbax.cli._console import console, print_json, say
from hebbax.cli._errors import BadInputError

if TYPE_CHECKING:
    from hebbax.cli._rule import FoundRule

# What the genome's fields are called in the BLUR paper, what they do, and what their rows and
# columns count.
_MATRICES = {
    "nu": ("ν", "neurons, forward", "to state", "from state"),  # noqa: RUF001
    "mu": ("μ", "neurons, backward", "to state", "from state"),
    "nu_tilde": ("ν̃", "presynaptic", "from neuron state", "to synapse state"),  # noqa: RUF001
    "mu_tilde": ("μ̃", "postsynaptic", "to synapse state", "from neuron state"),
}
_SCALARS = {
    "f": ("f", "neurons keep"),
    "eta": ("η", "neurons are updated"),
    "f_tilde": ("f̃", "synapses keep"),
    "eta_tilde": ("η̃", "synapses are updated"),
}


LARGEST = 100
"""Numbers in an array that are all printed; of more, it is said how large they are."""
SIZES = (784, 10)
"""Units of the network that is counted if the user names none: images of 28 by 28, ten classes."""


@dataclasses.dataclass(frozen=True)
class Show(Command):
    """Print a rule: its meta-parameters as labelled matrices, and how it was trained."""

    rule: Annotated[Positional[str], tyro.conf.arg(metavar="RULE")]
    """A shipped rule (see `hebbax rules`), a rule file, or a run directory."""
    sizes: tuple[int, ...] = ()
    """Units of a network, input first, whose learned variables are to be counted; 784 10 unless
    the rule fits other networks only."""
    latex: FlagCreatePairsOff[bool] = False
    """Print the rule as equations with its numbers, in LaTeX (amsmath), and nothing else."""
    check_locality: FlagCreatePairsOff[bool] = False
    """Print which signals the change of a synapse uses, by differentiating it in a small network,
    and nothing else."""
    json: FlagCreatePairsOff[bool] = False
    """Print JSON, with all numbers."""

    def run(self) -> int:
        """Do it."""
        from hebbax._trees import to_arrays
        from hebbax.cli._errors import blame
        from hebbax.cli._rule import find_rule

        if self.latex + self.check_locality + self.json > 1:
            raise BadInputError("only one of --latex, --check-locality and --json can be printed.")
        found = find_rule(self.rule)
        if self.latex or self.check_locality:
            try:
                with blame("--sizes"):
                    _print_equations(found) if self.latex else _print_locality(found, self.sizes)
            except NotImplementedError as error:
                raise BadInputError(f"RULE {self.rule}: {error}") from error
            return 0
        arrays = to_arrays(found.theta)
        network = self._network(found)
        if self.json:
            print_json(
                {
                    **found.summary(),
                    "network": network,
                    "hyperparameters": found.changed(),
                    "theta": arrays,
                    "card": found.card,
                }
            )
            return 0
        place = console()
        summary = found.summary()
        say(place, f"{found.name}: {summary['family']}, {found.meta_parameters:,} meta-parameters")
        if network:
            say(
                place,
                f"{network['learned_variables']:,} learned variables φ in a network of "
                f"{'-'.join(map(str, network['sizes']))}",
            )
        say(place, f"file: {found.path}")
        _print_fields(place, "hyper-parameters that differ from the defaults", found.changed())
        layers = getattr(found.rule, "layer_genomes", None)
        if layers is None:
            _print_arrays(place, arrays)
        else:
            for layer in range(layers):
                say(place, f"\nsynapse layer {layer + 1} of {layers}")
                _print_arrays(place, {name: array[layer] for name, array in arrays.items()})
        _print_fields(place, "card", found.card)
        return 0

    def _network(self, found: "FoundRule") -> dict[str, Any] | None:
        """Count the learned variables of a network, without drawing it."""
        import jax

        from hebbax.cli._errors import blame
        from hebbax.cli._rule import count

        def draw(sizes: tuple[int, ...]) -> Any:
            key = jax.random.key(0)
            return jax.eval_shape(lambda k: found.rule.init_network(found.theta, k, sizes), key)

        if self.sizes:
            with blame(f"--sizes {' '.join(map(str, self.sizes))}"):
                return {"sizes": self.sizes, "learned_variables": count(draw(self.sizes))}
        try:
            return {"sizes": SIZES, "learned_variables": count(draw(SIZES))}
        except ValueError:
            # Some rules are made for networks of one size only; the user has asked for none.
            return None


def _print_equations(found: "FoundRule") -> None:
    from hebbax.analysis import equations

    say(console(), equations(found.rule, found.theta))


def _print_locality(found: "FoundRule", sizes: tuple[int, ...]) -> None:
    from hebbax.analysis import locality

    result = locality(found.rule, found.theta, sizes=sizes or None)
    place = console()
    say(place, f"{found.name}: what the change of a synapse uses\n")
    for where, share in result.sensitivity.items():
        say(place, f"  {where:<42} {f'{share:.2g}' if where in result.used else '-'}")
    say(
        place,
        "\nlargest derivative of the change by a signal there, as a share of the largest of all; "
        "-: not used\n"
        + (
            "local: a synapse uses nothing but itself and the two neurons that it joins"
            if result.local
            else "not local: a synapse uses more than itself and the two neurons that it joins"
        )
        + "\n(of the change itself; how the neurons came to their states is not looked at)",
    )


def _print_fields(place: Any, title: str, fields: dict[str, Any]) -> None:
    say(place, f"\n{title}" + ("" if fields else ": none"))
    for name, value in fields.items():
        text = value if isinstance(value, str) else json_.dumps(value, ensure_ascii=False)
        say(place, f"  {name}: {text}")


def _print_arrays(place: Any, arrays: dict[str, Any]) -> None:
    large = {name: array for name, array in arrays.items() if array.size > LARGEST}
    arrays = {name: array for name, array in arrays.items() if name not in large}
    if large:
        say(place, "")
    for name, array in large.items():
        shape = str(list(array.shape))
        size = float((array.astype(float) ** 2).mean() ** 0.5)
        say(
            place,
            f"  {name:<22} {shape:>10}  root mean square {size:.3f}, from "
            f"{_number(array.min())} to {_number(array.max())}",
        )
    if large:
        say(place, "  (--json prints all numbers)")
    for name, array in arrays.items():
        if array.ndim == 2:
            _print_matrix(place, name, array)
    scalars = {name: array for name, array in arrays.items() if array.ndim == 0}
    if scalars:
        say(place, "")
    vectors = [name for name, array in arrays.items() if array.ndim < 2]
    width = max([18, *(len(name) + 2 for name in vectors)])
    for name, array in scalars.items():
        symbol, meaning = _SCALARS.get(name, (name, ""))
        # A combining tilde takes no room.
        gap = " " * (width - cell_len(symbol))
        say(place, f"  {symbol}{gap}{_number(array)}  {meaning}".rstrip())
    for name, array in arrays.items():
        if array.ndim == 1:
            say(place, f"  {name:<{width}}{' '.join(map(_number, array))}")
        elif array.ndim > 2:
            say(place, f"\n  {name} {list(array.shape)}")
            for row in array.reshape(-1, array.shape[-1]):
                say(place, f"    {' '.join(map(_number, row))}")


def _print_matrix(place: Any, name: str, matrix: Any) -> None:
    symbol, meaning, row, column = _MATRICES.get(name, (name, "", "row", "column"))
    say(place, f"\n  {symbol}  {meaning}".rstrip())
    width = len(row) + 6
    headings = "".join(f"{index:>9}" for index in range(matrix.shape[1]))
    say(place, f"  {'':<{width}}{column}")
    say(place, f"  {'':<{width}}{headings}")
    for index, values in enumerate(matrix):
        numbers = "".join(f"{_number(value):>9}" for value in values)
        say(place, f"  {row + ' ' + str(index):<{width}}{numbers}")


def _number(value: Any) -> str:
    return f"{float(value):+.4g}" if abs(float(value)) >= 1e4 else f"{float(value):+.4f}"
