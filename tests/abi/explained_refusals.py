#!/usr/bin/env python3
"""Reads the sources and fails on a refusal that does not explain itself: INVALID, UNSUPPORTED, FORBIDDEN or NOT_INITIALIZED
that is returned neither through refused() or refused_with(), nor because an argument is NULL.

usage: explained_refusals.py SOURCE-ROOT
"""

import re
import sys
from pathlib import Path

REFUSAL = re.compile(r"\bPYATTACH_(INVALID|UNSUPPORTED|FORBIDDEN|NOT_INITIALIZED)\b")
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
# Of names alone: `!scope || !where`, `scope && where`, with what is read of the first, and a flag that says so.
NULL_CHECK = re.compile(r"^!?\(?[\w.>-]+(?: (?:\|\||&&) !?[\w.>-]+)*\)?$")

# Told in another way, or a part of a sentence that is told elsewhere.
ELSEWHERE = {
    ("src/base/status.cpp", "case"): "the sentence of each status",
    ("src/cpython/find.cpp", ""): "find() tells each reason that a Python cannot be used",
    ("src/cpython/adopt.cpp", ""): "likewise",
    ("src/host/start.cpp", "cpython::start"): "cpython/init.cpp tells why Python did not start",
    ("src/lifecycle/exit_callback.cpp", ": PYATTACH_INVALID"): "an exit callback that has been called is no mistake",
    ("src/host/stop.cpp", "refuse"): "through refused_with()",
}

problems = []
found = 0
root = Path(sys.argv[1])
for path in sorted([*root.glob("src/*/*.?pp"), *root.glob("capi/*.cpp")]):
    name = str(path.relative_to(root))
    text = COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), path.read_text(encoding="utf-8"))
    for match in REFUSAL.finditer(text):
        found += 1
        # The statement it stands in, and the condition before that.
        begin = max(text.rfind(mark, 0, match.start()) for mark in (";", "{", "}"))
        statement = " ".join(text[begin + 1 : text.find(";", match.start())].split())
        if re.search(r"[=!]= $", text[: match.start()]) or re.search(r"\brefused(?:_with)?\(\s*$", text[: match.start()]):
            continue
        condition = re.match(r"if \((.*)\) return ", statement) or re.match(r"return (.*) \? .* : PYATTACH_INVALID$", statement)
        if condition and NULL_CHECK.match(condition.group(1)):
            continue
        if any(name == file and part in statement for file, part in ELSEWHERE):
            continue
        line = text.count("\n", 0, match.start()) + 1
        problems.append(f"{name}:{line}: {match.group(0)} without a sentence: {statement}")

print("\n".join(problems) if problems else f"{found} refusals, each with a sentence")
sys.exit(1 if problems or found < 20 else 0)
