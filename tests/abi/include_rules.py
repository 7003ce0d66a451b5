#!/usr/bin/env python3
"""Reads the sources and fails on an #include that ARCHITECTURE.md forbids, on a cycle between words, on a Python symbol or
version outside src/cpython/, and on a file of more than 300 lines.

usage: include_rules.py SOURCE-ROOT
"""

import re
import sys
from pathlib import Path

MOST_LINES = 300

# The words of src/, lowest layer first. A header includes headers of lower layers only, so no arrow runs back.
LAYERS = [
    {"kept_errno"},
    {"uncancelled"},
    {"futex"},
    {"internal_lock"},
    {"diagnostics", "fence", "native_thread", "status", "stats"},
    {"cpython"},
    {"thread", "decref_queue"},
    {"frames"},
    {"participant"},
    {"gate", "decref", "pool"},
    {"interpreter"},
    {"warm_state", "exit_callback", "finalizing", "fork", "fork_company", "reaper", "reattach_guard"},
    {"probe"},
    {"exit", "start", "stop"},
    {"attach"},
    {"attached", "detached", "forbidden"},
    {"forked", "mutex", "once"},
    {"critical_section", "call", "error_message", "exception", "type"},
    {"thread_exit"},
]
LAYER_OF = {word: number for number, layer in enumerate(LAYERS) for word in layer}

# So does a source file, but for these calls to a word of the same layer or a higher one. One that is not needed any more
# has to leave.
UPWARD = {
    ("attached", "forked"): "the first attach in the child of a raw fork puts Python in order",
    ("detached", "forked"): "so does the first way back",
    ("decref", "fork"): "in the child of a raw fork Python is not asked for a drain",
    ("decref", "interpreter"): "whose a reference is",
    ("fork", "exit_callback"): "those that other threads were calling are forgotten in the child",
    ("fork", "fork_company"): "a child asks who was inside",
    ("fork", "start"): "a start that another thread was at is forgotten in the child",
    ("fork", "warm_state"): "so are the other threads' states",
    ("fork", "finalizing"): "so is an end",
    ("interpreter", "exit"): "first contact registers the exit",
    ("interpreter", "finalizing"): "an interpreter that is gone marks the end that did not say so",
    ("interpreter", "fork"): "first contact registers what happens at a fork",
    ("interpreter", "warm_state"): "the dead states of an interpreter that is gone are forgotten",
    ("participant", "interpreter"): "a participant is a hold on its interpreter's interp_data, and is in its gate",
    ("participant", "warm_state"): "a thread gives up its participants in interpreters that ended",
    ("exit_callback", "fork"): "a fork child does not have its parent's",
    ("fork", "reaper"): "what other threads were deleting is forgotten in the child",
    ("reaper", "fork"): "no state is made while somebody forks",
    ("stop", "exit"): "a stop goes through the steps of an exit",
    ("start", "attached"): "a start by somebody else is awaited by attaching once",
    ("stats", "interpreter"): "sums over all interpreters",
    ("thread", "interpreter"): "the end of a thread gives its participants back",
    ("thread", "fork"): "a record made in the child of a raw fork knows of no state",
    ("frames", "participant"): "what the warm path wrote into a scope stands in a participant, too",
    ("thread", "frames"): "a fork child's own scopes",
    ("thread", "reattach_guard"): "a fork child cuts the reattach_guards of threads that it does not have",
    ("thread", "thread_exit"): "the end of a thread begins with its record",
    ("warm_state", "fork"): "after a raw fork nothing is released",
}

# Includes nothing, and is the first thing that each C++ header includes.
LANGUAGE = "cpp17.hpp"
# Holds the public headers that users need not read.
DETAIL = "detail"

# Nothing else may stand between tp_traverse and the mark it sets.
ONLY = {"forbidden": {"thread", "frames", "diagnostics", "cpython"}}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
COMMENT = re.compile(r'//[^\n]*|/\*.*?\*/|("(?:\\.|[^"\\\n])*")|(\'(?:\\.|[^\'\\\n])+\')', re.S)
SYMBOL = re.compile(r"\b_?Py[A-Z]?[A-Za-z]*_\w+|\bPy[A-Z][A-Za-z]+\b")
VERSION = re.compile(r"\b3\.(?:9|1\d)\b|\b0x030[9a-f]\w*", re.I)

