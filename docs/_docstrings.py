"""Turn the docstrings, which are Markdown of a plain kind, into what Sphinx reads.

They hold bold headings, lists and names in backticks. Sphinx reads reStructuredText, where code
has two backticks and `|`, `*` and `_` mean more. A name of the public interface becomes a link.
"""

import re

import hebbax

_CODE = re.compile(r"`([^`\n]+(?:\n\s*[^`\n]+)?)`")
_MEANS_MORE = re.compile(r"(?<!\*)\*(?!\*)|\||(?<=\w)_(?!\w)|\\")
_MARKED = re.compile(r"(\*\*[^*\n]+\*\*|(?<!\w)\*\w[^*\n]*\w\*(?!\w))")
_KEY = "Key[Array, ''] | UInt32[Array, '2'] | UInt32[Array, '4']"
_PUBLIC = {name for name in dir(hebbax) if name[:1].isupper()} | {
    "evaluate",
    "evaluate_online",
    "meta_train",
    "save_rule",
    "load_rule",
    "unroll",
}


def setup(app):
    """Hook in `convert` and `shorten`."""
    app.connect("autodoc-process-docstring", convert)
    app.connect("autodoc-process-signature", shorten)


def shorten(app, what, name, obj, options, signature, returned):
    """Give types in signatures the names that they have in the code."""

    def short(text):
        if text is None:
            return None
        text = text.replace("jaxlib._jax.Array", "Array").replace("~numpy.ndarray", "np.ndarray")
        return text.replace(_KEY, "PRNGKeyArray")

    return short(signature), short(returned)


def convert(app, what, name, obj, options, lines):
    """Replace the lines of a docstring by reStructuredText."""
    text = _to_rest("\n".join(lines), own=name.rpartition(".")[2])
    lines[:] = text.split("\n")


def _to_rest(text, own=""):
    parts, end = [], 0
    for match in _CODE.finditer(text):
        parts.append(_plain(text[end : match.start()]))
        before = text[match.start() - 1 : match.start()]
        after = text[match.end() : match.end() + 1]
        code = _code(" ".join(match.group(1).split()), own)
        # Where code touches a letter, reST wants an escaped space between them.
        left = "\\ " if before and not re.match(r"[\s'\"(\[{<\-/:]", before) else ""
        right = "\\ " if after and not re.match(r"[\s'\")\]}>\-/\\:.,;!?]", after) else ""
        parts.append(f"{left}{code}{right}")
        end = match.end()
    return "".join([*parts, _plain(text[end:])])


def _code(code, own):
    name = code.removeprefix("hx.").removeprefix("hebbax.")
    if name in _PUBLIC and name != own:
        return f":py:obj:`{name} <hebbax.{name}>`"
    return f"``{code}``"


def _plain(text):
    """Escape what means more in reST, but for bold headings and emphasis."""
    parts = _MARKED.split(text)
    return "".join(
        part if index % 2 else _MEANS_MORE.sub(lambda m: "\\" + m.group(), part)
        for index, part in enumerate(parts)
    )
