# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench-report`: the newest whole result of each scenario, as a table and a plot in docs/."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from . import results
from .results import HEAD, ROOT, Result, Row

PAGE = ROOT / "docs" / "speed.md"
PLOT = ROOT / "docs" / "speed.svg"
BEGIN, END = "<!-- figures: made by `make bench-report` -->", "<!-- end of figures -->"
OURS, BY_HAND, LIMIT = "#3b7a57", "#c9a227", "#b03030"


def main(arguments: list[str]) -> int:
    """Write both; return the exit status."""
    path = Path(arguments[0]) if arguments else results.FILE
    try:
        newest = latest(results.read(path))
    except FileNotFoundError:
        newest = []
    if not newest:
        print(f"bench-report: {path} has no result of a whole run: `make bench` makes them", file=sys.stderr)
        return 1
    page = PAGE.read_text(encoding="utf-8")
    before, found, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        print(f"bench-report: {PAGE.name} lacks the line {BEGIN} or {END}", file=sys.stderr)
        return 1
    PAGE.write_text(f"{before}{BEGIN}\n\n{figures(newest)}\n{END}{after}", encoding="utf-8")
    plot(newest, PLOT)
    print(f"bench-report: {len(newest)} scenarios in docs/{PAGE.name} and docs/{PLOT.name}")
    return 0


def latest(found: list[Result]) -> list[Result]:
    """Return the newest result of each scenario that was run in full, on the machine of the last of them."""
    whole = [result for result in found if not result.quick]
    newest = {result.scenario: result for result in whole if result.machine == whole[-1].machine}
    return list(newest.values())


def figures(newest: list[Result]) -> str:
    """Return the tables in Markdown."""
    machine = newest[-1].machine
    lines = [f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, Linux {machine['kernel']}.", ""]
    for result in newest:
        load = f"load {result.load[0]:g} before"
        lines += [
            f"**{result.scenario}** ({result.at} UTC, {result.commit}, {load}, {result.seconds / 60:.0f} min)",
            "",
        ]
        lines += [line(HEAD), line(("---",) + ("--:",) * 5 + ("---",))]
        lines += [*map(line, result.table()), ""]
    missed = [f"- {result.scenario}: {row.what}" for result in newest for row in result.missed]
    lines += ["Not within its limit:", "", *missed, ""] if missed else ["All are within their limits.", ""]
    return "\n".join(lines)


def line(cells: tuple[str, ...]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def plot(newest: list[Result], path: Path) -> None:
    """Draw how many times its floor each figure is, and what it may be."""
    rows: list[tuple[str, Row | None]] = []
    for result in newest:
        shown = [row for row in result.rows if row.ratio is not None]
        rows += [(result.scenario, None), *((row.what, row) for row in shown)] if shown else []
    # The same input gives the same file; text stays text.
    mpl.rcParams.update({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 9})
    figure = Figure(figsize=(9, 0.8 + 0.26 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    for place, (what, row) in enumerate(rows):
        if row is not None and row.ratio is not None and row.floor:
            axes.barh(place, row.ratio, height=0.7, color=BY_HAND if "by hand" in what else OURS)
            axes.text(row.ratio, place, f" {row.ratio:.2f}", va="center")
            if row.allowed is not None:
                allowed = row.allowed / row.floor
                axes.plot([allowed, allowed], [place - 0.45, place + 0.45], color=LIMIT, linewidth=2)
    axes.set_yticks(range(len(rows)), [what for what, _ in rows])
    axes.tick_params(left=False)
    for label, (_, row) in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_fontweight("normal" if row else "bold")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.axvline(1, color="black", linewidth=0.8, linestyle=":")
    axes.set_xlabel("times the floor (dotted); red: what it may be; yellow: by hand")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.08)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
