"""Learning problems of your own: arrays that you have, and a family that draws tasks at random.

    python examples/02_your_own_task.py            # a minute or two on two cores
    python examples/02_your_own_task.py --smoke    # seconds: only shows that everything works

A genome is meta-trained on stripes in random directions, and then has to learn stripes that it
has not met, and a table of flowers.
"""

import argparse

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from sklearn.datasets import load_iris

import hebbax as hx


class Stripes(hx.tasks.AbstractFamily):
    """Points of the plane in two classes, stripes of random direction, width and place.

    `draw` fixes a task, `stream` and `query` sample from it. A family is a pytree: what differs
    from task to task is an array, all else is static.
    """

    task: jax.Array | None = None  # direction (2 numbers) and phase of the stripes; None: any
    name: str = eqx.field(static=True, default="stripes")
    inputs: int = eqx.field(static=True, default=2)
    outputs: int = eqx.field(static=True, default=2)

    def draw(self, key):
        """Return the family with one task fixed."""
        k_angle, k_phase, k_width = jax.random.split(key, 3)
        angle, phase = jax.random.uniform(k_angle), jax.random.uniform(k_phase)
        frequency = jax.random.uniform(k_width, minval=2.0, maxval=4.0)
        direction = frequency * jnp.stack([jnp.cos(jnp.pi * angle), jnp.sin(jnp.pi * angle)])
        return Stripes(task=jnp.append(direction, 2 * jnp.pi * phase))

    def query(self, key, query):
        """Return x `[query, 2]` and y `[query, 2]`, one-hot; fresh points at every call."""
        x = jax.random.uniform(key, (query, 2), minval=-1.0, maxval=1.0)
        inside = jnp.sin(x @ self.task[:2] + self.task[2]) > 0
        return x, jax.nn.one_hot(inside.astype(int), 2)

    def stream(self, key, steps, batch):
        """Return x `[steps, batch, 2]` and y `[steps, batch, 2]`."""
        x, y = self.query(key, steps * batch)
        return x.reshape(steps, batch, 2), y.reshape(steps, batch, 2)

    def test_set(self):
        """Return points that are always the same."""
        return self.query(jax.random.key(1), 2048)


def main(smoke: bool) -> None:
    """Meta-train on random stripes, meta-test on others and on flowers."""
    steps = 4 if smoke else 800
    rule = hx.Blur(states=2, init_scale=0.1, learn_synapse_gain=True)
    stripes = Stripes()

    result = hx.meta_train(
        rule,
        stripes,
        hx.objectives.QueryCrossEntropy(steps=10, batch=128, query=256),
        hx.methods.Gradient(optax.adam(1e-2), clip=1.0),
        hidden=(20,),
        steps=steps,
        tasks=2 if smoke else 4,  # stripes met at every meta-step
        key=jax.random.key(0),
        log_every=steps // 4,
        checkpoint_every=steps,
        progress=not smoke,
    )
    for line in result.history:
        print(f"meta-step {line['step']:4}: loss {line['loss'][0]:.3f}")

    # Arrays of your own: x [n, in] real numbers, y [n] whole numbers from 0.
    x, y = load_iris(return_X_y=True)
    test = jnp.arange(len(x)) % 3 == 0
    iris = hx.tasks.from_arrays(x[~test], y[~test], x[test], y[test], name="iris")

    theta, settings = result.theta, {"hidden": (20,), "steps": 20, "seeds": 2 if smoke else 16}
    for family, chance in ((stripes, 1 / 2), (iris, 1 / 3)):
        accuracy = hx.evaluate(rule, theta, family, batch=64, at=(5, 20), **settings)
        print(
            f"{family.name:>8}: test accuracy {accuracy.after(5).mean():.2f} after 5 updates, "
            f"{accuracy.after(20).mean():.2f} after 20 (chance {chance:.2f})"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="only show that everything works")
    main(parser.parse_args().smoke)
