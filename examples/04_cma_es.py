"""Meta-learn a genome for accuracy itself, which has no gradient, with CMA-ES.

    python examples/04_cma_es.py            # a minute or two on two cores
    python examples/04_cma_es.py --smoke    # seconds: only shows that everything works

CMA-ES proposes a population of genomes at every meta-step, and only asks how many answers their
networks got right. Neither rule nor objective need be differentiable, and memory does not grow
with the lifetime.
"""

import argparse

import jax

import hebbax as hx


def main(smoke: bool) -> None:
    """Search for a genome, and compare it with the one that the search began with."""
    steps, population = (4, 4) if smoke else (200, 16)
    rule = hx.Blur(states=2, learn_synapse_gain=True)
    xor = hx.tasks.toy("xor")

    # One minus the accuracy after 10 updates: a staircase, whose gradient is zero everywhere.
    objective = hx.objectives.QueryAccuracy(steps=10, batch=64, query=256)

    method = hx.methods.CMAES(
        std=0.2,  # of the first population around the first genome
        population=population,
        restarts=1,  # anew with twice the population, should the search converge
        options={"CMA_diagonal": 20},  # any option of cma: a diagonal covariance at first
    )

    result = hx.meta_train(
        rule,
        xor,
        objective,
        method,
        hidden=(10,),
        steps=steps,
        tasks=2,
        key=jax.random.key(0),
        validation=8,
        log_every=steps // 4,
        checkpoint_every=steps // 4,
        progress=not smoke,
        # directory="runs/cma" would keep the whole state of the search, its random numbers too:
        # the same call then goes on where it was stopped, and finds the same.
    )
    for line in result.history:
        print(
            f"meta-step {line['step']:4}: wrong {line['loss'][0]:.3f} on average, "
            f"{line['best_loss'][0]:.3f} the best member; std {line['std'][0]:.3f}"
        )

    settings = {"hidden": (10,), "steps": 10, "batch": 64, "at": (10,), "seeds": 2 if smoke else 16}
    first = rule.init(jax.random.key(0))
    for name, theta in (("first genome", first), ("found", result.theta)):
        accuracy = hx.evaluate(rule, theta, xor, **settings).after(10).mean()
        print(f"{name:>12}: test accuracy {accuracy:.2f} after 10 updates")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="only show that everything works")
    main(parser.parse_args().smoke)
