"""Judge rules on streams that drift, beside tuned backpropagation and trees; write the page.

    python benchmarks/streams.py [--rules NAME ...] [--streams NAME ...] [--chunks 32 8 128]
        [--seeds 3] [--river [NAME ...]] [--cache FILE] [--write PAGE]

Every chunk of rows is predicted before it is learnt from. Needs the streams of `hx.tasks.STREAMS`
and MNIST. All networks have the same hidden layer and the same inputs: standardised by the rows
before each, those of permuted MNIST as they are. Each optimiser has the learning rate that was
best in hindsight on that stream and chunk. Several `--rules` are meta-seeds of one, and share a
row; below it stands the start of the recipe of `blur/stream`, as set by hand. `--river` adds naive
Bayes, the Hoeffding adaptive tree and the adaptive random forest of the optional package `river` at
their defaults, on inputs as they are; but not on permuted MNIST, where they would take days. What
has been measured is kept in the cache, and not measured again.
"""

import argparse
import json
import platform
import shlex
import sys
import time
from pathlib import Path

import numpy as np

PERMUTED = "permuted_mnist"
HIDDEN = (64,)
PERMUTATIONS, UPDATES, BATCH = 100, 60, 128
OPTIMIZERS = ("sgd", "momentum", "adam", "nadamw")
VOTERS = 6
"""Networks, as many as members of the ensemble that ships, whose majority decides."""
START = "its start, not meta-trained"
RIVER = ("naive Bayes", "Hoeffding adaptive tree", "adaptive random forest")
RATES = {
    # Half as many as elsewhere, for this stream is long, around the best ones.
    "sgd": tuple(np.logspace(-2, 0.5, 6)),
    "momentum": tuple(np.logspace(-2.5, 0, 6)),
    "adam": tuple(np.logspace(-3.5, -1, 6)),
    "nadamw": tuple(np.logspace(-3.5, -1, 6)),
}


def permuted_mnist():
    """Return MNIST at 10 by 10 pixels, which change places after every so many updates."""
    import hebbax as hx

    family = hx.tasks.images("mnist", size=10, crop=20)
    return hx.tasks.permuted_rows(family, PERMUTATIONS, UPDATES * BATCH)


def rows_of(name):
    """Return rows, labels, classes, and what standardises the inputs."""
    import hebbax as hx
    from hebbax.inner import WINDOW

    if name == PERMUTED:
        return *permuted_mnist(), 10, None
    found = hx.data.load(name)
    return found.train_x, found.train_y, len(found.class_names), WINDOW


