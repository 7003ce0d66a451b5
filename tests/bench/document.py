#!/usr/bin/env python3
"""Writes what runs measured into a page, between two marks, and prints one table over all of them.

    document.py EVIDENCE PAGE COUNTS RESULTS.json...

PAGE (docs/performance.md) gets every table. EVIDENCE (docs/evidence.md) gets one table, of the first run with each Python,
and the last picture of those. COUNTS is a file with what the test of instruction counts prints. The pictures are put
beside PAGE, which is in the same directory as EVIDENCE.
"""

import json
import re
import sys
from pathlib import Path

import plot
import report

BEGIN, END = "<!-- measured: written by tools/bench --document -->", "<!-- end of what is written -->"
# A line of the table over all runs: what, the row, the row it is held against.
SUMMARY = [("nested attach", "nested", "C API"),
           ("nested attach, on a thread that Python attached", "nested, Python thread", "C API"),
           ("attach, native thread", "attach", "C API"),
           ("the same, against a state kept by hand", "attach", "kept state"),
           ("attach and call a Python function", "attach and call", "C API"),
           ("the same, against a state kept by hand", "attach and call", "kept state"),
           ("first attach of a thread, and its end", "first attach", "C API"),
           ("detach and attach again", "detach", "C API"),
           ("the same, on a thread that Python attached", "detach, Python thread", "C API"),
           ("give a reference back, not attached", "drop", "C API"),
           ("worst attach after 1000000 drops", "worst attach after 1000000 drops", "mutex pool")]


def summary(runs):
    """libpyattach and what it is held against, in nanoseconds, and how many times faster or slower it is."""
    body = []
    for what, job, against in SUMMARY:
        line = [what]
        for run in runs:
            row = report.medians(run).get(job, {})
            if against not in row or "pyattach" not in row:
                line.append("")
                continue
            times = row[against] / row["pyattach"]
            said = f"{times:.0f} x faster" if times >= 10 else f"{times:.1f} x faster" if times >= 1.05 else \
                f"{1 / times:.2f} x as long" if times < 0.95 else "the same"
            line.append(f"{plot.text_of(row['pyattach'])} : {plot.text_of(row[against])}, {said}")
        body.append(line)
    return report.table(["libpyattach : " + "C API or other"] + [title(run) for run in runs], body)


def title(run):
    about = run["about"]
    return f"{about['python']} {about['kind']}, {about['mode']}"


def section(run, picture):
    return "\n\n".join([report.heading(run), f"![{title(run)}]({picture})", report.table_of_targets(run),
                        report.table_of_medians(run)])


def write(path, text, begin=BEGIN):
    """A page may have several marks to begin at; what is written there ends at the next mark of an end."""
    marked = re.escape(begin) + ".*?" + re.escape(END)
    whole, written = re.subn(marked, lambda _: f"{begin}\n\n{text}\n\n{END}", path.read_text(), flags=re.DOTALL)
    if written != 1:
        sys.exit(f"{path} has not the marks to write between")
    path.write_text(whole)


def picture_of(run):
    return f"performance-{run['about']['name']}-{run['about']['mode']}.svg"


def main(evidence, page, counts, paths):
    evidence, page = Path(evidence), Path(page)
    runs = [json.loads(Path(path).read_text()) for path in paths]
    for run in runs:
        plot.draw(run, page.parent / picture_of(run))
    first = list({run["about"]["name"]: run for run in reversed(runs)}.values())[::-1]
    instructions = "### Instructions\n\n```\n" + Path(counts).read_text().strip() + "\n```"
    write(page, "\n\n".join([summary(runs), instructions, *(section(run, picture_of(run)) for run in runs)]))
    picture = f"![{title(first[-1])}]({picture_of(first[-1])})"
    write(evidence, "\n\n".join([summary(first), picture]))
    print(summary(runs))


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
