#!/usr/bin/env python3
"""Compiles what must not compile, and looks for the sentence the compiler says then.

usage: compile_fail.py INCLUDE-DIRECTORY COMPILER STANDARD SOURCE...
A source holds cases, each a line `#if defined(CASE_name) // expect: words`, or #elif; `a|b` accepts either. Without any case it must
compile: so a case fails for its own reason. `// flags:` adds arguments, `// compilers: clang` leaves other compilers out.
"""

import re
import subprocess
import sys


def compile_source(command, source, case=None):
    arguments = command + ([f"-DCASE_{case}"] if case else []) + [source]
    result = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    return result.returncode == 0, result.stdout


def directive(text, name):
    found = re.search(rf"^// {name}: (.*)$", text, re.MULTILINE)
    return found.group(1).split() if found else []


def main(include, compiler, standard, *sources):
    is_clang = "clang" in subprocess.run([*compiler.split(), "--version"], stdout=subprocess.PIPE,
                                         universal_newlines=True, check=True).stdout
    problems, count = [], 0
    for source in sources:
        with open(source, encoding="utf-8") as file:
            text = file.read()
        wanted = directive(text, "compilers")
        if wanted and ("clang" if is_clang else "gcc") not in wanted:
            continue
        command = [*compiler.split(), "-std=" + standard, "-fsyntax-only", "-Wall", "-Wextra", "-I", include,
                   *directive(text, "flags")]
        cases = re.findall(r"^#(?:el)?if defined\(CASE_(\w+)\)\s+// expect: (.*)$", text, re.MULTILINE)
        if len(cases) != len(re.findall(r"defined\(CASE_", text)):
            problems.append(f"{source}: a case expects nothing")
        good, output = compile_source(command, source)
        if not good:
            problems.append(f"{source} must compile without a case:\n{output}")
            continue
        for case, expected in cases:
            count += 1
            good, output = compile_source(command, source, case)
            if good:
                problems.append(f"{source}: {case} compiles")
            elif not any(words in output for words in expected.split("|")):
                problems.append(f"{source}: {case} fails without saying \"{expected}\":\n{output}")
    for problem in problems:
        print(problem)
    print(f"{count} cases, {len(problems)} problems")
    return 1 if problems or not count else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
