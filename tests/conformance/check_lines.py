#!/usr/bin/env python3
"""Looks whether everything that the tables here name is there, and whether everything that is there is named.

usage: check_lines.py EXECUTABLE PROJECT TABLE...
A table is what lines.txt describes at its head.
"""

import re
import subprocess
import sys
from pathlib import Path


def rows_of(table):
    """(source, targets) of each row."""
    joined = re.sub(r"\n +", " ", re.sub(r"^#.*\n", "", table.read_text(encoding="utf-8"), flags=re.M))
    for row in filter(None, joined.splitlines()):
        source, arrow, targets = row.partition(" => ")
        yield source, [target.strip() for target in targets.split(" | ")] if arrow else []


def tests_of(executable):
    """The names of its test cases; Catch2 2 and 3 are asked in different words."""
    for question in (["--list-test-names-only"], ["--list-tests", "--verbosity", "quiet"]):
        answer = subprocess.run([executable, *question], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                universal_newlines=True, check=False).stdout
        names = [line.strip() for line in answer.splitlines() if line.strip()]
        if len(names) > 1:
            return names
    sys.exit(f"{executable} does not tell its tests")


def problem_of(target, names, project):
    kind, _, rest = target.partition(": ")
    if kind == "compile_fail":
        file, case = rest.split()
        source = project / "tests/abi/compile_fail" / f"{file}.cpp"
        if not re.search(rf"\b{case}\b", source.read_text(encoding="utf-8")):
            return f"{source} has no {case}"
    elif kind == "file":
        return None if (project / rest).is_file() else f"there is no {rest}"
    elif kind == "none":
        return None if len(rest.split()) > 3 else "what is not tested needs a reason"
    elif target not in names:
        return f'there is no test case "{target}"'
    return None


def main(executable, project, *tables):
    names, named, count, problems = tests_of(executable), set(), 0, []
    for table in map(Path, tables):
        for source, targets in rows_of(table):
            count += 1
            named.update(targets)
            found = [problem_of(target, names, Path(project)) for target in targets] or ["names no test"]
            problems += [f"{table.name}: {source}: {problem}" for problem in found if problem]
    problems += [f'no table names the test case "{name}"' for name in names if name not in named]
    problems += [f'two test cases are called "{name}"' for name in set(names) if names.count(name) > 1]
    print("\n".join(problems) or f"{count} lines, {len(names)} test cases")
    return 1 if problems or not count else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
