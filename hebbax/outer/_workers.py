"""Others who carry out meta-steps in this process's place."""

from typing import Any, Protocol, runtime_checkable

from hebbax.outer.engines import AbstractEngine, Setup


@runtime_checkable
class Workers(Protocol):
    """What `meta_train(workers=...)` asks of those who compute in its place."""

    def check(self, setup: Setup) -> None:
        """Refuse what they cannot do, before anything is written. **Raises:** `ValueError`."""
        ...

    def engine(self, setup: Setup) -> AbstractEngine[Any]:
        """Return the engine that carries out a setup's meta-steps."""
        ...

    def settings(self) -> dict[str, Any]:
        """Return what of their settings decides results, as JSON has it."""
        ...
