#!/usr/bin/env python3
"""Compiles what must not compile, and looks for the sentence the compiler says then.

usage: compile_fail.py INCLUDE-DIRECTORY COMPILER STANDARD SOURCE...
A source holds cases, each a line `#if defined(CASE_name) // expect: words`, or #elif; `a|b` accepts either. Without any case it must
compile: so a case fails for its own reason. `// flags:` adds arguments, `// compilers: clang` leaves other compilers out.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path


def run(command):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    return result.returncode == 0, result.stdout


def split_source(command, folder, source, text):
    """The command and the source to compile each case with: the headers are precompiled, as they take most of the time."""
    before_cases = text[:re.search(r"^#(if|elif) defined\(CASE_", text, re.MULTILINE).start()]
    end = before_cases.index("\n", before_cases.rindex("\n#include") + 1)
    header, rest = Path(folder, Path(source).stem + ".hpp"), Path(folder, Path(source).name)
    header.write_text(text[:end])
    rest.write_text(text[end:])
    good, _ = run([*command, "-x", "c++-header", header, "-o", f"{header}.gch"])
    # Where that fails, compiling the source itself says why.
    return ([*command, "-fsyntax-only", "-include", header], rest) if good else ([*command, "-fsyntax-only"], source)


def directive(text, name):
    found = re.search(rf"^// {name}: (.*)$", text, re.MULTILINE)
    return found.group(1).split() if found else []


def main(folder, include, compiler, standard, *sources):
    is_clang = "clang" in subprocess.run([*compiler.split(), "--version"], stdout=subprocess.PIPE,
                                         universal_newlines=True, check=True).stdout
    problems, count = [], 0
    for source in sources:
        with open(source, encoding="utf-8") as file:
            text = file.read()
        wanted = directive(text, "compilers")
        if wanted and ("clang" if is_clang else "gcc") not in wanted:
            continue
        command = [*compiler.split(), "-std=" + standard, "-Wall", "-Wextra", "-I", include, *directive(text, "flags")]
        cases = re.findall(r"^#(?:el)?if defined\(CASE_(\w+)\)\s+// expect: (.*)$", text, re.MULTILINE)
        if len(cases) != len(re.findall(r"defined\(CASE_", text)):
            problems.append(f"{source}: a case expects nothing")
        command, source = split_source(command, folder, source, text)
        good, output = run([*command, source])
        if not good:
            problems.append(f"{source} must compile without a case:\n{output}")
            continue
        for case, expected in cases:
            count += 1
            good, output = run([*command, f"-DCASE_{case}", source])
            if good:
                problems.append(f"{source}: {case} compiles")
            elif not any(words in output for words in expected.split("|")):
                problems.append(f"{source}: {case} fails without saying \"{expected}\":\n{output}")
    for problem in problems:
        print(problem)
    print(f"{count} cases, {len(problems)} problems")
    return 1 if problems or not count else 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="pyattach-compile-fail-") as scratch:
        sys.exit(main(scratch, *sys.argv[1:]))
