"""How much memory a compiled program takes, and how much there is."""

import dataclasses
import os
from typing import Any

import jax


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes that a compiled program needs on each device, as XLA has planned them.

    **Fields:**

    - `arguments`, `outputs`: of what goes in (the data sets too) and comes out.
    - `temporaries`: of what is computed on the way; this is what grows with the unroll.
    - `aliased`: of outputs that lie where arguments lay.
    """

    arguments: int
    outputs: int
    temporaries: int
    aliased: int = 0

    @classmethod
    def of(cls, program: Any) -> "Memory":
        """Return that of a program, `jax.jit(f).lower(...).compile()`."""
        analysis = program.memory_analysis()
        return cls(
            arguments=int(analysis.argument_size_in_bytes),
            outputs=int(analysis.output_size_in_bytes),
            temporaries=int(analysis.temp_size_in_bytes),
            aliased=int(analysis.alias_size_in_bytes),
        )

    @property
    def peak(self) -> int:
        """All that is needed at once, at most."""
        return self.arguments + self.outputs + self.temporaries - self.aliased


def device_memory() -> int | None:
    """Return how many bytes there are for one device of this process, None where unknown.

    An accelerator says so itself. Devices made of processor cores share the machine's memory.
    """
    device = jax.local_devices()[0]
    statistics = device.memory_stats() or {}
    if "bytes_limit" in statistics:
        return int(statistics["bytes_limit"])
    if device.platform != "cpu" or not hasattr(os, "sysconf"):
        return None
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None
    return pages * size // jax.local_device_count() if pages > 0 and size > 0 else None


def spelt_bytes(number: int) -> str:
    """Return a number of bytes in the unit that suits it, of 1000 each: `43.8 MB`."""
    if abs(number) < 1000:
        return f"{number} B"
    for unit, size in (("kB", 1e3), ("MB", 1e6)):
        # Not 1000.0 MB for what rounds to a gigabyte.
        if abs(number) < 999.95 * size:
            return f"{number / size:.1f} {unit}"
    return f"{number / 1e9:.2f} GB"
