"""Write docs/learning.gif, the moving picture of the README.

python docs/film.py

Two tasks that `blur/toy` was not meta-trained on, and one network for each picture. SGD and Adam
have the learning rate, of 13 over four orders of magnitude, with the highest accuracy after the
last update, mean over both tasks and 8 networks.
"""

from pathlib import Path

import jax.numpy as jnp

import hebbax as hx
from hebbax.inner._tuning import RATES
from hebbax.plots._film import decision_film
from hebbax.rules._backprop import LearningRate

FAMILIES = [hx.tasks.toy(name) for name in ("squares", "triangle")]
HIDDEN, UPDATES, BATCH = (20,), 20, 128
LOOKS = (*range(11), 12, 14, 16, 18, 20)


def judge(rule, theta) -> float:
    """Return the accuracy at the end, mean over the tasks and 8 networks."""
    settings = {"hidden": HIDDEN, "steps": UPDATES, "batch": BATCH, "at": (UPDATES,)}
    curves = [hx.evaluate(rule, theta, family, **settings) for family in FAMILIES]
    return sum(curve.after(UPDATES).mean() for curve in curves) / len(curves)


def main() -> None:
    """Find the learning rates and write the film."""
    learners = {"blur/toy": hx.zoo.load("blur/toy")}
    for name, optimizer in (("SGD", "sgd"), ("Adam", "adam")):
        rule = hx.Backprop(optimizer)
        # θ is the learning rate: one program serves all.
        thetas = [LearningRate(jnp.asarray(rate, float)) for rate in RATES[optimizer]]
        best = max(thetas, key=lambda theta: judge(rule, theta))
        learners[f"{name}, rate {best.learning_rate:.2g}"] = (rule, best)
    for name, (rule, theta) in learners.items():
        print(f"{name}: {judge(rule, theta):.3f}")
    path = Path(__file__).parent / "learning.gif"
    decision_film(path, learners, FAMILIES, hidden=HIDDEN, updates=LOOKS, batch=BATCH)
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
