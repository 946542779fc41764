"""Meta-learn a BLUR genome on three toy functions, and let it learn one that it never saw.

    python examples/01_blur_toy.py            # a minute or two on two cores
    python examples/01_blur_toy.py --smoke    # seconds: only shows that everything works

BLUR (Sandler et al. 2021) describes how neurons and synapses of a network change by some thirty
numbers, the genome. The outer loop finds them by gradient descent through whole lifetimes of
networks; after that, networks learn with neither gradients nor a loss.
"""

import argparse

import jax
import optax

import hebbax as hx


def main(smoke: bool) -> None:
    """Meta-train, save, load, and compare with Adam."""
    steps = 4 if smoke else 600

    # The rule holds hyper-parameters only; genomes start near backpropagation, with some noise.
    rule = hx.Blur(states=2, init_scale=0.1, learn_synapse_gain=True)

    # Every meta-step samples an episode of each family and lets a fresh network learn it.
    names = ("xor",) if smoke else ("xor", "and", "circle")
    families = [hx.tasks.toy(name) for name in names]

    # A genome is worth what its networks know after 10 updates of 128 examples.
    objective = hx.objectives.QueryCrossEntropy(steps=10, batch=128, query=256)

    result = hx.meta_train(
        rule,
        families,
        objective,
        hx.methods.Gradient(optax.adam(1e-2), clip=1.0),
        hidden=(20,),
        steps=steps,
        runs=1 if smoke else 2,  # genomes side by side; the one that validates best is kept
        key=jax.random.key(0),
        log_every=steps // 4,
        checkpoint_every=steps // 2,
        progress=not smoke,
        # directory="runs/toy" would keep checkpoints, and metrics for `hebbax plot runs/toy`.
    )
    for line in result.history:
        print(f"meta-step {line['step']:4}: loss {min(line['loss']):.3f}")

    hx.save_rule("blur_toy.safetensors", rule, result.theta, card={"title": "three toy functions"})
    rule, theta = hx.load_rule("blur_toy.safetensors")

    # Meta-testing: fresh networks, judged on whole test sets. The learning rate of Adam is the
    # best of several for each point, chosen on the test set, which flatters it.
    print("test accuracy after 5 / 20 updates, mean of several networks")
    settings = {"hidden": (20,), "steps": 20, "at": (5, 20), "seeds": 2 if smoke else 8}
    rates = (0.03,) if smoke else (0.003, 0.01, 0.03, 0.1, 0.3)
    for name in ("two_moons",) if smoke else ("xor", "two_moons", "triangle"):
        family, seen = hx.tasks.toy(name), "seen" if name in names else "new"
        learned = hx.evaluate(rule, theta, family, **settings)
        adam, _ = hx.best_backprop("adam", family, rates=rates, **settings)
        row = [f"{curves.after(n).mean():.2f}" for curves in (learned, adam) for n in (5, 20)]
        print(f"{name:>9} ({seen})  genome {row[0]} / {row[1]}   Adam {row[2]} / {row[3]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="only show that everything works")
    main(parser.parse_args().smoke)
