#!/usr/bin/env python3
"""Compiles each public header alone, as C99, C11, C++17 and C++20; where there are two compilers they share the standards.
The headers that include all others are compiled by each compiler as each standard, also before and after Python.h, and in C++
also without exceptions and RTTI, and in one translation unit with pybind11 and nanobind; the one in C as C++11, too. The headers
for users of those two are compiled where they are.

usage: headers_alone.py SCRATCH-DIRECTORY INCLUDE-DIRECTORY C-COMPILER C++-COMPILER HEADER...
Python.h is that of PYATTACH_TEST_PYTHON, else of the Python given by PYATTACH_TEST_DEFAULT_PYTHON.
"""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wshadow", "-Wconversion", "-fsyntax-only"]
C_STANDARDS = ["c99", "c11"]
CPP_STANDARDS = ["c++17", "c++20"]
OLDEST_CPP_FOR_C = "c++11"  # that the C headers may be used in
UMBRELLAS = ["pyattach.h", "pyattach.hpp"]
LESS = ["-fno-exceptions", "-fno-rtti"]
# Those that are there share a translation unit with ours. nanobind has its headers where Debian puts them.
NEIGHBOURS = {"pybind11": [], "nanobind": ["/usr/share/nanobind/include"]}
# Those of our headers that include one of theirs.
BINDINGS = {f"{name}.hpp": name for name in NEIGHBOURS}


def compile_one(job):
    """The complaint, or an empty text."""
    number, scratch, compiler, standard, include, text, system, flags = job
    source = scratch / f"alone_{number}.{'cpp' if '+' in standard else 'c'}"
    source.write_text(text)
    command = compiler + ["-std=" + standard, *WARNINGS, *flags, "-I", include]
    for path in system:
        command += ["-isystem", path]
    result = subprocess.run(command + [str(source)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            universal_newlines=True)
    source.unlink()
    return "" if result.returncode == 0 else f"{' '.join(command)}\n{text}{result.stdout}"


def both_kinds(given, others):
    """The compiler of this build, and another one if it is here."""
    all_of_them = [given]
    for name in others:
        if shutil.which(name) and not any(Path(c[-1]).name.startswith(name) for c in all_of_them):
            all_of_them.append([name])
            break
    return all_of_them


def python_headers():
    python = os.environ.get("PYATTACH_TEST_PYTHON") or os.environ["PYATTACH_TEST_DEFAULT_PYTHON"]
    code = "import sysconfig; print(sysconfig.get_path('include'), sysconfig.get_path('platinclude'), sep='\\n')"
    said = subprocess.run([python, "-c", code], check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout
    paths = said.split()
    return sorted(set(paths)) if Path(paths[0], "Python.h").exists() else None


def main(scratch, include, c_compiler, cpp_compiler, *headers):
    scratch = Path(scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    is_clang = "clang" in cpp_compiler
    c_compilers = both_kinds(c_compiler.split(), ["gcc", "cc"] if is_clang else ["clang", "clang-14"])
    cpp_compilers = both_kinds(cpp_compiler.split(), ["g++", "c++"] if is_clang else ["clang++", "clang++-14"])
    jobs = []

    def plan(compiler, standard, text, system=(), flags=()):
        jobs.append((len(jobs), scratch, compiler, standard, include, text, system, flags))

    def shared(compilers, standards):
        """Each standard by one compiler, each compiler used."""
        return [(compilers[i % len(compilers)], standard) for i, standard in enumerate(standards)]

    def all_of(compilers, standards):
        return [(compiler, standard) for compiler in compilers for standard in standards]

    root = Path(include, "pyattach").resolve()
    for name in (str(Path(header).resolve().relative_to(root)) for header in headers):
        if name in BINDINGS:
            continue
        share = all_of if name in UMBRELLAS else shared
        text = f'#include "pyattach/{name}"\n#include "pyattach/{name}"\n'
        # Something of our own: a translation unit must not be empty.
        text += "int used(void);\nint used(void) { return 1; }\n"
        if name.endswith(".h"):
            for compiler, standard in share(c_compilers, C_STANDARDS):
                plan(compiler, standard, text)
            if name in UMBRELLAS:
                for compiler in cpp_compilers:
                    plan(compiler, OLDEST_CPP_FOR_C, text)
        for compiler, standard in share(cpp_compilers, CPP_STANDARDS):
            plan(compiler, standard, text)
            if name in UMBRELLAS:
                plan(compiler, standard, text, flags=LESS)

    system = python_headers()
    if system is None:
        print("SKIPPED: the Python under test has no Python.h, so nothing was compiled beside it")
    else:
        python = "#define PY_SSIZE_T_CLEAN\n#include <Python.h>\n"
        use = "pyattach_status use(PyObject *o);\npyattach_status use(PyObject *o) { return pyattach_incref(o); }\n"
        languages = ((c_compilers, C_STANDARDS), (cpp_compilers, CPP_STANDARDS))
        for umbrella, (compilers, standards) in zip(UMBRELLAS, languages):
            ours = f'#include "pyattach/{umbrella}"\n'
            for compiler, standard in all_of(compilers, standards):
                plan(compiler, standard, python + ours + use, system)
                plan(compiler, standard, ours + python + use, system)
        theirs, paths = python, system
        for name, path in NEIGHBOURS.items():
            header = f"#include <{name}/{name}.h>\n"
            probe = (f"probe_{name}", scratch, cpp_compiler.split(), "c++17", include, header, system + path, ["-w"])
            if compile_one(probe):
                print(f"SKIPPED: {name} is not there, or not for this Python")
            else:
                theirs, paths = theirs + header, paths + path
                for compiler, standard in all_of(cpp_compilers, CPP_STANDARDS):
                    text = f'#include "pyattach/{name}.hpp"\n'
                    plan(compiler, standard, text + text, system + path)
                    plan(compiler, standard, ours + text + use, system + path)
        if theirs != python:
            for compiler, standard in all_of(cpp_compilers, CPP_STANDARDS):
                plan(compiler, standard, theirs + ours + use, paths)
                plan(compiler, standard, ours + theirs + use, paths)

    with ThreadPoolExecutor(max_workers=2) as pool:
        problems = [complaint for complaint in pool.map(compile_one, jobs) if complaint]
    print("\n".join(problems))
    print(f"{len(jobs)} compilations of {len(headers)} headers, {len(problems)} failed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
