"""A rule's card in lines and tables, whatever it holds."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table

from hebbax.cli._console import printable

COLUMNS = 8
"""Points of a learning curve that are shown."""
Line = str | RenderableType


def fields(values: dict[str, Any]) -> Iterator[Line]:
    """Yield what a card, or any other dictionary, says: a line a field, a table for each result."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield f"  {printable(name)}:"
            yield from (f"    {key}: {text(item)}" for key, item in flat(value))
        elif _is_rows(value):
            yield f"  {printable(name)}:"
            for row in value:
                yield from _row(row)
        elif isinstance(value, list) and any(isinstance(item, str) for item in value):
            yield f"  {printable(name)}:"
            yield from (f"    - {text(item)}" for item in value)
        else:
            yield f"  {printable(name)}: {text(value)}"


def text(value: Any) -> str:
    """Return a value in few characters: numbers with four figures, means with deviations."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        spread = [k for k in value if k not in ("mean", "setting")]
        if "mean" in value and len(spread) <= 1:
            return "±".join(text(value[k]) for k in ("mean", *spread))
        return ", ".join(f"{key} {text(item)}" for key, item in flat(value))
    if isinstance(value, (list, tuple)):
        return " ".join(map(text, value)) or "none"
    return printable(str(value))


def flat(values: dict[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what dictionaries within dictionaries hold, by the names that lead there."""
    for name, value in values.items():
        path = f"{within}{printable(str(name))}"
        if isinstance(value, dict) and value and "mean" not in value:
            yield from flat(value, f"{path}.")
        else:
            yield path, value


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def _row(row: dict[str, Any]) -> Iterator[Line]:
    """Yield one result: what it is of, and its curves as a table."""
    cells = dict(flat(row))
    axis = next((n for n in ("updates", "examples", "steps") if isinstance(cells.get(n), list)), "")
    points = cells.pop(axis, [])
    curves = {n: v for n, v in cells.items() if isinstance(v, list) and v and len(v) == len(points)}
    about = ", ".join(f"{n} {text(v)}" for n, v in cells.items() if n not in curves)
    yield f"    {about}"
    if not curves:
        if axis:
            yield f"      {axis} {text(points)}"
        return
    chosen = _spread(len(points))
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(axis)
    for index in chosen:
        table.add_column(text(points[index]), justify="right")
    for name, curve in curves.items():
        table.add_row(name, *(_mean(curve[index]) for index in chosen))
    yield table


def _mean(value: Any) -> str:
    """Return the mean of a point of a curve; nothing where there is none."""
    if value is None:
        return ""
    return text(value["mean"]) if isinstance(value, dict) and "mean" in value else text(value)


def _spread(count: int) -> Sequence[int]:
    """Return the indices of some points, the first and the last among them."""
    if count <= COLUMNS:
        return range(count)
    return [round(i * (count - 1) / (COLUMNS - 1)) for i in range(COLUMNS)]
