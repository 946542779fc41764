"""`Prequential`: what is predicted before it is learnt from, as in a stream."""

from typing import Any

import equinox as eqx

from hebbax.inner import unroll
from hebbax.outer.objectives._online import OnlineLoss
from hebbax.rules import AbstractRule


class Prequential(OnlineLoss):
    """The family's loss of what `predict` says of every batch before the network learns from it.

    As `OnlineLoss`, but for rules that normalise by stored statistics the two differ:
    `update` normalises what it returns by the batch itself, which a stream has not seen yet.
    """

    query: int = eqx.field(static=True, default=32)
    batch: int = eqx.field(static=True, default=32)

    def unroll_and_judge(self, rule, theta, net, episode, first=0, taken=None):
        """Return the network after the episode, and what its predictions were worth."""
        net, predictions = unroll(
            _Foresight(rule), theta, net, episode.x, episode.told, remat=self.remat, taken=taken
        )
        return net, self.judge(rule, theta, net, predictions, episode, first, taken)


class _Foresight(AbstractRule):
    """A rule whose `update` returns what `predict` would have said."""

    rule: AbstractRule

    def init(self, key: Any) -> Any:
        return self.rule.init(key)

    def init_network(self, theta: Any, key: Any, sizes: Any) -> Any:
        return self.rule.init_network(theta, key, sizes)

    def update(self, theta: Any, net: Any, x: Any, y: Any) -> Any:
        prediction = self.rule.predict(theta, net, x)
        return self.rule.update(theta, net, x, y)[0], prediction

    def predict(self, theta: Any, net: Any, x: Any) -> Any:
        return self.rule.predict(theta, net, x)
