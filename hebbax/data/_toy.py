"""Toy functions of two variables, sampled on the device. BLUR sec. 4.1, fig. 3, and more.

Every sampler is `sample(task_key, key, n) -> (x [n, 2] float32, y [n] int32)`, pure, and can be
jitted and vmapped with `n` static. `task_key` decides the geometry of those functions that have a
random one (`ToyFunction.random`), so that support and query share it; the others ignore it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int, Int32, PRNGKeyArray

from hebbax._errors import check_choice

_Points = Float32[Array, "n 2"]
_Sample = tuple[_Points, Int32[Array, "n"]]
_Sampler = Callable[[PRNGKeyArray, PRNGKeyArray, int], _Sample]


@dataclass(frozen=True)
class ToyFunction:
    """A function of two variables: its sampler and number of classes."""

    name: str
    classes: int
    random: bool
    """Whether every task has a geometry of its own, drawn from `task_key`."""
    sample: _Sampler
    description: str


TOYS: dict[str, ToyFunction] = {}


def toy_function(name: str) -> ToyFunction:
    """The toy function called `name`. **Raises:** `ValueError` if there is none."""
    check_choice("toy function", name, TOYS)
    return TOYS[name]


def _add(name: str, classes: int, description: str, random: bool = False):
    def register(sample: _Sampler) -> _Sampler:
        TOYS[name] = ToyFunction(name, classes, random, sample, description)
        return sample

    return register


def _square(key: PRNGKeyArray, n: int) -> _Points:
    return jax.random.uniform(key, (n, 2), jnp.float32, -1.0, 1.0)


def _on_square(name: str, description: str, inside: Callable[[Array, Array], Array]) -> None:
    """Register a two-class function of a point drawn uniformly from the square [-1, 1]^2."""

    def sample(task_key: PRNGKeyArray, key: PRNGKeyArray, n: int) -> _Sample:
        x = _square(key, n)
        truth: Bool[Array, "n"] = inside(x[:, 0], x[:, 1])
        return x, truth.astype(jnp.int32)

    _add(name, 2, description)(sample)


def _cells(a: Int[Array, "n"] | Float32[Array, "n"], per_unit: float) -> Int[Array, "n"]:
    return jnp.floor((a + 1.0) * per_unit).astype(jnp.int32)


_on_square("and", "both coordinates positive", lambda a, b: (a > 0) & (b > 0))
_on_square("or", "a coordinate positive", lambda a, b: (a > 0) | (b > 0))
_on_square("nand", "not both coordinates positive", lambda a, b: ~((a > 0) & (b > 0)))
_on_square("nor", "no coordinate positive", lambda a, b: ~((a > 0) | (b > 0)))
_on_square("xor", "just one coordinate positive", lambda a, b: (a > 0) ^ (b > 0))
_on_square("nxor", "both coordinates positive or none", lambda a, b: ~((a > 0) ^ (b > 0)))
_on_square(
    "quadrant",
    "x0 negative and x1 positive; the BLUR authors' notebook calls it nand",
    lambda a, b: (a < 0) & (b > 0),
)
_on_square("diagonal", "above the falling diagonal", lambda a, b: a + b > 0)
_on_square("stripes", "four upright stripes", lambda a, b: _cells(a, 2.0) % 2 == 1)
_on_square(
    "checkerboard",
    "four by four fields",
    lambda a, b: (_cells(a, 2.0) + _cells(b, 2.0)) % 2 == 1,
)
_on_square("circle", "inside a circle of radius 0.7", lambda a, b: a**2 + b**2 < 0.49)
_on_square(
    "square",
    "inside a square of side 1.2",
    lambda a, b: jnp.maximum(jnp.abs(a), jnp.abs(b)) < 0.6,
)
_on_square(
    "squares",
    "inside one of two squares of side 0.8, centred at (-0.5, -0.5) and (0.5, 0.5)",
    lambda a, b: (
        (jnp.maximum(jnp.abs(a - 0.5), jnp.abs(b - 0.5)) < 0.4)
        | (jnp.maximum(jnp.abs(a + 0.5), jnp.abs(b + 0.5)) < 0.4)
    ),
)
_on_square(
    "cross",
    "inside an upright cross with arms 0.6 wide",
    lambda a, b: (jnp.abs(a) < 0.3) | (jnp.abs(b) < 0.3),
)
_on_square(
    "triangle",
    "inside a triangle with corners near (-1.5, -0.5), (1.5, -0.5) and (0, 1)",
    lambda a, b: (a + b < 1) & (b - a < 1) & (b > -0.5),
)
_on_square(
    "slice",
    "in the quarter turn around the positive x0 axis",
    lambda a, b: jnp.abs(b) < a,
)


@_add("random_circle", 2, "inside a circle of random centre and radius 0.4 to 0.8", random=True)
def _random_circle(task_key: PRNGKeyArray, key: PRNGKeyArray, n: int) -> _Sample:
    centre_key, radius_key = jax.random.split(task_key)
    centre = jax.random.uniform(centre_key, (2,), jnp.float32, -0.5, 0.5)
    radius = jax.random.uniform(radius_key, (), jnp.float32, 0.4, 0.8)
    x = _square(key, n)
    distance = jnp.linalg.norm(x - centre[None, :], axis=1)
    return x, (distance < radius).astype(jnp.int32)


@_add("random_xor", 2, "xor after a random linear map and shift", random=True)
def _random_xor(task_key: PRNGKeyArray, key: PRNGKeyArray, n: int) -> _Sample:
    map_key, shift_key = jax.random.split(task_key)
    matrix = jax.random.uniform(map_key, (2, 2), jnp.float32, -1.0, 1.0)
    shift = jax.random.uniform(shift_key, (2,), jnp.float32, -0.5, 0.5)
    x = _square(key, n)
    mapped = x @ matrix + shift[None, :]
    return x, (mapped[:, 0] * mapped[:, 1] < 0).astype(jnp.int32)


@_add("two_moons", 2, "two interleaved half circles with noise, scaled to the square")
def _two_moons(task_key: PRNGKeyArray, key: PRNGKeyArray, n: int) -> _Sample:
    label_key, angle_key, noise_key = jax.random.split(key, 3)
    y = jax.random.bernoulli(label_key, 0.5, (n,)).astype(jnp.int32)
    angle = jax.random.uniform(angle_key, (n,), jnp.float32, 0.0, jnp.pi)
    # scikit-learn's make_moons: the second moon is the first turned and moved by (1, 0.5).
    upper = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
    lower = jnp.stack([1 - jnp.cos(angle), 0.5 - jnp.sin(angle)], axis=1)
    x = jnp.where((y == 0)[:, None], upper, lower)
    x = x + 0.1 * jax.random.normal(noise_key, (n, 2), jnp.float32)
    # The moons fill [-1, 2] x [-0.5, 1]; bring that to [-1, 1] x [-1, 1].
    centre, half = jnp.array([0.5, 0.25]), jnp.array([1.5, 0.75])
    return (x - centre[None, :]) / half[None, :], y


@_add("two_moons_rotated", 2, "two moons turned by a random angle", random=True)
def _two_moons_rotated(task_key: PRNGKeyArray, key: PRNGKeyArray, n: int) -> _Sample:
    x, y = _two_moons(task_key, key, n)
    angle = jax.random.uniform(task_key, (), jnp.float32, 0.0, 2 * jnp.pi)
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    return x @ jnp.array([[cosine, sine], [-sine, cosine]]), y


@_add("concentric_circles", 4, "four circles of radius 0.4, 0.8, 1.2 and 1.6 with noise")
def _concentric_circles(task_key: PRNGKeyArray, key: PRNGKeyArray, n: int) -> _Sample:
    label_key, angle_key, noise_key = jax.random.split(key, 3)
    y = jax.random.randint(label_key, (n,), 0, 4, jnp.int32)
    angle = jax.random.uniform(angle_key, (n,), jnp.float32, 0.0, 2 * jnp.pi)
    radius = 0.4 * (y + 1).astype(jnp.float32)
    x = radius[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
    return x + 0.07 * jax.random.normal(noise_key, (n, 2), jnp.float32), y


@_add("spiral", 2, "two arms of one and a half turns with noise")
def _spiral(task_key: PRNGKeyArray, key: PRNGKeyArray, n: int) -> _Sample:
    label_key, place_key, noise_key = jax.random.split(key, 3)
    y = jax.random.bernoulli(label_key, 0.5, (n,)).astype(jnp.int32)
    # The root spreads the points evenly over the length of an arm.
    radius = jnp.sqrt(jax.random.uniform(place_key, (n,), jnp.float32, 0.02, 1.0))
    angle = 3 * jnp.pi * radius + jnp.pi * y.astype(jnp.float32)
    x = radius[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
    return x + 0.04 * jax.random.normal(noise_key, (n, 2), jnp.float32), y


def _blobs(classes: int) -> _Sampler:
    def sample(task_key: PRNGKeyArray, key: PRNGKeyArray, n: int) -> _Sample:
        label_key, noise_key = jax.random.split(key)
        centres = jax.random.uniform(task_key, (classes, 2), jnp.float32, -1.0, 1.0)
        y = jax.random.randint(label_key, (n,), 0, classes, jnp.int32)
        return centres[y] + 0.1 * jax.random.normal(noise_key, (n, 2), jnp.float32), y

    return sample


_add("blobs2", 2, "two Gaussians of deviation 0.1 at random centres", random=True)(_blobs(2))
_add("blobs5", 5, "five Gaussians of deviation 0.1 at random centres", random=True)(_blobs(5))


@_add("gaussian_quantiles", 3, "one Gaussian cut into three equally likely rings")
def _gaussian_quantiles(task_key: PRNGKeyArray, key: PRNGKeyArray, n: int) -> _Sample:
    # Points further out than 2.5 deviations would leave the unit scale, so coordinates are cut.
    x = jax.random.truncated_normal(key, -2.5, 2.5, (n, 2), jnp.float32) * 0.7
    # |x|^2 / 0.49 follows chi-square with two degrees, whose quantiles are -2 log(1 - p).
    squared = jnp.sum(x**2, axis=1) / 0.49
    first, second = -2 * jnp.log(2 / 3), -2 * jnp.log(1 / 3)
    return x, (squared > first).astype(jnp.int32) + (squared > second).astype(jnp.int32)
