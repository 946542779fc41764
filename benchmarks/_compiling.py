"""Compile time as numbers of its own, the same in every benchmark."""

import time

PHASES = ("trace", "lower", "compile")
HEAD = "trace, lower, compile s"
WIDTHS = (5, 7, 11)
WIDTH = len(HEAD)


def compiled(function, *arguments):
    """Return the compiled program, and the CPU seconds of each phase over all threads, by name."""
    import jax

    stage, seconds = jax.jit(function), {}
    for phase in PHASES:
        begin = time.process_time()
        stage = stage.trace(*arguments) if phase == "trace" else getattr(stage, phase)()
        seconds[f"{phase}_s"] = time.process_time() - begin
    return stage, seconds


def report(row):
    """Return the three numbers of a row as a column of width `WIDTH`."""
    columns = zip(PHASES, WIDTHS, strict=True)
    return "".join(f"{row[f'{phase}_s']:{width}.1f}" for phase, width in columns)
