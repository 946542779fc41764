"""Figures and tables of the papers as experiments, each with a criterion that decides."""

from hebbax.papers._experiment import Experiment as Experiment
from hebbax.papers._experiment import reproduce as reproduce
from hebbax.papers._registry import NAMES as NAMES
from hebbax.papers._registry import find as find
