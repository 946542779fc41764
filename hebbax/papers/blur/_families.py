"""Families of images by name, and what figures call them."""

import math

import hebbax as hx
from hebbax.papers.blur._images import small_mnist


def images_of(data: str) -> hx.tasks.AbstractFamily:
    """Return the images called `data`; MNIST as genomes are meta-trained on it, 10 by 10."""
    return small_mnist() if data == "mnist" else hx.tasks.images(data)


def title(data: str, family: hx.tasks.AbstractFamily) -> str:
    """Return what figures call a family of images."""
    side = math.isqrt(family.inputs)
    return f"{data.upper()} at {side} by {side}"
