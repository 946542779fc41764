"""Write what every command says of itself into the page docs/commands.md."""

import contextlib
import io
import os
from unittest import mock

from hebbax import cli
from hebbax.recipes import RECIPES

COLUMNS = "88"
EXAMPLES = {"train": next(iter(RECIPES)), "data": "fetch"}
"""Of commands whose options depend on the next word, the one that is shown."""


def setup(app):
    """Hook in `add_commands`."""
    app.connect("source-read", add_commands)


def add_commands(app, docname, source):
    """Append all commands to the page `commands`."""
    if docname == "commands":
        source[0] += "\n" + "\n".join(_section(name) for name in cli.COMMANDS)


def _section(name):
    lines = [f"## hebbax {name}", "", *_help(name)]
    if name in EXAMPLES:
        lines += _help(name, EXAMPLES[name])
    return "\n".join(lines)


def _help(*words):
    # Frames are drawn where the stream says that it can show them.
    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with mock.patch.dict(os.environ, COLUMNS=COLUMNS), contextlib.redirect_stdout(printed):
        cli.main([*words, "--help"])
    printed.seek(0)
    call = " ".join(["hebbax", *words, "--help"])
    return [f"```text\n$ {call}\n{printed.read().rstrip()}\n```", ""]
