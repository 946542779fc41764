"""Meta-train the unsupervised rule as Metz et al. did: pip install 'hebbax[ray]', CIFAR-10 at hand.

    python examples/06_unsupervised_paper.py --out runs/paper --workers 512    # days on a cluster
    python examples/06_unsupervised_paper.py --smoke                           # to see it work

The schedules are the paper's (appendix "Meta-Training"): truncations of 2 to 4 updates that grow to
8 to 15, lifetimes that grow, Adam in three stages, clipping, five evaluations after every update.
Every lifetime has a task of its own (printed characters whose rotation and shift count too,
photographs, both with masks, shifts and pixels in a random order) and a network of its own size.
Without Tiny ImageNet in $HEBBAX_DATA its tasks are left out.
"""

import argparse
import tempfile
from pathlib import Path

import jax
import optax

import hebbax as hx
from hebbax.cluster._ray import Ray

WAYS, SIZE = 10, 16
LOOK = {"mask": 0.3, "example_mask": 0.3, "shift": 1}


def families(smoke: bool) -> list:
    """Return the families of tasks, none of digits or clothes."""
    glyphs = [
        hx.tasks.glyphs(WAYS, SIZE),
        hx.tasks.glyphs(WAYS, SIZE, rotation=180.0, shift=5.0, pose=True),
    ]
    if smoke:
        return [hx.tasks.augmented(family, **LOOK) for family in glyphs]
    photographs = [hx.tasks.subsets("cifar10", WAYS, SIZE)]
    try:
        photographs.append(hx.tasks.subsets("tiny_imagenet", WAYS, SIZE))
    except OSError as error:
        print(f"without Tiny ImageNet: {error}")
    return [hx.tasks.augmented(family, **LOOK) for family in (*glyphs, *photographs)]


def main(smoke: bool, directory: Path, workers: int) -> None:
    """Meta-train on the cluster and say what the meta-objective came to."""
    steps = 4 if smoke else 200_000
    # The paper's 100 and 150 thousand of 200 thousand meta-steps.
    rate = optax.piecewise_constant_schedule(3e-4, {steps // 2: 1 / 3, 3 * steps // 4: 1 / 5})
    truncation = hx.methods.Truncation(
        (2, 4), 20, spread=1.0, final_unroll=(8, 15), unroll_growth=50_000,
        final_count=20_000, count_growth=5_000,
    )  # fmt: skip
    channels = 4 if smoke else 64
    rule = hx.UnsupervisedRule(
        hidden_channels=channels, top_channels=channels, signal_channels=channels // 2
    )
    result = hx.meta_train(
        rule,
        families(smoke),
        hx.objectives.FewShotRidge(
            # Of validation alone: the schedule decides how long lifetimes of meta-training are.
            steps=4 if smoke else 1000,
            batch=16 if smoke else 128,
            query=80 if smoke else 1000,
            evaluations=2 if smoke else 5,
            penalty=0.1,
            weight_penalty=0.0,
            # What follows the labels of a task in its targets is the pose of its characters.
            classes=WAYS,
            every_update=True,
        ),
        hx.methods.TruncatedGradient(optax.adam(rate), clip=5.0, truncation=truncation),
        hidden=hx.Architectures((1, 2), (8, 16), 8)
        if smoke
        else hx.Architectures((2, 5), (64, 512), 32),
        steps=steps,
        key=jax.random.key(0),
        directory=directory,
        validation=1 if smoke else 4,
        log_every=2 if smoke else 100,
        checkpoint_every=2 if smoke else 1000,
        workers=Ray(workers=workers),
        progress=not smoke,
    )
    for line in result.history:
        print(f"meta-step {line['step']:6}: meta-objective {line['loss'][0]:.3f} (chance 2)")
    print(f"validation {result.loss:.3f}; the rule is in {directory / 'rule.safetensors'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="only show that everything works")
    parser.add_argument("--out", type=Path, help="the run's folder; a temporary one by default")
    parser.add_argument("--workers", type=int, default=2, help="processes beside the learner")
    given = parser.parse_args()
    if given.out is None:
        with tempfile.TemporaryDirectory() as folder:
            main(given.smoke, Path(folder), given.workers)
    else:
        main(given.smoke, given.out, given.workers)