def summary(curves, name, rate=None):
    """Return what is kept of a measurement."""
    found = {
        "accuracy": curves.accuracy.tolist(),
        "balanced": curves.balanced_accuracy.tolist(),
        "kappa": curves.kappa.tolist(),
        "microseconds": 1e6 * curves.seconds,
    }
    if name == PERMUTED:
        # In the last third of each permutation.
        right = curves.right.reshape(len(curves.right), PERMUTATIONS, -1)
        late = right[:, :, right.shape[2] * 2 // 3 :].mean(axis=2)
        found["late"] = late.mean(axis=0).tolist()
    return found | ({} if rate is None else {"rate": rate})


def measure(learner, name, chunk, seeds):
    """Return the summary of one learner on one stream."""
    import hebbax as hx

    x, y, classes, window = rows_of(name)
    settings = {"chunk": chunk, "classes": classes, "window": window, "seeds": seeds}
    settings["hidden"] = HIDDEN
    if learner in RIVER:
        return with_river(learner, x, y, chunk)
    kind, _, optimizer = learner.partition(" ")
    if kind == "majority":
        settings["seeds"] = VOTERS
    if kind in ("network", "linear", "majority"):
        if kind == "linear":
            settings["hidden"] = ()
        rates = RATES[optimizer] if name == PERMUTED else None
        curves, rate = hx.best_stream_backprop(optimizer, x, y, rates=rates, **settings)
        return summary(majority(curves) if kind == "majority" else curves, name, rate)
    if learner == START:
        from hebbax.recipes import BlurStream

        rule, theta = BlurStream().rule(), BlurStream().start()
    else:
        rule, theta = hx.zoo.load(learner) if learner in hx.zoo.list() else hx.load_rule(learner)
    return summary(hx.evaluate_stream(rule, theta, x, y, **settings), name)


def majority(curves):
    """Return what the majority of the networks says; of equally many, the lower class."""
    votes = (curves.predicted[:, :, None] == np.arange(curves.classes)).sum(axis=0)
    said = votes.argmax(axis=1)[None]
    return type(curves)(said, curves.labels, curves.classes, curves.seconds)


def with_river(kind, x, y, chunk):
    """Return the summary of one of `RIVER`; it learns row by row, but predicts chunks."""
    from river import forest, naive_bayes, tree

    from hebbax.inner import StreamCurves

    learner = {
        "naive Bayes": naive_bayes.GaussianNB,
        "Hoeffding adaptive tree": lambda: tree.HoeffdingAdaptiveTreeClassifier(seed=0),
        "adaptive random forest": lambda: forest.ARFClassifier(seed=0),
    }[kind]()
    said = []
    begin = time.perf_counter()
    for start in range(0, len(x), chunk):
        rows = [dict(enumerate(map(float, row))) for row in x[start : start + chunk]]
        said += [learner.predict_one(row) or 0 for row in rows]
        for row, label in zip(rows, y[start : start + chunk], strict=True):
            learner.learn_one(row, int(label))
    seconds = (time.perf_counter() - begin) / len(x)
    return summary(StreamCurves(np.asarray(said)[None], y, int(y.max()) + 1, seconds), "")


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rules", nargs="*", default=["blur/stream"], metavar="NAME")
    parser.add_argument("--streams", nargs="*", metavar="NAME")
    parser.add_argument("--chunks", nargs="*", type=int, default=[32])
    parser.add_argument("--seeds", type=int, default=3, help="networks of each learner")
    parser.add_argument("--no-opponents", dest="opponents", action="store_false")
    parser.add_argument("--river", nargs="*", choices=RIVER, help="all of them where none is named")
    parser.add_argument("--cache", type=Path, default=Path("streams.json"))
    parser.add_argument("--write", type=Path, metavar="PAGE")
    options = parser.parse_args(words)
    import hebbax as hx

    streams = options.streams or [*hx.tasks.STREAMS, PERMUTED]
    kept = json.loads(options.cache.read_text()) if options.cache.exists() else {}
    networks = [f"{kind} {name}" for kind in ("network", "majority") for name in OPTIMIZERS]
    opponents = [*networks, "linear sgd"] if options.opponents else []
    river = RIVER if options.river == [] else options.river or ()
    learners = [*options.rules, START, *opponents, *river]
    for stream in streams:
        for chunk in [BATCH] if stream == PERMUTED else options.chunks:
            for learner in learners:
                name = f"{stream}/{chunk}/{learner}"
                if name in kept or (stream == PERMUTED and learner in RIVER):
                    continue
                kept[name] = measure(learner, stream, chunk, options.seeds)
                options.cache.write_text(json.dumps(kept))
                print(name, np.round(kept[name]["accuracy"], 3), kept[name].get("rate"), flush=True)
    page = written(kept, streams, options.rules, words or sys.argv[1:])
    if options.write is None:
        print(page)
    else:
        options.write.write_text(page)


HEAD = """\
# Streams that drift

This page is written by

    python benchmarks/streams.py {command}

hebbax {hebbax}, jax {jax}, Python {python}, CPU.

Share of all rows that was right, each predicted before it was learnt from; mean ± deviation over
networks (one hidden layer of {hidden} units but for the linear one){over}. Each optimiser has the
learning rate that was best in hindsight, for each stream and chunk apart, which favours it; naive
Bayes, trees and forests, of river, learn row after row, from inputs as they are. Inputs of all
networks are standardised by the rows before each, which are forgotten after {window:.0f}; those of
permuted MNIST ({permutations} permutations of 10 by 10 pixels, each for {updates} updates of
{batch}) are as they are.
"""


def written(kept, streams, rules, words):
    """Return the page."""
    import jax

    import hebbax as hx
    from hebbax.inner import WINDOW

    ours = ", of the rule also over meta-seeds" if len(rules) > 1 else ""
    lines = [
        HEAD.format(
            command=shlex.join(words), hebbax=hx.__version__, jax=jax.__version__,
            python=platform.python_version(), hidden=HIDDEN[0], over=ours, window=WINDOW,
            permutations=PERMUTATIONS, updates=UPDATES, batch=BATCH,
        )
    ]  # fmt: skip
    chunks = sorted({int(n.split("/")[1]) for n in kept if n.split("/")[0] != PERMUTED})
    for chunk in chunks or [32]:
        lines += [f"## {chunk} rows at a time", "", *_table(kept, streams, rules, chunk)]
    if any(name.startswith(PERMUTED) for name in kept):
        lines += ["## Loss of plasticity", "", *_plasticity(kept, rules)]
    return "\n".join(lines)


def _found(kept, stream, chunk, learner, rules):
    """Return accuracies, κ and the rest of a learner, or of all rules together."""
    chunk = BATCH if stream == PERMUTED else chunk
    names = rules if learner == "rule" else [learner]
    found = [kept[n] for r in names if (n := f"{stream}/{chunk}/{r}") in kept]
    if not found:
        return None
    return {
        "accuracy": np.concatenate([f["accuracy"] for f in found]),
        "kappa": np.concatenate([f["kappa"] for f in found]),
        "balanced": np.concatenate([f["balanced"] for f in found]),
        "microseconds": np.mean([f["microseconds"] for f in found]),
        "rate": found[0].get("rate"),
    }


def _table(kept, streams, rules, chunk):
    networks = {f"network {name}": f"{name}, tuned" for name in OPTIMIZERS}
    networks |= {
        f"majority {name}": f"majority of {VOTERS} networks, {name}, tuned" for name in OPTIMIZERS
    }
    learners = {"rule": rules[0], START: START, **networks, "linear sgd": "linear sgd, tuned"}
    learners |= {name: name for name in RIVER}
    streams = [s for s in streams if _found(kept, s, chunk, "rule", rules)]
    yield "| learner | " + " | ".join(streams) + " | mean |"
    yield "|---" * (len(streams) + 2) + "|"
    for learner, title in learners.items():
        cells, means = [], []
        for stream in streams:
            found = _found(kept, stream, chunk, learner, rules)
            if found is None:
                cells.append("")
                continue
            means.append(found["accuracy"].mean())
            rate = "" if found["rate"] is None else f" ({found['rate']:.2g})"
            cells.append(f"{means[-1]:.3f} ± {found['accuracy'].std():.3f}{rate}")
        if means:
            whole = f"{np.mean(means):.3f}" if len(means) == len(streams) else ""
            yield f"| {title} | " + " | ".join(cells) + f" | {whole} |"
    yield ""
    yield "Balanced accuracy / Cohen's κ / microseconds for one row and network:"
    yield ""
    yield "| learner | " + " | ".join(streams) + " |"
    yield "|---" * (len(streams) + 1) + "|"
    for learner, title in learners.items():
        found = [_found(kept, stream, chunk, learner, rules) for stream in streams]
        if any(found):
            cells = [
                f"{f['balanced'].mean():.3f} / {f['kappa'].mean():.3f} / {f['microseconds']:.2g}"
                if f
                else ""
                for f in found
            ]
            yield f"| {title} | " + " | ".join(cells) + " |"
    yield ""


def _plasticity(kept, rules):
    yield "Accuracy in the last third of a permutation, mean of the first ten and the last ten:"
    yield ""
    yield "| learner | first ten | last ten | change |"
    yield "|---|---|---|---|"
    learners = {r: r for r in (*rules, START)}
    learners |= {f"network {n}": f"{n}, tuned" for n in OPTIMIZERS}
    for learner, title in learners.items():
        found = kept.get(f"{PERMUTED}/{BATCH}/{learner}")
        if found:
            late = np.asarray(found["late"])
            first, last = late[:10].mean(), late[-10:].mean()
            yield f"| {title} | {first:.3f} | {last:.3f} | {last - first:+.3f} |"
    yield ""


if __name__ == "__main__":
    main()
