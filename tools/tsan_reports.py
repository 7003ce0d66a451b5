"""Reads the reports of ThreadSanitizer in a directory, and keeps those that concern libpyattach or its tests.

CPython has races of its own, which a suppression can name; but not "unless the other thread is in libpyattach". So there
is no such suppression, and this looks at both sides: a race goes if both accesses are CPython's own, the innermost
function of each being one of its; and a thread that nobody joins, if CPython made it. All else stays.

usage: tsan_reports.py DIRECTORY
"""

import re
import sys
from pathlib import Path

RULE = "=" * 18 + "\n"
SIDE = re.compile(r"\s+(?:Previous )?(?:atomic )?(?:read|write) of size |\s+Thread T\d+ .*created by", re.IGNORECASE)
FRAME = re.compile(r"^\s+#\d+ (.*)$", re.MULTILINE)
# python3.13 is the executable, which holds nothing, or all there is. An extension module is CPython's by its underscore; any other may have our
# headers' functions inside.
CPYTHON = re.compile(r"\((libpython|python3|_\w+\.cpython-)[^()]*\+0x")


def is_of_cpython(side):
    """Whether the innermost function is CPython's, but for what the sanitizer puts before libc's."""
    frames = [frame for frame in FRAME.findall(side) if " <null> " not in frame]
    return bool(frames) and CPYTHON.search(frames[0]) is not None


def concerns_us(report):
    title, _, rest = report.partition("\n")
    sides = [part for part in rest.split("\n\n") if SIDE.match(part)]
    if "data race" in title:
        sides = sides[:2]
        return len(sides) < 2 or not all(map(is_of_cpython, sides))
    return not ("thread leak" in title and sides and is_of_cpython(sides[0]))


def main():
    dropped = 0
    for path in sorted(Path(sys.argv[1]).iterdir()):
        blocks = path.read_text(errors="replace").split(RULE)
        reports = [block for block in blocks if block.startswith("WARNING: ThreadSanitizer:")]
        ours = [report for report in reports if concerns_us(report)]
        dropped += len(reports) - len(ours)
        if ours:
            path.write_text("".join(RULE + report for report in ours))
        elif reports:
            path.unlink()
    print(f"{dropped} reports are of CPython alone, and not counted")


if __name__ == "__main__":
    main()
