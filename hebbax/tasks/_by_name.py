"""Families by name, for the command line and for recipes."""

from hebbax._arguments import check_arguments
from hebbax._errors import check_choice
from hebbax.data import TOYS
from hebbax.tasks._datasets import IMAGES, STREAMS, TABULAR, images, tabular
from hebbax.tasks._family import AbstractFamily
from hebbax.tasks._omniglot import omniglot
from hebbax.tasks._regression import sinusoids
from hebbax.tasks._stream import stream
from hebbax.tasks._toy import toy


def names() -> tuple[str, ...]:
    """All names `by_name` knows: images, tables, streams, omniglot, sinusoids, toy functions."""
    return (*IMAGES, *TABULAR, *STREAMS, "omniglot", "sinusoids", *TOYS)


def by_name(name: str, size: int | None = None, crop: int | None = None) -> AbstractFamily:
    """The task family called `name`, with the defaults of its own constructor.

    `size` and `crop` are for images only (Omniglot takes a size).

    **Raises:** `ValueError` for an unknown name or an option the family does not have; what the
    constructor raises.
    """
    check_arguments(by_name, locals())
    if name in IMAGES:
        return images(name, size=size, crop=crop)
    check_choice("task", name, names())
    if crop is not None:
        raise ValueError(f"crop must be left out, for {name} cannot be cropped; got {crop}.")
    if name == "omniglot":
        return omniglot() if size is None else omniglot(size=size)
    if size is not None:
        raise ValueError(f"size must be left out, for {name} has no pixels to resize; got {size}.")
    if name == "sinusoids":
        return sinusoids()
    if name in STREAMS:
        return stream(name)
    return tabular(name) if name in TABULAR else toy(name)
