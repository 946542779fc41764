"""Few-shot ridge regression: how features are judged by a handful of labelled examples.

The meta-objective of Metz et al. (ICLR 2019, "MetaObjective" of the appendix), and the read-out
of its evaluation.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from hebbax.losses._classification import correct

# Under the root of a prediction's norm, so that a prediction of zeros has a gradient.
_EPSILON = 1e-12

# A GPU would otherwise round the factors to ten bits, too few for a system to be solved.
_product = functools.partial(jnp.matmul, precision="highest")


def normalize_targets(y: Float[Array, "n targets"]) -> Float[Array, "n targets"]:
    """Return targets with mean zero over all entries and rows of mean square norm one (ŷ).

    One-hot rows then all have the norm one exactly, however often each class occurs. Targets that
    are all the same number cannot be normalised and become NaN.
    """
    centred = y - jnp.mean(y)
    return centred / jnp.sqrt(jnp.mean(jnp.sum(centred**2, axis=1)))


def ridge_fit(
    features: Float[Array, "n units"], targets: Float[Array, "n targets"], penalty: float = 0.1
) -> tuple[Float[Array, "units targets"], Float[Array, "1 targets"]]:
    """Return the weights and the intercept that minimise the squared error plus `penalty` ‖C‖².

    The intercept is not penalised, as in the authors' program (the paper's formula penalises it).
    The smaller of the two equivalent systems is solved, of `units` or of `n` unknowns, so that
    very wide features cost little.

    **Raises:** `ValueError` unless `penalty` is positive.
    """
    if not penalty > 0:
        raise ValueError(f"penalty must be positive; got {penalty}.")
    n, units = features.shape
    feature_mean = jnp.mean(features, axis=0, keepdims=True)
    target_mean = jnp.mean(targets, axis=0, keepdims=True)
    # A free intercept is the same as centring, which also keeps the system well conditioned.
    x, y = features - feature_mean, targets - target_mean
    identity = penalty * jnp.eye(min(n, units), dtype=features.dtype)
    if units <= n:
        gram = _product(x.T, x)
        weights = jax.scipy.linalg.solve(gram + identity, _product(x.T, y), assume_a="pos")
    else:
        gram = _product(x, x.T)
        weights = _product(x.T, jax.scipy.linalg.solve(gram + identity, y, assume_a="pos"))
    return weights, target_mean - _product(feature_mean, weights)


def few_shot_ridge(
    features_a: Float[Array, "n_a units"],
    y_a: Float[Array, "n_a targets"],
    features_b: Float[Array, "n_b units"],
    y_b: Float[Array, "n_b targets"],
    *,
    classes: int | None = None,
    penalty: float = 0.1,
    weight_penalty: float = 0.1,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Fit a ridge regression on batch a and judge its predictions on batch b.

    Targets are normalised (`normalize_targets`), every prediction is brought to the norm one, and
    the mean squared distance is taken: for one-hot labels 2 (1 − mean cosine), from 0 to 4 with 2
    for chance. Gradients flow through the features, the solution and the norms.

    **Arguments:**

    - `features_a`, `features_b`: features to be judged; `y_a`, `y_b`: their targets, one-hot
      labels and, if wanted, further columns to be regressed.
    - `classes`: how many columns of the targets, the first ones, are the labels that the accuracy
      is about; None for all.
    - `penalty`: of the regression, positive; 0.1 in the paper.
    - `weight_penalty`: factor on the squared weights of the regression, over `n_a`, which the
      authors' program adds to the loss; 0 gives the paper's.

    **Returns:** the loss, and a dictionary of scalars: `accuracy` in [0, 1], where one column alone
    answers yes if it is nearer to 1 than to 0, and mean `cosine` in [−1, 1], both on batch b;
    `test_term` and `ridge_term`, whose sum is the loss, and `train_term`, the mean squared error on
    batch a.

    **Raises:** `ValueError` if shapes do not fit, or `penalty` or `classes` are out of range.

    **Source:** Metz et al., ICLR 2019, appendix, "MetaObjective".
    """
    _check(features_a, y_a, features_b, y_b, classes)
    target_a, target_b = normalize_targets(y_a), normalize_targets(y_b)
    weights, intercept = ridge_fit(features_a, target_a, penalty)
    fitted = _product(features_a, weights) + intercept
    prediction = _product(features_b, weights) + intercept
    norm = jnp.sqrt(jnp.sum(prediction**2, axis=1, keepdims=True) + _EPSILON)
    direction = prediction / norm
    test_term = jnp.mean(jnp.sum((direction - target_b) ** 2, axis=1))
    ridge_term = weight_penalty * jnp.sum(weights**2) / len(features_a)
    target_norm = jnp.sqrt(jnp.sum(target_b**2, axis=1) + _EPSILON)
    answers = _answers(prediction, y_a, y_b, classes)
    return test_term + ridge_term, {
        "accuracy": jnp.mean(answers.astype(prediction.dtype)),
        "cosine": jnp.mean(jnp.sum(direction * target_b, axis=1) / target_norm),
        "test_term": test_term,
        "ridge_term": ridge_term,
        "train_term": jnp.mean(jnp.sum((fitted - target_a) ** 2, axis=1)),
    }


def _answers(
    prediction: Float[Array, "n_b targets"],
    y_a: Float[Array, "n_a targets"],
    y_b: Float[Array, "n_b targets"],
    classes: int | None,
) -> Bool[Array, " n_b"]:
    """Return which predictions of normalised targets are correct."""
    if y_a.shape[1] == 1:
        # One column answers yes where it is nearer to 1 than to 0.
        mean = jnp.mean(y_a)
        size = jnp.sqrt(jnp.mean((y_a - mean) ** 2))
        return correct(size * prediction + mean - 0.5, y_b)
    return correct(prediction[:, :classes], y_b[:, :classes])


def _check(
    features_a: Array, y_a: Array, features_b: Array, y_b: Array, classes: int | None
) -> None:
    for name, features, y in (("a", features_a, y_a), ("b", features_b, y_b)):
        if features.ndim != 2 or y.ndim != 2 or len(features) != len(y) or len(y) < 1:
            raise ValueError(
                f"features_{name} [n, units] and y_{name} [n, targets] must have as many rows, "
                f"at least one; got {list(features.shape)} and {list(y.shape)}."
            )
    if features_a.shape[1] != features_b.shape[1] or y_a.shape[1] != y_b.shape[1]:
        raise ValueError(
            f"batches a and b must have as many features and as many targets; got features "
            f"{list(features_a.shape)} and {list(features_b.shape)}, targets {list(y_a.shape)} "
            f"and {list(y_b.shape)}."
        )
    if classes is not None and not 2 <= classes <= y_a.shape[1]:
        raise ValueError(
            f"classes must be None or between 2 and the {y_a.shape[1]} columns of the targets; "
            f"got {classes}."
        )
