"""The rule files that ship with the package, and what their headers say, read without JAX."""

import json
import math
import struct
from importlib import resources
from pathlib import Path
from typing import Any

from hebbax._card import title

FOLDER = Path(str(resources.files("hebbax"))) / "zoo"


def names() -> tuple[str, ...]:
    """Return the names of all shipped rules, such as `blur/mnist`."""
    found = FOLDER.glob("*/*.safetensors")
    return tuple(sorted(p.relative_to(FOLDER).with_suffix("").as_posix() for p in found))


def path(name: str) -> Path:
    """Return the rule file of the shipped rule `name`."""
    return FOLDER / f"{name}.safetensors"


def summary(name: str) -> dict[str, Any]:
    """Return what a list of rules says of the shipped rule `name`."""
    with path(name).open("rb") as file:
        # A safetensors file begins with the length of its header, which is JSON.
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    about = header.pop("__metadata__")
    return {
        "name": name,
        "family": about["family"],
        "states": json.loads(about["hyperparameters"]).get("states"),
        "meta_parameters": sum(math.prod(array["shape"]) for array in header.values()),
        "title": title(json.loads(about["card"])),
        "path": path(name),
    }
