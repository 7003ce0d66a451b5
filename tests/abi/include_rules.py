#!/usr/bin/env python3
"""Reads the sources and fails on an #include that ARCHITECTURE.md forbids, on a cycle between headers, on a Python symbol or
version outside src/cpython/, on a header of the operating system outside src/platform/, and on a file of more than 300 lines.

usage: include_rules.py SOURCE-ROOT
"""

import re
import sys
from pathlib import Path

MOST_LINES = 300

# The folders of src/, from the ground up. A file includes its own folder and those below it, without an exception.
FLOORS = ["platform", "base", "cpython", "pool", "core", "trace", "objects", "tstate", "lifecycle", "scopes", "gilstate", "sync",
          "host", "preload"]

# The C and C++ standard library, and what compilers bring along. Any other header is the operating system's.
STANDARD = set("""algorithm atomic cerrno climits csignal cstdarg cstddef cstdint cstdio cstdlib cstring ctime
    cxxabi.h initializer_list iterator new type_traits utility""".split())

# Includes nothing, and is the first thing that each C++ header includes.
LANGUAGE = "cpp17.hpp"
# Holds the public headers that users need not read.
DETAIL = "detail"

# The headers for users of other libraries, each of which includes the one that it is for.
BINDINGS = {"pybind11.hpp": "pybind11/pybind11.h", "nanobind.hpp": "nanobind/nanobind.h"}

# Nothing else may stand between tp_traverse and the mark it sets.
APART = "scopes/forbidden"
APART_INCLUDES = {"core/thread.hpp", "core/frames.hpp", "base/diagnostics.hpp"}

