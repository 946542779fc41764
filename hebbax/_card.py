"""What is taken from a rule's card: a file may hold anything there, so nothing is trusted."""

from typing import Annotated, Any

from hebbax._options import AT_LEAST_1, allows, as_tuple

_COUNT = Annotated[int, AT_LEAST_1]
_DEPTHS = {"shallow": 0, "deep": 1}


def as_card(value: Any) -> dict[str, Any]:
    """Return a card, empty if it is none."""
    return value if isinstance(value, dict) else {}


def title(card: Any) -> str | None:
    """Return what the rule is in a few words, if the card says it."""
    said = as_card(card).get("title")
    return said if isinstance(said, str) else None


def trained_updates(card: Any) -> int | None:
    """Return the longest lifetime of meta-training, in updates; None where no card says it.

    Where lifetimes are cut into truncations, how long they are on average in the end.
    """
    options = as_card(as_card(card).get("options"))
    unrolls = options.get("final", options.get("unrolls"))
    several: list[Any] = [*unrolls] if isinstance(unrolls, (list, tuple)) else [unrolls]
    return max(several) if several and all(allows(_COUNT, n) for n in several) else None


def trained_hidden(card: Any) -> tuple[int, ...] | None:
    """Return the units of the hidden layers of meta-training; None where no card says it."""
    return _units(as_card(as_card(card).get("options")).get("hidden"))


def measured_depth(card: Any) -> int | None:
    """Return the most hidden layers of networks that were trained or measured, if it is said."""
    rows = as_card(card).get("results")
    rows = [as_card(row) for row in rows] if isinstance(rows, list) else []
    trained = trained_hidden(card)
    depths = [] if trained is None else [len(trained)]
    depths += [len(units) for row in rows if (units := _units(row.get("hidden"))) is not None]
    depths += [_DEPTHS[row["depth"]] for row in rows if row.get("depth") in ("shallow", "deep")]
    return max(depths, default=None)


def measured_updates(card: Any) -> int | None:
    """Return the most updates after which networks are known to work, if it is said.

    Of those that the card says they were measured to last, of lifetimes of meta-training, and of
    results.
    """
    rows = as_card(card).get("results")
    rows = [as_card(row) for row in rows] if isinstance(rows, list) else []
    found = [as_card(card).get("measured_updates"), trained_updates(card)]
    for row in rows:
        points, values = row.get("updates", row.get("examples")), row.get("accuracy")
        if isinstance(points, list) and isinstance(values, list):
            # There is no accuracy where numbers had ended.
            found += [p for p, v in zip(points, values, strict=False) if v is not None]
    return max((n for n in found if allows(_COUNT, n)), default=None)


def _units(value: Any) -> tuple[int, ...] | None:
    units = as_tuple(value)
    return units if allows(tuple[_COUNT, ...], units) else None
