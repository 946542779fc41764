"""Take parts of `blur/stream` away, and see what they were good for; print a table.

    python benchmarks/stream_parts.py [--rule NAME | --start] [--seeds 3]

On digits whose pixels change places (60 times, after 992 rows), and on mixtures and
hyperplanes that drift, of sizes and histories that were not in meta-training. Chunks of 32, 64
hidden units. Each part is taken away from θ, with `--start` from that which meta-training begins
with, without training it anew. Minutes on one core.
"""

import argparse
import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

HIDDEN, CHUNK = (64,), 32
PERMUTATIONS, ROWS = 60, 992
NEVER = 30.0
"""Logarithm of more rows than there will be."""
FAMILIES = (("mixtures", 5, 8), ("hyperplanes", 5, 3))
TASKS, LENGTH = 6, 16_384
FIRST_TASK = 5_000


def without(theta, kept):
    """Return θ whose other members say nothing: their synapses are zero and stay so."""
    deep = len(theta.deep.eta_tilde)
    keep = jnp.isin(jnp.arange(len(theta.log_rows)), jnp.asarray(kept)).astype(float)
    parts = {"deep": keep[:deep], "shallow": keep[deep:]}
    members = {
        name: dataclasses.replace(
            getattr(theta, name), synapse_gain=part * getattr(theta, name).synapse_gain
        )
        for name, part in parts.items()
    }
    pace = jnp.where(keep > 0, theta.log_pace, -NEVER)
    return dataclasses.replace(theta, **members, log_pace=pace)


def variants(theta, oja):
    """Return θ with parts taken away, by what was done."""
    every = jnp.full_like(theta.log_rows, NEVER)
    stays = dataclasses.replace(theta, log_life=every)
    if not oja:
        return {"no Oja's term": theta, "neither Oja's term nor fading": stays}
    deep, members = len(theta.deep.eta_tilde), len(theta.log_rows)
    fixed = jnp.argmax(theta.log_rows[:deep])
    return {
        "whole": theta,
        "synapses do not fade (keep gate 1)": stays,
        "inputs are not standardised again": dataclasses.replace(theta, log_rows=every),
        "all votes are even": dataclasses.replace(theta, log_sharpness=jnp.asarray(-NEVER)),
        "deep members only": without(theta, range(deep)),
        "shallow members only": without(theta, range(deep, members)),
        "one deep member only": without(theta, [int(fixed)]),
    }


@eqx.filter_jit
def lives(rule, thetas, x, y, keys):
    """Return the share that was right of each chunk, `[thetas, streams, chunks]`."""

    def life(theta, x, y, key):
        net = rule.init_network(theta, key, (x.shape[2], *HIDDEN, y.shape[2]))

        def step(net, batch):
            net, said = rule.update(theta, net, *batch)
            return net, jnp.mean(jnp.argmax(said, axis=1) == jnp.argmax(batch[1], axis=1))

        return jax.lax.scan(step, net, (x, y))[1]

    return jax.lax.map(lambda theta: jax.vmap(lambda *a: life(theta, *a))(x, y, keys), thetas)


def streams(seeds):
    """Return chunks and targets of all streams, by name."""
    import hebbax as hx

    digits = hx.tasks.digits()
    each = [hx.tasks.permuted_rows(digits, PERMUTATIONS, ROWS, s) for s in range(seeds)]
    x = np.stack([rows for rows, _ in each]).reshape(seeds, -1, CHUNK, 64)
    found = {"permuted": (x, np.eye(10, dtype="float32")[np.stack([y for _, y in each])])}
    found["permuted"] = (x, found["permuted"][1].reshape(*x.shape[:3], 10))
    for name, inputs, outputs in FAMILIES:
        family = hx.tasks.drifting(name, inputs, outputs)
        keys = jax.vmap(jax.random.key)(jnp.arange(FIRST_TASK, FIRST_TASK + TASKS))
        x, y = jax.jit(jax.vmap(lambda k, f=family: f.draw(k).stream(k, LENGTH // CHUNK, CHUNK)))(
            keys
        )
        flat = [hx.standardize_online(np.asarray(rows).reshape(-1, inputs)) for rows in x]
        found[name] = (np.stack(flat).reshape(x.shape), np.asarray(y))
    return found


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rule", default="blur/stream")
    parser.add_argument("--start", action="store_true", help="before meta-training")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args(words)
    import hebbax as hx

    rule, theta = (hx.zoo.load if options.rule in hx.zoo.list() else hx.load_rule)(options.rule)
    if options.start:
        from hebbax.recipes import BlurStream

        rule, theta = BlurStream().rule(), BlurStream().start()
    blur = {f.name: getattr(rule.rule, f.name) for f in dataclasses.fields(rule.rule)}
    rules = {
        True: rule,
        False: dataclasses.replace(rule, rule=hx.Blur(**{**blur, "oja": None})),
    }
    table = {}
    for name, (x, y) in streams(options.seeds).items():
        keys = jax.vmap(jax.random.key)(jnp.arange(len(x)))
        for oja, learner in rules.items():
            tried = variants(theta, oja)
            thetas = jax.tree.map(lambda *leaves: jnp.stack(leaves), *tried.values())
            right = np.asarray(lives(learner, thetas, jnp.asarray(x), jnp.asarray(y), keys))
            for what, each in zip(tried, right, strict=True):
                cells = [each.mean()]
                if name == "permuted":
                    late = each.reshape(len(x), PERMUTATIONS, -1)
                    late = late[:, :, late.shape[2] * 2 // 3 :].mean(axis=(0, 2))
                    cells = [late[:10].mean(), late[-10:].mean()]
                table.setdefault(what, []).extend(cells)
    print("| | permuted digits, first ten | last ten | mixtures | hyperplanes |")
    print("|---|---|---|---|---|")
    for what, cells in table.items():
        print(f"| {what} | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |")


if __name__ == "__main__":
    main()
