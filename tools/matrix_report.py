"""What came of the tests that tools/matrix ran: counts, a table, why tests failed or were skipped; and the table in docs/evidence.md."""

import re
import sys
from pathlib import Path

SKIPPED = 77  # the status that Meson gave this meaning
BEGIN, END = "<!-- tested: written by tools/test --all --document -->", "<!-- end of what was tested -->"
KINDS = {"gil": "GIL", "ft": "free-threaded"}


def counts(result):
    """Passed, failed, skipped. A test is a program that may report many cases of its own (Catch2, unittest); it counts
    as one if it reports none, and as one failure more if it fails although no case did."""
    output, status = result["output"], result["status"]
    if status == SKIPPED:
        return 0, 0, 1
    total = failed = skipped = 0
    if found := re.findall(r"^All tests passed \(.* in (\d+) test cases?\)", output, re.M):
        total = int(found[-1])
    elif found := re.findall(r"^test cases: *(\d+)(.*)$", output, re.M):
        total = int(found[-1][0])
        failed = sum(map(int, re.findall(r"(\d+) failed", found[-1][1])))
        skipped = sum(map(int, re.findall(r"(\d+) skipped", found[-1][1])))
    elif found := re.findall(r"^Ran (\d+) tests? in [\d.]+s\n\n(.*)", output, re.M):
        total = int(found[-1][0])
        failed = sum(map(int, re.findall(r"(?:failures|errors|unexpected successes)=(\d+)", found[-1][1])))
        skipped = sum(map(int, re.findall(r"skipped=(\d+)", found[-1][1])))
    failed = failed or int(status != 0)
    return max(total or 1, failed + skipped) - failed - skipped, failed, skipped


def skip_reasons(result):
    """Why a test, or each case of it that says so, was skipped: unittest and Catch2 3 say why, others in their last line."""
    said = [one or other for one, other in re.findall(
        r"\.\.\. skipped (.*)$|^.*: SKIPPED:\n(?:explicitly with message:\n *)?(.*)$", result["output"], re.M)]
    return said or (result["output"].rstrip().splitlines()[-1:] if result["status"] == SKIPPED else [])


def packages_wanted(reason):
    """Those of Debian's that would have let a skipped test run, if its reason names them."""
    named = re.search(r"\(on Debian: apt install ([^)]*)\)", reason)
    return named[1].split() if named else []


def add(one, other):
    return tuple(map(sum, zip(one, other)))


class Table:
    def __init__(self, suites):
        self.suites = suites
        self.rows = []  # a Python, what came of each suite, seconds

    def add(self, row, by_suite, seconds):
        cells = []
        for suite in self.suites:
            passed, failed, skipped = by_suite[suite]
            cells.append(f"{passed}" + f" +{skipped} skipped" * bool(skipped) + f" {failed} FAILED" * bool(failed))
        self.rows.append((row, cells, seconds))

    def print(self):
        if not self.rows:
            return
        lines = [["Python", "version"] + self.suites + ["seconds"]]
        for row, cells, seconds in self.rows:
            lines.append([row.name, " ".join(filter(None, (row.version, row.flags)))] + cells + [f"{seconds:.0f}"])
        widths = [max(map(len, column)) for column in zip(*lines)]
        for line in lines:
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
        print()

    def markdown(self):
        columns = ["Python", "build"] + self.suites + ["seconds"]
        lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        for row, cells, seconds in self.rows:
            build = ", ".join(KINDS.get(flag, flag) for flag in row.flags.split(","))
            lines.append(f"| {' | '.join([row.version, build] + cells + [f'{seconds:.0f}'])} |")
        return "\n".join(lines)


def log_of(build, row, result):
    name = re.sub(r"\W+", "_", f"{result['suite']} {result['test']}")
    path = Path(build, "matrix-logs", row.name, f"{name}.log")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(result["output"])
    return path


class Summary:
    """Counts what came of the tests, keeps what is to be said at the end."""

    def __init__(self, build, suites, lines):
        self.build, self.lines = build, lines
        self.table, self.sums, self.notes, self.missing = Table(suites), (0, 0, 0), [], []
        self.wanting, self.packages = 0, set()  # skipped for want of packages, and those

    def miss_python(self, name):
        self.missing.append(name)
        self.skip_python(name, "NOT HERE (tools/pythons list tells what is, tools/pythons get gets more)")

    def skip_python(self, name, why):
        self.notes.append(f"SKIPPED: {name}: {why}")
        self.sums = add(self.sums, (0, 0, 1))

    def add_test(self, row, result):
        count, log = counts(result), log_of(self.build, row, result)
        self.sums = add(self.sums, count)
        title = f"{row.name}: {result['suite']}: {result['test']}"
        if count[1]:
            tail = "\n".join(result["output"].splitlines()[-self.lines:])
            print(f"FAILED: {title}: status {result['status']}, log {log}:\n{tail}\n", flush=True)
            self.notes.append(f"FAILED: {title}: {count[1]}")
        elif count[2]:
            reasons = skip_reasons(result)
            self.notes.append(f"skipped: {title}: {count[2]}" + "".join(f"\n    {reason}" for reason in sorted(set(reasons))))
            for packages in filter(None, map(packages_wanted, reasons)):
                self.wanting += 1
                self.packages.update(packages)
        return count

    def print(self):
        print()
        self.table.print()
        if self.notes:
            print("\n".join(self.notes) + "\n")
        if self.wanting:
            print(f"{self.wanting} of the skipped want packages: on Debian or Ubuntu  sudo apt-get install {' '.join(sorted(self.packages))}")
        print("{} passed, {} failed, {} skipped".format(*self.sums))


def document(page, summary):
    """Writes the sum and the table between the two marks of a page; True: it did."""
    passed, failed, skipped = summary.sums
    if failed or not passed or summary.missing:
        summary.notes.append(f"{page.name} is left as it is: not all that was asked for was run and passed")
        return False
    text = f"{passed} passed, none failed, {skipped} skipped.\n\n{summary.table.markdown()}"
    marked = re.escape(BEGIN) + ".*?" + re.escape(END)
    whole, written = re.subn(marked, lambda _: f"{BEGIN}\n\n{text}\n\n{END}", page.read_text(), flags=re.DOTALL)
    if written != 1:
        sys.exit(f"{page} has not the marks to write between")
    page.write_text(whole)
    return True
