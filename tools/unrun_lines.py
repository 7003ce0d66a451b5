#!/usr/bin/env python3
"""Says which lines no test ran although unrun_lines.txt gives no reason for it: unrun_lines.py COVERAGE.JSON.

The list names lines by their file and their text, so that it does not have to follow each change: a line "FILE: TEXT",
indented below it the reason, which holds for all lines above it up to the reason before. Lines that are run although they
are listed are no mistake: which ways a thread goes is often a matter of time.
"""
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def reasons():
    found, waiting = {}, []
    for line in (HERE / "unrun_lines.txt").read_text().splitlines():
        if line.startswith(" "):
            found.update((entry, line.strip()) for entry in waiting)
        elif line and not line.startswith("#"):
            if found.keys() & set(waiting):
                waiting = []
            waiting.append(line)
    return found


def unrun(coverage):
    for file in json.loads(Path(coverage).read_text())["files"]:
        text = (HERE.parent / file["file"]).read_text().splitlines()
        runs = {}
        for line in file["lines"]:  # of each function that the compiler made of it
            if not line.get("gcovr/noncode"):
                runs[line["line_number"]] = max(line["count"], runs.get(line["line_number"], 0))
        for number in sorted(number for number, count in runs.items() if count == 0):
            yield f"{file['file']}: {text[number - 1].strip()}", f"{file['file']}:{number}"


def main(coverage):
    known, missing = reasons(), []
    lines = list(unrun(coverage))
    for entry, place in lines:
        if entry not in known:
            missing.append(f"{place}: {entry.split(': ', 1)[1]}")
    print(f"{len(lines)} lines were not run, {len(missing)} of them without a reason in tools/unrun_lines.txt")
    print("".join(f"NOT RUN: {line}\n" for line in missing), end="")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
