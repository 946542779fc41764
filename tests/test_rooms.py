"""The house: imports go one way, and what has an underscore is its room's own."""

import ast
import graphlib
from pathlib import Path

import hebbax

PACKAGE = Path(hebbax.__file__).parent


def module_name(file):
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def imported(name):
    """Return the modules that a module imports, wherever in it and whatever for."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in MODULES}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                found |= {inside if inside in MODULES else node.module} & MODULES.keys()
    return found - {name}


IMPORTS = {name: imported(name) for name in MODULES}


def room(name):
    """Return the room of a module: the first package or module below `hebbax`."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def rooms():
    found = {}
    for name, others in IMPORTS.items():
        found.setdefault(room(name), set()).update({room(o) for o in others} - {room(name)})
    return found


def test_no_circle_of_modules():
    graphlib.TopologicalSorter(IMPORTS).prepare()


def test_no_circle_of_rooms():
    graph = rooms()
    both = {(a, b) for a in graph for b in graph[a] if a in graph.get(b, ()) and a < b}
    assert not both, f"rooms that import each other: {sorted(both)}"
    graphlib.TopologicalSorter(graph).prepare()


def test_circles_are_found():
    """The two tests above can fail."""
    try:
        graphlib.TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()
    except graphlib.CycleError:
        return
    raise AssertionError


def test_rooms_keep_their_own():
    """From another room, only what has no underscore is imported."""
    taken = [
        f"{name} imports {other}"
        for name, others in IMPORTS.items()
        for other in others
        if room(name) != room(other) and any(part.startswith("_") for part in other.split(".")[2:])
    ]
    assert not taken


def test_teachers_serve_recipes():
    """What teaches one rule is known to recipes alone."""
    known = {
        room(name) for name, others in IMPORTS.items() for o in others if room(o) == "teachers"
    }
    assert known - {"teachers"} <= {"recipes"}
