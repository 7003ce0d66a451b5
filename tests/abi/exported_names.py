#!/usr/bin/env python3
"""Looks at what the built libraries show to the dynamic linker.

usage: exported_names.py SHARED STATIC SYMBOLS.TXT INCLUDE-DIRECTORY [DOCUMENT...]

Without a document what loading it does is not looked at: sanitizers and coverage bring functions of their own.
"""

import re
import subprocess
import sys
from pathlib import Path

problems = []


def check(condition, sentence):
    if not condition:
        problems.append(sentence)


def read(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout


def listed(text):
    return {line for line in text.split("\n") if line and not line.startswith("#")}


def shared_library(path, expected, declared):
    defined, versions = set(), set()
    for line in read("nm", "-D", "--defined-only", path).splitlines():
        kind, name = line.split()[-2:]
        name, _, version = name.partition("@")
        if kind == "A":  # the version itself
            continue
        defined.add(name)
        versions.add(version.lstrip("@"))
    for name in sorted(defined ^ expected):
        check(name in expected, f"{name} is exported and not in symbols.txt")
        check(name in defined, f"{name} is in symbols.txt and not exported")
    for name in sorted(declared ^ expected):
        check(name in expected, f"{name} is declared in a public header and not in symbols.txt")
        check(name in declared, f"{name} is in symbols.txt and in no public header")
    check(not any(name.startswith("_Z") for name in defined), "a C++ symbol is exported")
    check(versions and all(re.fullmatch(r"PYATTACH_\d+\.\d+", v) for v in versions), f"not all versioned: {versions}")

    undefined = [line.split()[-1] for line in read("nm", "-D", "--undefined-only", path).splitlines()]
    python = [name for name in undefined if re.match(r"_?Py", name)]
    check(not python, f"undefined Python symbols: {python}")

    dynamic = read("readelf", "-dW", path)
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    allowed = r"(lib(c|m|dl|pthread|gcc_s|stdc\+\+)|ld-linux[\w-]*|libc\.musl[\w-]*)\.so(\.\d+)?"
    check(all(re.fullmatch(allowed, name) for name in needed), f"needs more than the C and C++ runtime: {needed}")
    soname = re.findall(r"\(SONAME\).*\[(.*)\]", dynamic)
    check(soname == ["libpyattach.so.0"], f"the soname is {soname}")
    check("TEXTREL" not in dynamic, "has text relocations")
    check(re.search(r"\(FLAGS_1\).*NODELETE", dynamic), "may be unloaded: the NODELETE flag is missing")
    check(re.search(r"\(FLAGS_1\).*NOW", dynamic), "is bound lazily: the NOW flag is missing")
    check(not re.search(r"\((RPATH|RUNPATH)\)", dynamic), "has a run path")

    tls = re.findall(r"^\s*TLS\s+(?:0x\w+\s+){3}(0x\w+)\s+(0x\w+)", read("readelf", "-lW", path), re.M)
    check(len(tls) == 1 and int(tls[0][1], 16) <= 16, f"the thread-local data is {tls}, at most 16 bytes are allowed")
    # A thread that is being made meanwhile misses other initial values.
    check(len(tls) == 1 and int(tls[0][0], 16) == 0, f"the thread-local data {tls} does not begin as zeros")


def quiet(archive, documents):
    """Loading the library does nothing, and no environment variable but those the documents name changes what it does."""
    sections = set(re.findall(r"^\s*\[ *\d+\] (\.\S+)", read("readelf", "-SW", archive), re.M))
    check(".text" in sections, "the archive's sections cannot be read")
    starters = sorted(name for name in sections if re.match(r"\.((pre)?init_array|fini_array|ctors|dtors|init|fini)\b", name))
    check(not starters, f"something runs when the library is loaded or unloaded: {starters}")
    undefined = set(re.findall(r" U (\w+)$", read("nm", "--undefined-only", archive), re.M))
    check("pthread_setspecific" in undefined, "the archive's undefined names cannot be read")
    ends = sorted(undefined & {"__cxa_atexit", "__cxa_thread_atexit", "__cxa_thread_atexit_impl", "atexit", "on_exit", "at_quick_exit"})
    check(not ends, f"something of it runs at exit or when a thread ends without being asked for: {ends}")

    readers = {"getenv", "secure_getenv", "__libc_secure_getenv", "environ", "__environ", "setenv", "putenv", "unsetenv", "getauxval"}
    said = "reads no environment variable of its own"
    check(any(said in " ".join(Path(it).read_text().split()) for it in documents), f'no document says that it "{said}"')
    check(not undefined & readers, f"the documents say that it {said}, and it uses {sorted(undefined & readers)}")


def static_library(path, expected):
    """Everything but the C ABI is hidden, so that a program that has the static library inside does not export it."""
    # Compiled without run-time type information, each object that catches a forced unwind brings the name of its type.
    tolerated = {"_ZTIN10__cxxabiv115__forced_unwindE", "_ZTSN10__cxxabiv115__forced_unwindE"}
    shown = set()
    for line in read("readelf", "-sW", path).splitlines():
        fields = line.split()
        if len(fields) >= 8 and fields[4] in ("GLOBAL", "WEAK") and fields[5] == "DEFAULT" and fields[6] != "UND":
            shown.add(fields[7])
    check(expected <= shown, f"the static library lacks {sorted(expected - shown)}")
    extra = sorted(shown - expected - tolerated)
    check(not extra, f"the static library would export {extra}")


def main(shared, static, symbols, include, *documents):
    expected = listed(Path(symbols).read_text())
    declared = set()
    for header in Path(include, "pyattach").glob("*.h"):
        declared |= set(re.findall(r"PYATTACH_API\b[^;{]*?\b(pyattach_\w+)\(", header.read_text()))
    check(len(expected) > 40, "symbols.txt is nearly empty")
    shared_library(shared, expected, declared)
    static_library(static, expected)
    if documents:
        quiet(static, documents)
    print("\n".join(problems) or f"{len(expected)} names, all as they should be")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