problems = []
used_upward = set()


def problem(path, line, text):
    problems.append(f"{path}:{line}: {text}")


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def without_comments(text):
    """Keeps strings and line numbers."""
    return COMMENT.sub(lambda m: m.group(0) if m.group(1) or m.group(2) else re.sub(r"[^\n]", " ", m.group(0)), text)


def word_of(path):
    """src/cpython/find.cpp belongs to cpython; src/pool/pool.hpp to pool."""
    stem = path.stem
    return "cpython" if stem.startswith("cpython") else stem


def includes(text):
    for match in INCLUDE.finditer(text):
        yield line_of(text, match.start()), match.group(1) == "<", match.group(2)


def check_public(root, path, text):
    is_detail = path.parent.name == DETAIL
    for line, is_system, name in includes(text):
        if is_system and ("/" in name or name == "Python.h"):
            problem(path, line, f"a public header may include the standard library and its neighbours, not <{name}>")
        neighbour = name[3:] if is_detail and name.startswith("../") else name
        if not is_detail and name.startswith(DETAIL + "/"):
            neighbour = name[len(DETAIL) + 1:]
        if not is_system and ("/" in neighbour or not (path.parent / name).exists()):
            problem(path, line, f'a public header includes its neighbours and {DETAIL}/ only, not "{name}"')
        if path.suffix == ".h" and name.endswith(".hpp"):
            problem(path, line, f'a C header does not include "{name}"')
    first = next(includes(text), (1, False, ""))
    language = LANGUAGE if is_detail else f"{DETAIL}/{LANGUAGE}"
    if path.suffix == ".hpp" and path.name != LANGUAGE and first[2] != language:
        problem(path, first[0], f'a C++ header includes "{language}" first, so that an older C++ is told what is needed')


def check_source(root, path, text, arrows):
    word = word_of(path)
    if word not in LAYER_OF:
        problem(path, 1, f"the word {word} has no layer: give it one in {Path(__file__).name}")
        return
    for line, is_system, name in includes(text):
        if is_system:
            if name == "Python.h" or name.startswith("pyattach/"):
                problem(path, line, f"<{name}> has no business in src/")
            continue
        if name.startswith("pyattach/"):
            if not name.endswith(".h") or name == "pyattach/pyattach.h":
                problem(path, line, f'src/ takes types from one C header at a time, not "{name}"')
            continue
        if not (path.parent / name).exists():
            problem(path, line, f'src/ includes its neighbours only, not "{name}"')
            continue
        other = word_of(Path(name))
        if other == word:
            continue
        if path.suffix == ".hpp":
            arrows.setdefault(word, set()).add(other)
        elif (word, other) in UPWARD:
            used_upward.add((word, other))
            continue
        if LAYER_OF.get(other, 99) >= LAYER_OF[word]:
            problem(path, line, f"{word} may not include {other}: the arrows run from the words above to those below")
        if word in ONLY and other not in ONLY[word]:
            problem(path, line, f"{word} stands apart: it includes only {', '.join(sorted(ONLY[word]))}, not {other}")


def check_border(root, path, text):
    for line, is_system, name in includes(text):
        if is_system:
            if name == "Python.h":
                problem(path, line, "capi/ does not know Python.h")
        elif not any((root / place / name).exists() for place in ("include", "src", "capi")):
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


def main(root):
    root = Path(root)
    sources = {".c", ".cpp", ".h", ".hpp", ".inc"}
    arrows = {}
    seen = 0
    for folder in ("include", "src", "capi", "tests", "examples"):
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
            if folder in ("include", "src", "capi") and word_of(path) != "cpython":
                check_knowledge(root, path, text)
    check_cycles(arrows)
    for word, other in sorted(set(UPWARD) - used_upward):
        problem("src", 0, f"{word} does not include {other} any more: take it off the list in {Path(__file__).name}")
    for text in problems:
        print(text)
    print(f"{seen} files read, {len(problems)} problems")
    return 1 if problems or seen < 50 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
