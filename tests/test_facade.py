"""The public names: all there, each imported when it is first asked for."""

import ast
import subprocess
import sys
from pathlib import Path

import hebbax as hx

STUB = Path(hx.__file__).with_suffix(".pyi")
HEAVY = ("jax", "sklearn", "matplotlib", "optax", "cma", "ray")


def stubbed():
    tree = ast.parse(STUB.read_text(encoding="utf-8"))
    return {alias.name for node in tree.body for alias in node.names}  # type: ignore[attr-defined]


def test_every_public_name_is_there():
    assert set(dir(hx)) >= stubbed()
    for name in stubbed():
        assert getattr(hx, name) is not None


def imported_by(program):
    """Return the packages that a program imports in a process of its own."""
    code = f"import sys\n{program}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_is_cheap():
    assert not imported_by("import hebbax").intersection(HEAVY)


def test_the_command_line_starts_without_jax():
    assert not imported_by("import hebbax.cli").intersection(HEAVY)
