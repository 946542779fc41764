"""Setting up JAX for the command line, before it is first used."""

import os
import sys

from hebbax._programs import keep_programs

LARGEST = 8


def cores() -> int:
    """Return how many cores this process may use, at most 8."""
    if sys.platform == "linux":
        available = len(os.sched_getaffinity(0))
    else:
        available = os.cpu_count() or 1
    return min(available, LARGEST)


def set_up_jax(runs: int | None = None) -> None:
    """Keep compiled programs between starts, and make the cores devices.

    XLA leaves cores idle on small work, so `meta_train` splits its runs over devices: as many
    as there are cores, or the most of them that divide `runs`. Accelerators are used as they are.
    """
    import jax

    why = keep_programs()
    if why is not None:
        print(f"note: {why}", file=sys.stderr)
    devices = cores()
    while runs is not None and runs % devices:
        devices -= 1
    try:
        jax.config.update("jax_num_cpu_devices", devices)
    except RuntimeError:
        # A program that calls `main` may have used JAX already; then its devices are taken.
        return
