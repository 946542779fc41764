"""Write the cards of the shipped rules, which their files hold, into the page docs/cards.md."""

import json

import hebbax

MOST = 8
"""Columns of a table of results; of more numbers of updates, as many are shown."""
AXES = ("updates", "examples")


def setup(app):
    """Hook in `add_cards`."""
    app.connect("source-read", add_cards)


def add_cards(app, docname, source):
    """Append all cards to the page `cards`."""
    if docname == "cards":
        source[0] += "\n" + "\n".join(_card(name) for name in hebbax.zoo.list())


def _card(name):
    rule, card = hebbax.zoo.load(name)[0], hebbax.zoo.card(name)
    lines = [f"## {name}", "", f"{card['title']}.", ""]
    facts = {
        "family": f"{{py:obj}}`{type(rule).__name__} <hebbax.{type(rule).__name__}>`",
        "made with": f"`{card['made_with']}`",
        "meta-trained on": ", ".join(f"`{family}`" for family in card.get("families", ())),
        "meta-steps": f"{card['meta_steps']:,}" if "meta_steps" in card else "",
        "seen to last": f"{card['measured_updates']:,} updates",
        "measured with": card.get("measured_with", ""),
        "baselines": card.get("baselines", ""),
    }
    lines += ["| | |", "|---|---|"]
    lines += [f"| {what} | {text} |" for what, text in facts.items() if text]
    lines += ["", "**Limits**", "", *(f"- {limit}" for limit in card.get("limits", ())), ""]
    lines += ["**Results**", ""]
    for result in card.get("results", ()):
        lines += _result(result)
    return "\n".join([*lines, ""])


def _result(result):
    axis = next(name for name in AXES if name in result)
    points = result[axis]
    chosen = range(len(points))
    if len(points) > MOST:
        chosen = [round(i * (len(points) - 1) / (MOST - 1)) for i in range(MOST)]
    rows, singles = {}, {}
    _collect(result, "", len(points), rows, singles)
    where = result["data"] + "".join(
        f", {key} {json.dumps(result[key])}" for key in ("depth", "size", "hidden") if key in result
    )
    head = " | ".join(f"{points[i]:,}" for i in chosen)
    lines = [f"On {where}, after so many {axis}:", "", f"| | {head} |"]
    lines += ["|---" * (len(chosen) + 1) + "|"]
    for name, values in rows.items():
        lines.append(f"| {name} | " + " | ".join(_number(values[i]) for i in chosen) + " |")
    if singles:
        words = ", ".join(f"{name} {_number(value)}" for name, value in singles.items())
        lines += ["", f"And {words}."]
    return [*lines, ""]


def _collect(node, name, points, rows, singles):
    """Sort measured numbers into those of every point and single ones."""
    for key, value in node.items():
        words = f"{name}, {key}".strip(", ").replace("_", " ")
        if isinstance(value, list) and len(value) == points and any(map(_measured, value)):
            rows[words] = value
        elif _measured(value):
            singles[words] = value
        elif isinstance(value, dict):
            _collect(value, words, points, rows, singles)


def _measured(value):
    return isinstance(value, dict) and "mean" in value


def _number(value):
    if value is None:
        return "-"
    spread = value.get("std", value.get("standard_error"))
    return f"{value['mean']:.3f}" + ("" if spread is None else f" ± {spread:.3f}")
