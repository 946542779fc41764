"""The classifier of the tests."""

import hebbax as hx


def classifier(**options):
    settings = {"rule": "blur/mnist", "hidden": (16,), "n_networks": 2, "random_state": 0}
    return hx.PlasticClassifier(**{**settings, **options})
