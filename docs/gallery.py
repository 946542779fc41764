"""Write docs/results/README.md, the gallery of all results, from the results themselves.

python docs/gallery.py
"""

import json
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
HEAD = """\
# Results

Figures of the papers, made again. Each was written by the command under it, on the machine that its
`result.json` names; the claim is the paper's, and whether it holds was decided by the program, by
the rule stated; [what each is worth](verdicts.md) says how far from the paper it is. `data.csv`
beside each picture holds the numbers. This page is written by `python docs/gallery.py`.
"""


def main() -> None:
    """Write the page."""
    results = {
        path.parent.relative_to(RESULTS).as_posix(): json.loads(path.read_text())
        for path in sorted(RESULTS.glob("*/*/result.json"))
    }
    lines = [HEAD, "| experiment | figure | holds | minutes |", "|---|---|---|---|"]
    for name, result in results.items():
        anchor = name.replace("/", "")
        minutes = result["seconds"]["wall"] / 60
        lines.append(
            f"| [{name}](#{anchor}) | {result['source']} | {_holds(result)} | {minutes:.0f} |"
        )
    for name, result in results.items():
        lines += [
            "",
            f"## {name}",
            "",
            f"![{name}]({name}/figure.png)",
            "",
            result["shows"],
            "",
            f"- {result['source']}. Claim: {result['claim']}",
            f"- Holds: **{_holds(result)}**. Decided by: {result['criterion']}.",
            f"- `{result['command']}`, {result['budget']} budget.",
        ]
    (RESULTS / "README.md").write_text("\n".join(lines) + "\n")


def _holds(result: dict) -> str:
    """Return whether the claim holds; a smoke test, whose `holds` is null, says nothing of it."""
    return {True: "yes", False: "no", None: "smoke test only"}[result["holds"]]


if __name__ == "__main__":
    main()
