"""How Sphinx builds the documentation: `make docs`."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent))

import _cards  # noqa: E402
import _commands  # noqa: E402
import _docstrings  # noqa: E402

import hebbax  # noqa: E402
from hebbax._programs import hasty_options  # noqa: E402

# Pages are executed where no data sets are: they must build on any machine.
os.environ.pop("HEBBAX_DATA", None)
os.environ["PYTHONPATH"] = str(HERE.parent)
# Every page is a process of its own and compiles its own small programs, which takes longer than
# running them.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
haste = [f"--{name}={str(value).lower()}" for name, value in (hasty_options() or {}).items()]
os.environ["XLA_FLAGS"] = " ".join([*haste, os.environ.get("XLA_FLAGS", "")]).strip()

project = "hebbax"
author = "The hebbax authors"
project_copyright = "The hebbax authors"
version = release = hebbax.__version__
language = "en_GB"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx-mathjax-offline"]
exclude_patterns = ["_build", "**/runs", "**/.*"]
# README.md in docs/results is the gallery.
source_suffix = {".md": "myst-nb"}

html_theme = "furo"
html_title = f"hebbax {version}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = False
maximum_signature_line_length = 80
add_module_names = False


def setup(app):
    """Hook in what turns docstrings into reST, and cards and commands into pages."""
    _docstrings.setup(app)
    _cards.setup(app)
    _commands.setup(app)
