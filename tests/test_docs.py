"""What the README and the pages say to type can be typed, and names in their tables exist.

The tutorials' cells run when the pages are built (`make docs`), which fails if one of them does.
"""

import re
import shlex
from pathlib import Path

import jax
import pytest

import hebbax as hx
from hebbax import analysis, cli

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
# The README is tested in test_readme.py, but for what it says to type.
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
TYPED = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]
FENCED = re.compile(r"^```(.*?)\n(.*?)^```", re.DOTALL | re.M)
PLACEHOLDER = re.compile(r"\b[A-Z]{2,}\b|…|\.\.\.")


def _blocks(kind, paths=PAGES):
    return [
        (path, body)
        for path in paths
        for name, body in FENCED.findall(path.read_text(encoding="utf-8"))
        if name.strip() == kind
    ]


def _id(value):
    return value.name if isinstance(value, Path) else None


@pytest.mark.parametrize(("path", "block"), _blocks("python"), ids=_id)
def test_python_block_runs(path, block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, str(path), "exec"), {})


@pytest.mark.parametrize(("path", "cell"), _blocks("{code-cell} python3"), ids=_id)
def test_cell_is_python(path, cell):
    compile(cell, str(path), "exec")


def _commands():
    """Return the lines that begin with `hebbax`, of blocks and in running text."""
    found = {}
    for path in TYPED:
        text = path.read_text(encoding="utf-8")
        lines = [line for kind in ("", "bash", "sh") for _, body in _blocks(kind, [path])
                 for line in body.splitlines()]  # fmt: skip
        plain = FENCED.sub("", text)
        lines += [" ".join(code.split()) for code in re.findall(r"`(hebbax [^`]+)`", plain)]
        for line in lines:
            if line.startswith("hebbax ") and not PLACEHOLDER.search(line.partition("#")[0]):
                found.setdefault(line, path)
    return found


@pytest.mark.parametrize("line", _commands())
def test_command_is_understood(line):
    words = shlex.split(line, comments=True)[1:]
    if len(words) == 1 and not words[0].startswith("-"):
        # Running text may speak of a command without all that it needs.
        words.append("--help")
    asks_for_help = "--help" in words
    assert (cli._read(words) is None) == asks_for_help


@pytest.mark.parametrize("path", TYPED, ids=_id)
def test_what_make_and_python_are_told_exists(path):
    text = path.read_text(encoding="utf-8")
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    fenced = "".join(body for _, body in FENCED.findall(text))
    for target in [
        *re.findall(r"^make ([\w-]+)", fenced, re.M), *re.findall(r"`make ([\w-]+)", text)
    ]:  # fmt: skip
        assert target in targets, target
    for file in re.findall(r"\bpython ((?:docs|examples|benchmarks)/[\w/]+\.py)", text):
        assert (ROOT / file).is_file(), file
    for file in re.findall(r"`((?:docs|examples|benchmarks)/[\w/-]+\.\w+)`", text):
        assert (ROOT / file).is_file(), file


def _public():
    for module, prefix in (
        (hx, ""), (hx.tasks, "tasks."), (hx.methods, "methods."), (hx.objectives, "objectives."),
        (hx.zoo, "zoo."), (hx.data, "data."), (hx.losses, "losses."), (analysis, "analysis."),
    ):  # fmt: skip
        for name in dir(module):
            thing = getattr(module, name)
            home = getattr(thing, "__module__", "")
            # A package shows names of its modules; a module has names that it only uses.
            whole = hasattr(module, "__path__") and module is not hx.zoo
            mine = home.startswith("hebbax") if whole else home == module.__name__
            if mine and not name.startswith("_"):
                yield prefix + name, thing


# What other rooms take from a facade, and users have no need of.
FOR_ROOMS = {
    "tasks.check_counts", "tasks.prepare", "methods.Lives", "methods.finite",
    "methods.mean_of_finite", "data.source", "data.stratified", "data.toy_function",
}  # fmt: skip
# What `tasks.xyz()` returns is documented by the function.
RETURNED = r"tasks\.(?!Abstract)\w+Family"


def test_every_public_name_is_in_the_api():
    text = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "api").glob("*.md"))
    listed = set(re.findall(r":: hebbax\.([\w.]+)", text))
    public = {name for name, _ in _public()} - FOR_ROOMS
    missing = sorted(n for n in public if n not in listed and not re.fullmatch(RETURNED, n))
    assert missing == []


SYSTEMS = {
    "blur": (
        hx.Blur(
            synapse_normalization={"learn": True}, learn_synapse_gain=True, oja="first",
            saturation="tanh", forward_update=0.0, noise=0.1, self_regulation=True,
        ),
        (3, 4, 2),
    ),
    "vsml": (hx.Vsml(coordinates=("input",)), (3, 2)),
    "unsupervised": (hx.UnsupervisedRule(top_units=2), (3, 4, 2)),
}  # fmt: skip


@pytest.mark.parametrize("page", SYSTEMS)
def test_names_in_the_symbol_table_exist(page, key):
    rule, sizes = SYSTEMS[page]
    theta = jax.eval_shape(rule.init, key)
    net = jax.eval_shape(lambda: rule.init_network(rule.init(key), key, sizes))
    text = (DOCS / "how" / f"{page}.md").read_text(encoding="utf-8")
    rows = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    names = re.findall(r"`theta\.([\w.]+)", rows)
    assert len(names) > 5
    for name in names:
        node = theta
        for part in name.split("."):
            node = getattr(node, part)
        assert node is not None, name
    for name in re.findall(r"`net\.layers\[[^\]]+\]\.(\w+)", rows):
        assert getattr(net.layers[-1], name) is not None, name
    fields = rule.__dataclass_fields__
    for name in re.findall(rf"{type(rule).__name__}\((\w+)=", rows):
        assert name in fields
    for name in re.findall(r"with `(\w+)(?:=[^`]*)?`", rows):
        assert name in fields, name
