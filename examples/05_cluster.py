"""Meta-train with workers on a Ray cluster, a local one here: pip install 'hebbax[ray]'.

    python examples/05_cluster.py            # a minute or two on two cores
    python examples/05_cluster.py --smoke    # less, but processes take their time to start

Every worker estimates meta-gradients on tasks of its own and sends them; the learner, this
process, averages what arrives and moves θ. Workers may be killed at any time, and others take
their place; kill this process, and the same command goes on from the last checkpoint.
"""

import argparse
import tempfile
from pathlib import Path

import jax
import optax

import hebbax as hx
from hebbax.cluster._ray import Ray


def main(smoke: bool, directory: Path) -> None:
    """Meta-train a genome on the cluster and see what its networks learn."""
    steps = 4 if smoke else 1500
    rule = hx.Blur(states=2, init_scale=0.1, learn_synapse_gain=True)
    families = [hx.tasks.toy(name) for name in ("xor", "and")]

    result = hx.meta_train(
        rule,
        families,
        hx.objectives.QueryCrossEntropy(steps=10, batch=64, query=128),
        hx.methods.Gradient(optax.adam(1e-2), clip=1.0),
        hidden=(20,),
        steps=steps,
        key=jax.random.key(0),
        directory=directory,
        log_every=steps // 4,
        checkpoint_every=steps // 2,
        # An estimate that is older than ten meta-steps is dropped. With address="auto", workers
        # are on all machines of the cluster that `ray start` has made.
        workers=Ray(workers=2, staleness=10),
        progress=not smoke,
    )
    for line in result.history:
        print(f"meta-step {line['step']:4}: loss {line['loss'][0]:.3f}")
    print(f"{steps / result.seconds:.1f} meta-steps/s")

    settings = {"hidden": (20,), "steps": 10, "batch": 64, "at": (10,), "seeds": 2 if smoke else 8}
    for family in families:
        accuracy = hx.evaluate(rule, result.theta, family, **settings).after(10).mean()
        print(f"{family.name}: test accuracy {accuracy:.2f} after 10 updates")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="only show that everything works")
    parser.add_argument("--out", type=Path, help="the run's folder; a temporary one by default")
    given = parser.parse_args()
    if given.out is None:
        with tempfile.TemporaryDirectory() as folder:
            main(given.smoke, Path(folder))
    else:
        main(given.smoke, given.out)
