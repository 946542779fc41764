"""Compiling less: programs kept on disk for the next process, and programs compiled in haste."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hebbax._cache import cache_folder, others_can_write

LARGEST = 2 * 1024**3
"""Bytes of programs that are kept."""


def keep_programs() -> str | None:
    """Let JAX keep compiled programs in `$HEBBAX_CACHE/xla`, if nobody has said where or whether.

    JAX finds a program again by a digest of what was to be compiled, of its own version, of all
    options of the compiler and of the processor, so a wrong one is never found. The folder must be
    the user's alone, for whoever writes into it decides what is run.

    **Returns:** why nothing is kept, as a part of a sentence; None if programs are kept, or if
    `JAX_COMPILATION_CACHE_DIR` or `JAX_ENABLE_COMPILATION_CACHE` say otherwise.
    """
    import jax

    flags: Any = jax.config
    if flags.jax_compilation_cache_dir is not None or not flags.jax_enable_compilation_cache:
        return None
    folder = cache_folder() / "xla"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        why = others_can_write(folder)
        if why is None:
            forget_oldest(folder, LARGEST)
    except OSError as error:
        why = error.strerror
    if why:
        return f"no compilation cache in {folder} ({why})"
    flags.update("jax_compilation_cache_dir", str(folder))
    # Dozens of programs that compile in a tenth of a second each make a second start slow.
    flags.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    flags.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return None


def forget_oldest(folder: Path, most: int) -> None:
    """Remove the files of a folder that were written first, down to `most` bytes.

    **Raises:** `OSError` if there is no such folder.
    """
    found = []
    for entry in os.scandir(folder):
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if entry.is_file(follow_symlinks=False):
            found.append((status.st_mtime_ns, status.st_size, Path(entry.path)))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= most:
            return
        path.unlink(missing_ok=True)
        total -= size


HASTE = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}
"""Options of the compiler with which programs for a CPU are ready in a fifth of the time: kernels
are made by its older way, all in one piece, and are left as they are."""


@functools.cache
def hasty_options() -> dict[str, Any] | None:
    """Return those of `HASTE` that this compiler knows; None where there is another device."""
    import jax

    if jax.default_backend() != "cpu":
        return None
    nothing = jax.jit(lambda: 0).lower()

    def knows(options: dict[str, Any]) -> bool:
        try:
            nothing.compile(options)
        except jax.errors.JaxRuntimeError:
            return False
        return True

    if knows(HASTE):
        return HASTE
    return {name: value for name, value in HASTE.items() if knows({name: value})}


def quick_jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile what runs once and on little data: in a fraction of the time, to slower code.

    On a CPU, the random numbers of a small network take seconds to be compiled well, a tenth of
    that in haste, and microseconds to be drawn. What is no array is static, as in
    `equinox.filter_jit`: a rule of one's own may hold functions.
    """

    @functools.cache
    def program() -> Any:
        import equinox as eqx

        compile_it: Any = eqx.filter_jit  # whose types know no options of the compiler
        return compile_it(function, compiler_options=hasty_options())

    return lambda *arguments: program()(*arguments)


BRIEF = 5e7
"""Numbers at most that a program compiled in haste may have to make: of networks of BLUR it made so
many in two CPU seconds more than one compiled well, which takes three or four more to compile."""


def jit_by_work(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile as `quick_jit` where the first argument, `brief`, says so; else well.

    What is brief must follow from shapes and settings alone, for the two programs round otherwise.
    """
    import equinox as eqx

    in_haste, well = quick_jit(function), eqx.filter_jit(function)
    return lambda brief, *arguments: (in_haste if brief else well)(*arguments)
