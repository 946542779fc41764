"""`drifting`: families of tasks that change with time, by name."""

from hebbax._arguments import check_arguments
from hebbax._errors import check_choice
from hebbax.tasks._datasets import digits
from hebbax.tasks._drift import DriftingFamily
from hebbax.tasks._drifting_images import drifting_images
from hebbax.tasks._hyperplanes import HyperplaneFamily
from hebbax.tasks._mixtures import MixtureFamily

_SYNTHETIC: dict[str, type[MixtureFamily] | type[HyperplaneFamily]] = {
    "mixtures": MixtureFamily,
    "hyperplanes": HyperplaneFamily,
}
_DIGITS = {"permuted_digits": "permuted", "rotated_digits": "rotated"}
DRIFTING = (*_SYNTHETIC, *_DIGITS)


def drifting(name: str, inputs: int | None = None, outputs: int | None = None) -> DriftingFamily:
    """A family of tasks that change with time, their batches in its order.

    **Arguments:**

    - `name`: `mixtures` of Gaussians, `hyperplanes`, `permuted_digits` or `rotated_digits`, the
      8 × 8 ones of scikit-learn.
    - `inputs`, `outputs`: of mixtures (at least 2 each) and hyperplanes; 8 and 4 by default.
      Tasks have fewer features that matter, and mixtures fewer classes, than that.

    **Raises:** `ValueError` for an unknown name, or sizes that are too small or not to be chosen.
    """
    check_arguments(drifting, locals())
    check_choice("drifting family", name, DRIFTING)
    if name in _DIGITS:
        if inputs is not None or outputs is not None:
            raise ValueError(f"{name} has 64 inputs and 10 outputs; got {inputs} and {outputs}.")
        return drifting_images(digits(), "rotated" if name == "rotated_digits" else "permuted")
    sizes = {
        "inputs": 8 if inputs is None else inputs,
        "outputs": 4 if outputs is None else outputs,
    }
    for what, size in sizes.items():
        if size < 2:
            raise ValueError(f"{what} must be at least 2; got {size}.")
    label = f"{name},{sizes['inputs']}-{sizes['outputs']}"
    return _SYNTHETIC[name](name=label, inputs=sizes["inputs"], outputs=sizes["outputs"])
