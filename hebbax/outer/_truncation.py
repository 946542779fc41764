"""`Truncation`: how lifetimes are cut into pieces, and how the pieces grow."""

from typing import Annotated

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from hebbax._options import AT_LEAST_1, NOT_NEGATIVE, check_options

Range = int | tuple[int, int]


class Truncation(eqx.Module):
    """A schedule of unroll lengths and of numbers of truncations in a lifetime.

    **Arguments:**

    - `unroll`: updates in a truncation: a number, or a range (low, high), both included, of which
      one is drawn uniformly at every meta-step.
    - `count`: truncations in a lifetime; None for as many as make up the objective's `steps`,
      which `unroll` must divide then.
    - `spread`: standard deviation of the number of truncations, as a share of `count`; a lifetime
      has at least one (1 in Metz et al., whose numbers are drawn from a normal distribution).
    - `final_unroll`, `unroll_growth`: the range after that many meta-steps, to which it grows
      linearly; None for no growth.
    - `final_count`, `count_growth`: likewise for the number of truncations.

    Metz et al. use `Truncation((2, 4), 20, spread=1.0, final_unroll=(8, 15),
    unroll_growth=50_000, final_count=20_000, count_growth=5_000)`.

    **Raises:** `ValueError` for settings out of range.
    """

    unroll: Annotated[Range, AT_LEAST_1] = eqx.field(static=True)
    count: Annotated[int, AT_LEAST_1] | None = eqx.field(static=True, default=None)
    spread: Annotated[float, NOT_NEGATIVE] = eqx.field(static=True, default=0.0)
    final_unroll: Annotated[Range, AT_LEAST_1] | None = eqx.field(static=True, default=None)
    unroll_growth: int = eqx.field(static=True, default=0)
    final_count: Annotated[int, AT_LEAST_1] | None = eqx.field(static=True, default=None)
    count_growth: int = eqx.field(static=True, default=0)

    def __check_init__(self) -> None:
        """Refuse empty ranges, and growth that has no end."""
        check_options(self)
        for name in ("unroll", "final_unroll"):
            value = getattr(self, name)
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ValueError(
                    f"{name} must be a range (low, high) that is not empty; got {value}."
                )
        for final, growth in (("final_unroll", "unroll_growth"), ("final_count", "count_growth")):
            if (getattr(self, final) is not None) != (getattr(self, growth) > 0):
                raise ValueError(
                    f"{final} and {growth} belong together: got {getattr(self, final)} and "
                    f"{getattr(self, growth)}, which must be meta-steps, at least 1."
                )
        if self.count is None and (self.varies or self.spread or self.final_count is not None):
            raise ValueError(
                "count must be given where unroll is a range or grows, or spread or final_count "
                "is given: no number of truncations makes up the objective's steps then."
            )

    @property
    def longest(self) -> int:
        """Updates of the longest truncation there can be."""
        return max(_pair(self.unroll)[1], _pair(self.final_unroll or self.unroll)[1])

    @property
    def varies(self) -> bool:
        """Whether truncations differ in length."""
        low, high = _pair(self.unroll)
        return low != high or self.final_unroll is not None

    @property
    def mean_unroll(self) -> float:
        """The mean length of a truncation, once grown."""
        return sum(_pair(self.final_unroll or self.unroll)) / 2

    def check(self, lifetime: int) -> None:
        """Refuse a lifetime of so many updates that cannot be cut so. **Raises:** `ValueError`."""
        if self.count is None and lifetime % self.longest:
            raise ValueError(
                f"unroll must divide the objective's steps, {lifetime}; got {self.unroll}. "
                f"Or give count, the number of truncations in a lifetime."
            )

    def draw_unroll(self, key: PRNGKeyArray, step: Int[Array, ""]) -> Int[Array, ""] | None:
        """Return how long the truncations of meta-step `step` are; None if they never differ."""
        if not self.varies:
            return None
        low, high = jnp.asarray(_pair(self.unroll), float)
        if self.final_unroll is not None:
            share = jnp.minimum(step.astype(float) / self.unroll_growth, 1.0)
            final_low, final_high = _pair(self.final_unroll)
            low, high = low + share * (final_low - low), high + share * (final_high - high)
        low, high = jnp.round(low).astype(int), jnp.round(high).astype(int)
        return jax.random.randint(key, (), low, high + 1)

    def draw_count(self, key: PRNGKeyArray, step: Int[Array, ""], lifetime: int) -> Int[Array, ""]:
        """Return how many truncations a lifetime that begins at meta-step `step` has.

        `lifetime` is its length in updates.
        """
        if self.count is None:
            return jnp.asarray(lifetime // self.longest, jnp.int32)
        mean: Float[Array, ""] = jnp.asarray(self.count, float)
        if self.final_count is not None:
            share = jnp.minimum(step.astype(float) / self.count_growth, 1.0)
            mean = mean + share * (self.final_count - mean)
        drawn = mean + self.spread * mean * jax.random.normal(key, ())
        return jnp.maximum(jnp.round(drawn), 1).astype(jnp.int32)


def _pair(value: Range) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value
