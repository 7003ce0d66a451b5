#!/usr/bin/env python3
"""Compiles each public header alone, as every language standard it promises, by each compiler here; the two main headers also before and
after Python.h; and the C headers once with nothing but the flags of a careful user.

usage: headers_alone.py SCRATCH-DIRECTORY INCLUDE-DIRECTORY C-COMPILER C++-COMPILER HEADER...
Python.h is that of PYATTACH_TEST_PYTHON, else of the Python given by PYATTACH_TEST_DEFAULT_PYTHON.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wshadow", "-Wconversion", "-fsyntax-only"]
C_STANDARDS = ["c99", "c11", "c17"]
CPP_STANDARDS = ["c++17", "c++20"]

problems = []
compiled = 0


def compile_text(scratch, compiler, standard, include, text, system=()):
    global compiled
    compiled += 1
    source = scratch / ("alone.c" if standard.startswith("c") and "+" not in standard else "alone.cpp")
    source.write_text(text)
    command = compiler + ["-std=" + standard, *WARNINGS, "-I", include]
    for path in system:
        command += ["-isystem", path]
    result = subprocess.run(command + [str(source)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            universal_newlines=True)
    if result.returncode != 0:
        problems.append(f"{' '.join(command)}\n{text}{result.stdout}")


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
    paths = subprocess.run([python, "-c", code], check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout.split()
    return sorted(set(paths)) if Path(paths[0], "Python.h").exists() else None


def main(scratch, include, c_compiler, cpp_compiler, *headers):
    scratch = Path(scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    is_clang = "clang" in cpp_compiler
    c_compilers = both_kinds(c_compiler.split(), ["gcc", "cc"] if is_clang else ["clang", "clang-14"])
    cpp_compilers = both_kinds(cpp_compiler.split(), ["g++", "c++"] if is_clang else ["clang++", "clang++-14"])
    names = [Path(header).name for header in headers]
    for name in names:
        text = f'#include "pyattach/{name}"\n#include "pyattach/{name}"\n'
        # Something of our own, or an empty translation unit would be the only complaint.
        used = text + "int used(void);\nint used(void) { return PYATTACH_VERSION > 0; }\n"
        if name == "version.h":
            text = used
        if name.endswith(".h"):
            for compiler in c_compilers:
                for standard in C_STANDARDS:
                    compile_text(scratch, compiler, standard, include, used)
        for compiler in cpp_compilers:
            for standard in CPP_STANDARDS:
                compile_text(scratch, compiler, standard, include, text)
    system = python_headers()
    if system is None:
        print("SKIPPED: the Python under test has no Python.h, so nothing was compiled beside it")
    else:
        python = "#define PY_SSIZE_T_CLEAN\n#include <Python.h>\n"
        c_use = "pyattach_status use(PyObject *o);\npyattach_status use(PyObject *o) { return pyattach_incref(o); }\n"
        ours = '#include "pyattach/pyattach.h"\n'
        for text in (python + ours + c_use, ours + python + c_use):
            for compiler in c_compilers:
                for standard in ("c99", "c11"):
                    compile_text(scratch, compiler, standard, include, text, system)
        if "pyattach.hpp" in names:
            ours = '#include "pyattach/pyattach.hpp"\n'
        for text in (python + ours + c_use, ours + python + c_use):
            for compiler in cpp_compilers:
                for standard in CPP_STANDARDS:
                    compile_text(scratch, compiler, standard, include, text, system)
    print("\n".join(problems))
    print(f"{compiled} compilations of {len(names)} headers by {len(c_compilers)} C and {len(cpp_compilers)} C++ compilers, "
          f"{len(problems)} failed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
