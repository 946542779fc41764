"""`hebbax evaluate RULE --stream STREAM`: accuracy over time, beside tuned backpropagation."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hebbax.cli._console import console, print_json, say
from hebbax.cli._errors import BadInputError, at_least, blame, check_name, check_seed, check_sizes
from hebbax.cli._warned import heard, warn

if TYPE_CHECKING:
    import numpy as np

    from hebbax.inner import StreamCurves

OPTIMIZERS = {"sgd": "SGD", "momentum": "momentum", "adam": "Adam", "nadamw": "NAdamW"}
LINEAR = "linear SGD"
FORMATS = (".png", ".pdf", ".svg")


def evaluate_on_stream(options: Any) -> int:
    """Do what `hebbax evaluate` is asked to do with a stream; `options` are the command's."""
    _check(options)
    from hebbax.cli._jax import set_up_jax

    set_up_jax(runs=1)
    import jax

    from hebbax.cli._rule import find_rule

    x, y, classes = _rows(str(options.stream))
    found = find_rule(options.rule, options.rule_class)
    options.check_rule(found.rule, options.chunk, f"--chunk {options.chunk}")
    # A row of a stream is no image.
    hidden = dataclasses.replace(options, network="mlp").layers(found.card)
    sizes = (x.shape[1], *hidden, classes)
    with blame(f"--hidden {' '.join(map(str, hidden))}"):
        # Some rules fit some depths only; a shape is enough to find out.
        key = jax.random.key(options.seed)
        jax.eval_shape(lambda k: found.rule.init_network(found.theta, k, sizes), key)
    settings = {
        "chunk": options.chunk,
        "hidden": hidden,
        "classes": classes,
        "window": None if options.raw else options.window,
        "seeds": options.seeds,
        "key": key,
    }
    options.check_length(found.card, -(-len(x) // options.chunk))
    with blame(f"--stream {options.stream}"), heard() as ends:
        curves, rates = _compare(options.baselines, found, x, y, settings)
    if options.figure is not None:
        _draw(options.figure, curves, f"{options.rule} on {options.stream}", len(x))
    if options.json:
        print_json(
            {
                "rule": options.rule,
                "stream": options.stream,
                "rows": len(x),
                "sizes": sizes,
                "chunk": options.chunk,
                "seeds": options.seeds,
                "seed": options.seed,
                "learners": {
                    name: {
                        "accuracy": curve.accuracy,
                        "accuracy_mean": curve.accuracy.mean(),
                        "balanced_accuracy_mean": curve.balanced_accuracy.mean(),
                        "kappa_mean": curve.kappa.mean(),
                        "seconds_per_row": curve.seconds,
                        **({"learning_rate": rates[name]} if name in rates else {}),
                    }
                    for name, curve in curves.items()
                },
                "figure": options.figure,
                "warnings": ends,
            }
        )
    else:
        _print(options, sizes, len(x), curves, rates)
    for sentence in ends:
        warn(f"{options.rule}: {sentence}")
    return 1 if ends else 0


def _check(options: Any) -> None:
    at_least(1, chunk=options.chunk, seeds=options.seeds)
    check_seed(options.seed)
    check_sizes(options.hidden or ())
    if not options.window >= 1:
        raise BadInputError(f"--window must be at least 1; got {options.window}.")
    given = {name: getattr(options, name) for name in ("task", "size", "crop", "network")}
    for name, default in options.of_tasks().items():
        value = getattr(options, name)
        given[name] = None if value == default else value
    for name, value in given.items():
        if value is not None:
            raise BadInputError(f"--{name} is {value}, but --stream takes its place.")
    if options.figure is not None and options.figure.suffix.lower() not in FORMATS:
        raise BadInputError(
            f"--figure must end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}; "
            f"got {options.figure}."
        )


def _rows(name: str) -> "tuple[np.ndarray, np.ndarray, int]":
    """Return rows, labels and the number of classes of a registered stream or a file."""
    from hebbax.data import load, read_stream_file
    from hebbax.tasks import STREAMS

    with blame(f"--stream {name}"):
        if Path(name).suffix in (".npz", ".csv"):
            x, y, names = read_stream_file(name)
            return x, y, len(names)
        check_name("--stream", name, STREAMS)
        found = load(name)
    return found.train_x, found.train_y, len(found.class_names)


def _compare(
    baselines: bool, found: Any, x: "np.ndarray", y: "np.ndarray", settings: dict[str, Any]
) -> "tuple[dict[str, StreamCurves], dict[str, float]]":
    """Return what every learner predicted, and the rates of those that have one."""
    from hebbax._progress import Progress
    from hebbax.inner import best_stream_backprop, evaluate_stream

    rates: dict[str, float] = {}
    optimizers = OPTIMIZERS if baselines else {}
    with Progress("evaluating", 2 + len(optimizers), shown=True) as bar:
        bar.update(0, "the rule")
        curves = {"rule": evaluate_stream(found.rule, found.theta, x, y, **settings)}
        for index, (name, title) in enumerate(optimizers.items()):
            bar.update(1 + index, title)
            curves[title], rates[title] = best_stream_backprop(name, x, y, **settings)
        if baselines:
            linear = {**settings, "hidden": ()}
            curves[LINEAR], rates[LINEAR] = best_stream_backprop("sgd", x, y, **linear)
        bar.update(2 + len(optimizers))
    return curves, rates


def _draw(file: Path, curves: "dict[str, StreamCurves]", title: str, rows: int) -> None:
    from hebbax._files import write_whole
    from hebbax.plots import stream_curves

    figure = stream_curves(curves, window=max(1, min(1000, rows // 10)), title=title)
    with blame(f"--figure {file} cannot be written"):
        kind = file.suffix[1:].lower()
        write_whole(file, lambda path: figure.savefig(path, format=kind, dpi=150))


def _print(
    options: Any,
    sizes: tuple[int, ...],
    rows: int,
    curves: "dict[str, StreamCurves]",
    rates: dict[str, float],
) -> None:
    from rich import box
    from rich.table import Table

    place = console()
    say(place, f"{options.rule} on {options.stream}: networks {'-'.join(map(str, sizes))}")
    say(
        place,
        f"{rows:,} rows, each predicted before it was learnt from, {options.chunk} at a time; "
        f"mean ± deviation of {options.seeds} networks",
    )
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("learner")
    for heading in ("accuracy", "balanced", "κ", "µs a row", "rate"):
        table.add_column(heading, justify="right")
    for name, curve in curves.items():
        table.add_row(
            name,
            f"{curve.accuracy.mean():.3f}±{curve.accuracy.std():.3f}",
            f"{curve.balanced_accuracy.mean():.3f}",
            f"{curve.kappa.mean():.3f}",
            f"{1e6 * curve.seconds:.2g}",
            f"{rates[name]:.2g}" if name in rates else "",
        )
    place.print(table)
    if rates:
        say(
            place,
            "rate: the best of four orders of magnitude, in hindsight for all rows",
        )
    if options.figure is not None:
        say(place, f"{options.figure}")
