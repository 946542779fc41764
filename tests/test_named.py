"""Whether what the package's texts name by its full name is there."""

import importlib
import re
from pathlib import Path

import hebbax as hx

ROOT = Path(hx.__file__).resolve().parent
NAMED = re.compile(r"(?<![\w/.-])hebbax(?:\.[A-Za-z_]\w*)+")
FILES = {".npz", ".html", ".readthedocs"}


def _there(name: str) -> bool:
    found = hx
    for end, part in enumerate(name.split(".")[1:], start=2):
        try:
            found = getattr(found, part)
        except AttributeError:
            try:
                found = importlib.import_module(".".join(name.split(".")[:end]))
            except ImportError:
                return False
    return True


def test_every_full_name_in_the_package_exists():
    missing = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in ROOT.rglob("*.py")
        for name in NAMED.findall(path.read_text())
        if not _there(name)
    }
    assert not missing


def test_a_name_that_does_not_exist_is_found():
    assert not _there("hebbax.objectives.Nothing")
