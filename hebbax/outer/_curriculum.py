"""`Curriculum`: lifetimes that grow longer stage by stage."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated

from hebbax._options import AT_LEAST_1, check_option
from hebbax.outer.objectives import AbstractObjective


@dataclasses.dataclass(frozen=True)
class Curriculum:
    """An objective whose lifetimes grow (BLUR sec. 4.2), for the place of one in `meta_train`.

    **Arguments:**

    - `objective`: what a lifetime is judged by; its `steps` are replaced.
    - `unrolls`: updates in a lifetime, for each stage.
    - `every`: meta-steps in each stage; the last goes on to the end.
    - `synchronize`: at the end of a stage, go on with copies of the run whose validation loss is
      lowest. Runs meet different tasks and batches then, so that copies do not stay the same.

    A method's truncations are cut from these lifetimes. The best θ so far is judged anew at the
    beginning of each stage, so that later ones are compared with it on equal terms.

    **Raises:** `ValueError` for settings out of range.
    """

    objective: AbstractObjective
    unrolls: Sequence[int]
    every: int
    synchronize: bool = True

    def __post_init__(self) -> None:
        """Refuse a curriculum without stages."""
        object.__setattr__(self, "unrolls", tuple(self.unrolls))
        check_option("unrolls", self.unrolls, Annotated[tuple[int, ...], AT_LEAST_1])
        if not self.unrolls:
            raise ValueError("unrolls must hold at least one number of updates; got ().")
        check_option("every", self.every, Annotated[int, AT_LEAST_1])
        check_option("synchronize", self.synchronize, bool)

    def stage(self, step: int) -> int:
        """Return the index of the stage that the meta-step of index `step` belongs to."""
        return min(step // self.every, len(self.unrolls) - 1)

    def end(self, stage: int) -> int | None:
        """Return the first meta-step after a stage; None for the last stage."""
        return None if stage == len(self.unrolls) - 1 else (stage + 1) * self.every

    def at(self, stage: int) -> AbstractObjective:
        """Return the objective of a stage."""
        unroll = self.unrolls[stage]
        if unroll == self.objective.steps:
            return self.objective
        return dataclasses.replace(self.objective, steps=unroll)
