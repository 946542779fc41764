"""Setting up JAX for the command line, before it is first used."""

import os
import sys

from hebbax._cache import cache_folder, others_can_write

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

    folder = cache_folder() / "xla"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        why = others_can_write(folder)
    except OSError as error:
        why = error.strerror
    if why:
        print(f"note: no compilation cache in {folder} ({why})", file=sys.stderr)
    else:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        # Dozens of programs that compile in a tenth of a second each make a second start slow.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    devices = cores()
    while runs is not None and runs % devices:
        devices -= 1
    try:
        jax.config.update("jax_num_cpu_devices", devices)
    except RuntimeError:
        # A program that calls `main` may have used JAX already; then its devices are taken.
        return
