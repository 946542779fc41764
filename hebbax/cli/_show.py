"""`hebbax show RULE`."""

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.cells import cell_len
from rich.padding import Padding
from tyro.conf import FlagCreatePairsOff, Positional

from hebbax.cli._command import Command
from hebbax.cli._console import console, print_json, say
from hebbax.cli._errors import BadInputError

if TYPE_CHECKING:
    from hebbax.cli._rule import FoundRule
    from hebbax.rules import Entry, Section

LARGEST = 100
"""Numbers in an array that are all printed; of more, it is said how large they are."""
SIZES = (784, 10)
"""Units of the network that is counted if the user names none: images of 28 by 28, ten classes."""


@dataclasses.dataclass(frozen=True)
class Show(Command):
    """Print a rule: its meta-parameters as labelled matrices, and how it was trained."""

    rule: Annotated[Positional[str], tyro.conf.arg(metavar="RULE")]
    """A shipped rule (see `hebbax rules`), a rule file, or a run directory."""
    rule_class: str | None = None
    """Where the file holds a rule that is not of hebbax: MODULE:CLASS, which is imported."""
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
        found = find_rule(self.rule, self.rule_class)
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
        for section in found.rule.sections(found.theta):
            _print_section(place, section)
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


def _print_fields(place: Any, title: str, values: dict[str, Any]) -> None:
    from hebbax.cli._card_lines import fields

    say(place, f"\n{title}" + ("" if values else ": none"))
    for line in fields(values):
        if isinstance(line, str):
            say(place, line)
        else:
            place.print(Padding(line, (0, 0, 0, 6), expand=False))


def _print_section(place: Any, section: "Section") -> None:
    if section.title:
        say(place, f"\n{section.title}")
    large = [entry for entry in section.entries if entry.array.size > LARGEST]
    small = [entry for entry in section.entries if entry.array.size <= LARGEST]
    if large:
        say(place, "")
    for entry in large:
        shape = str(list(entry.array.shape))
        size = float((entry.array.astype(float) ** 2).mean() ** 0.5)
        say(
            place,
            f"  {entry.symbol:<22} {shape:>10}  root mean square {size:.3f}, from "
            f"{_number(entry.array.min())} to {_number(entry.array.max())}",
        )
    if large:
        say(place, "  (--json prints all numbers)")
    for entry in small:
        if entry.array.ndim == 2:
            _print_matrix(place, entry)
    scalars = [entry for entry in small if entry.array.ndim == 0]
    if scalars:
        say(place, "")
    width = max([18, *(len(e.symbol) + 2 for e in small if e.array.ndim < 2)])
    for entry in scalars:
        # A combining tilde takes no room.
        gap = " " * (width - cell_len(entry.symbol))
        say(place, f"  {entry.symbol}{gap}{_number(entry.array)}  {entry.meaning}".rstrip())
    for entry in small:
        if entry.array.ndim == 1:
            say(place, f"  {entry.symbol:<{width}}{' '.join(map(_number, entry.array))}")
        elif entry.array.ndim > 2:
            say(place, f"\n  {entry.symbol} {list(entry.array.shape)}")
            for row in entry.array.reshape(-1, entry.array.shape[-1]):
                say(place, f"    {' '.join(map(_number, row))}")


def _print_matrix(place: Any, entry: "Entry") -> None:
    say(place, f"\n  {entry.symbol}  {entry.meaning}".rstrip())
    width = len(entry.row) + 6
    headings = "".join(f"{index:>9}" for index in range(entry.array.shape[1]))
    say(place, f"  {'':<{width}}{entry.column}")
    say(place, f"  {'':<{width}}{headings}")
    for index, values in enumerate(entry.array):
        numbers = "".join(f"{_number(value):>9}" for value in values)
        say(place, f"  {entry.row + ' ' + str(index):<{width}}{numbers}")


def _number(value: Any) -> str:
    return f"{float(value):+.4g}" if abs(float(value)) >= 1e4 else f"{float(value):+.4f}"