# They are for the calls of other modules, and name what is routed.
ROUTES = {"include/pyattach/route_gilstate.h", "capi/gilstate_stubs.c", "capi/routed_functions.inc", "capi/preload/preload.cpp"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
COMMENT = re.compile(r'//[^\n]*|/\*.*?\*/|("(?:\\.|[^"\\\n])*")|(\'(?:\\.|[^\'\\\n])+\')', re.S)
SYMBOL = re.compile(r"\b_?Py[A-Z]?[A-Za-z]*_\w+|\bPy[A-Z][A-Za-z]+\b")
VERSION = re.compile(r"\b3\.(?:9|1\d)\b|\b0x030[9a-f]\w*", re.I)

problems = []


def problem(path, line, text):
    problems.append(f"{path}:{line}: {text}")


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def without_comments(text):
    """Keeps strings and line numbers."""
    return COMMENT.sub(lambda m: m.group(0) if m.group(1) or m.group(2) else re.sub(r"[^\n]", " ", m.group(0)), text)


def includes(text):
    for match in INCLUDE.finditer(text):
        yield line_of(text, match.start()), match.group(1) == "<", match.group(2)


def check_public(root, path, text):
    is_detail = path.parent.name == DETAIL
    for line, is_system, name in includes(text):
        if is_system and ("/" in name or name == "Python.h") and BINDINGS.get(path.name) != name:
            problem(path, line, f"a public header may include the standard library and its neighbours, not <{name}>")
        neighbour = name[3:] if is_detail and name.startswith("../") else name
        if not is_detail and name.startswith(DETAIL + "/"):
            neighbour = name[len(DETAIL) + 1:]
        if not is_system and ("/" in neighbour or not (path.parent / name).exists()):
            problem(path, line, f'a public header includes its neighbours and {DETAIL}/ only, not "{name}"')
        if name in BINDINGS:
            problem(path, line, f'"{name}" is for users of another library, who include it themselves')
        if path.suffix == ".h" and name.endswith(".hpp"):
            problem(path, line, f'a C header does not include "{name}"')
    first = next(includes(text), (1, False, ""))
    language = LANGUAGE if is_detail else f"{DETAIL}/{LANGUAGE}"
    if path.suffix == ".hpp" and path.name != LANGUAGE and first[2] != language:
        problem(path, first[0], f'a C++ header includes "{language}" first, so that an older C++ is told what is needed')


def check_source(root, path, text, arrows):
    here = path.relative_to(root / "src")
    floor = here.parts[0]
    if len(here.parts) != 2 or floor not in FLOORS:
        problem(path, 1, f"a file of src/ stands on one of its floors: {', '.join(FLOORS)}")
        return
    for line, is_system, name in includes(text):
        if is_system:
            if name == "Python.h" or name.startswith("pyattach/"):
                problem(path, line, f"<{name}> has no business in src/")
            elif name not in STANDARD and floor != "platform":
                problem(path, line, f"only src/platform knows the operating system, and so <{name}>")
            continue
        if name.startswith("pyattach/"):
            if not name.endswith(".h") or name == "pyattach/pyattach.h":
                problem(path, line, f'src/ takes types from one C header at a time, not "{name}"')
            continue
        if not (root / "src" / name).exists():
            problem(path, line, f'src/ includes its own files, by floor and name, not "{name}"')
            continue
        other = name.split("/")[0]
        if FLOORS.index(other) > FLOORS.index(floor):
            problem(path, line, f"{floor} may not include {name}: a floor includes only those below it")
        if path.suffix == ".hpp":
            arrows.setdefault(str(here), set()).add(name)
        if str(here.with_suffix("")) == APART and name not in APART_INCLUDES and name != APART + ".hpp":
            problem(path, line, f"{APART} stands apart: it includes only {', '.join(sorted(APART_INCLUDES))}, not {name}")


def check_border(root, path, text):
    for line, is_system, name in includes(text):
        if is_system:
            if name == "Python.h":
                problem(path, line, "capi/ does not know Python.h")
        elif not any((root / place / name).exists() for place in ("include", "src", "capi")) and not (path.parent / name).exists():
            problem(path, line, f'capi/ includes include/ and src/ only, not "{name}"')


def check_nobody_includes_capi(root, path, text):
    for line, is_system, name in includes(text):
        if name.startswith("capi/") or "/capi/" in name or Path(name).name == "opaque.hpp":
            problem(path, line, "nobody includes capi/")


def check_knowledge(root, path, text):
    """A word in a sentence for the user is fine; a name in code, or one that stands alone in a string, is knowledge."""
    code = without_comments(text)
    spans = [(m.start(), m.end()) for m in re.finditer(r'"(?:\\.|[^"\\\n])*"', code)]
    for match in SYMBOL.finditer(code):
        inside = next((code[a:b] for a, b in spans if a <= match.start() < b), None)
        if inside is None or " " not in inside.strip('"'):
            problem(path, line_of(code, match.start()), f"the Python symbol {match.group(0)} belongs into src/cpython/")
    for match in VERSION.finditer(code):
        problem(path, line_of(code, match.start()), f"the Python version {match.group(0)} belongs into src/cpython/")


def check_cycles(arrows):
    done, path = set(), []

    def visit(word):
        if word in path:
            problem("src", 0, "a cycle: " + " -> ".join(path[path.index(word):] + [word]))
            return
        if word in done:
            return
        path.append(word)
        for other in sorted(arrows.get(word, ())):
            visit(other)
        path.pop()
        done.add(word)

    for word in sorted(arrows):
        visit(word)


def check_picture(root):
    """The picture in ARCHITECTURE.md names each folder of src/ and each file in it, and nothing else."""
    block = (root / "ARCHITECTURE.md").read_text(encoding="utf-8").split("```")[1]
    drawn, floor, is_source = set(), None, False
    for line in block.splitlines():
        if not line.strip():
            continue
        indent, name = len(line) - len(line.lstrip()), line.split()[0]
        if indent == 0:
            is_source = name == "src/"
        elif is_source and indent == 2:
            floor = name.rstrip("/")
        elif is_source and indent == 4:
            drawn.add(f"{floor}/{name.split('.')[0]}")
    there = {str(path.relative_to(root / "src").with_suffix("")) for path in (root / "src").glob("*/*")}
    for name in sorted(there - drawn):
        problem("ARCHITECTURE.md", 1, f"the picture does not name src/{name}")
    for name in sorted(drawn - there):
        problem("ARCHITECTURE.md", 1, f"the picture names src/{name}, which does not exist")
    floors = [line.split("/")[0].strip() for line in block.splitlines() if re.match(r"  \w+/", line)]
    floors = [floor for floor in floors if floor in FLOORS]
    if floors != FLOORS[::-1]:
        problem("ARCHITECTURE.md", 1, "the picture has the floors in another order")


def main(root):
    root = Path(root)
    sources = {".c", ".cpp", ".h", ".hpp", ".inc"}
    arrows = {}
    seen = 0
    for folder in ("include", "src", "capi", "run", "tests", "examples"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in sources:
                continue
            seen += 1
            text = path.read_text(encoding="utf-8")
            lines = text.count("\n")
            if lines > MOST_LINES:
                problem(path, lines, f"more than {MOST_LINES} lines: look for the second word hiding in it")
            if folder == "include":
                check_public(root, path, text)
            elif folder == "src":
                check_source(root, path, text, arrows)
            elif folder == "capi":
                check_border(root, path, text)
            if folder != "capi":
                check_nobody_includes_capi(root, path, text)
            if str(path.relative_to(root)) in ROUTES:
                continue
            if folder in ("include", "src", "capi") and path.parent != root / "src" / "cpython":
                check_knowledge(root, path, text)
    check_cycles(arrows)
    check_picture(root)
    for text in problems:
        print(text)
    print(f"{seen} files read, {len(problems)} problems")
    return 1 if problems or seen < 50 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
