"""What `hebbax train --dry-run` says."""

import dataclasses
from typing import TYPE_CHECKING, Any

from hebbax.cli._console import say

if TYPE_CHECKING:
    from hebbax.doctor import Forecast, Stage


def as_json(found: "Forecast") -> dict[str, Any]:
    """Return a forecast by name, its sums too."""
    names = ("peak_memory", "compile_seconds", "seconds")
    return {**dataclasses.asdict(found), **{name: getattr(found, name) for name in names}}


def say_forecast(place: Any, found: "Forecast", command: str) -> None:
    """Print a forecast. `command` is the one that begins the run."""
    from rich.table import Table

    from hebbax.doctor import spelt_bytes, spelt_seconds

    table = Table.grid(padding=(0, 3, 0, 0))
    where = "" if found.devices == 1 else f" on each of {found.devices} devices"
    there = "" if found.device_memory is None else f", of {spelt_bytes(found.device_memory)}"
    table.add_row("peak memory", f"{spelt_bytes(found.peak_memory)}{where}{there}")
    largest = max(found.stages, key=lambda s: max(s.step_memory.peak, s.validation_memory.peak))
    for name, memory in (
        ("a meta-step", largest.step_memory),
        ("validation", largest.validation_memory),
    ):
        table.add_row(
            f"  {name}",
            f"{spelt_bytes(memory.peak)}: data and states {spelt_bytes(memory.arguments)}, "
            f"results {spelt_bytes(memory.outputs - memory.aliased)}, "
            f"computed on the way {spelt_bytes(memory.temporaries)}",
        )
    table.add_row("compiling", spelt_seconds(found.compile_seconds))
    for stage in found.stages:
        table.add_row(*_stage(stage, len(found.stages) > 1))
    left = sum(stage.last - stage.first for stage in found.stages)
    table.add_row("whole run", f"{left:,} meta-steps left: about {spelt_seconds(found.seconds)}")
    place.print(table)
    say(place, "Python, JAX and its compiler need some hundred megabytes more")
    if found.device_memory is not None and found.peak_memory > found.device_memory:
        say(
            place,
            "this is more memory than there is: fewer --tasks or --runs, a smaller --batch, or "
            "shorter lifetimes need less",
        )
    say(place, "nothing was written but compiled programs, which the run will find")
    if left:
        say(place, f"{'go on' if found.stages[0].first else 'begin'} with: {command}")


def _stage(stage: "Stage", several: bool) -> tuple[str, str]:
    from hebbax.doctor import spelt_seconds

    name = f"steps {stage.first:,} to {stage.last:,}" if several else "each meta-step"
    return name, (
        f"{spelt_seconds(stage.step_seconds)} with {stage.unroll} updates in a lifetime (mean of "
        f"{stage.timed_steps:,}); {stage.validations} validations of "
        f"{spelt_seconds(stage.validation_seconds)}"
    )
