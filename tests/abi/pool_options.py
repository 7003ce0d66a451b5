#!/usr/bin/env python3
"""Builds the library with each combination of the options reference_pool and leak_on_drop, and has the process tests'
children drop references with it where no thread is attached.

usage: pool_options.py SOURCE-ROOT SCRATCH-DIRECTORY PROCESS-TESTS
The environment names the compilers (CC, CXX) and Meson (MESON).
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

ABORTS, LEAKS, QUEUES = "aborts", "leaks", "queues"
EXPECTED = {
    (True, False): QUEUES,
    (True, True): QUEUES,  # the pool is there, so nothing needs to be leaked
    (False, False): ABORTS,
    (False, True): LEAKS,
}

problems = []


def run(*command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, **options)


def build(source, scratch, pool, leak):
    directory = scratch / f"pool-{str(pool).lower()}-leak-{str(leak).lower()}"
    options = [f"-Dreference_pool={str(pool).lower()}", f"-Dleak_on_drop={str(leak).lower()}"]
    if not (directory / "build.ninja").exists():
        done = run(os.environ["MESON"], "setup", str(directory), str(source), *options)
        if done.returncode != 0:
            sys.exit(done.stdout)
    done = run(os.environ["MESON"], "compile", "-C", str(directory), "-j1", "pyattach:shared_library")
    if done.returncode != 0:
        sys.exit(done.stdout)
    return directory / "capi"


def child(program, name, library):
    environment = dict(os.environ, LD_LIBRARY_PATH=str(library))
    return run(program, "--child", name, env=environment, timeout=120)


def check(what, condition, done):
    if not condition:
        problems.append(f"{what}: ended with {done.returncode} and said:\n{done.stdout}")


def main(source, scratch, program):
    for (pool, leak), expected in EXPECTED.items():
        name = f"reference_pool={pool}, leak_on_drop={leak}"
        library = build(Path(source), Path(scratch), pool, leak)
        done = child(program, "drop while attached", library)
        check(f"{name}: an attached drop", done.returncode == 0, done)
        for scenario in ("drop on a detached thread", "drop in a forbidden scope"):
            done = child(program, scenario, library)
            what = f"{name}: {scenario}"
            if expected == ABORTS:
                words = ("libpyattach: misuse", "-Dreference_pool=false", "-Dleak_on_drop=true")
                said = all(word in done.stdout for word in words)
                check(what, done.returncode == -signal.SIGABRT and said, done)
            else:
                count, waiting = ("2", "0") if expected == LEAKS else ("1", "1")
                check(what, done.returncode == 0 and done.stdout.split() == [waiting, count], done)
    print("\n".join(problems) or f"{len(EXPECTED)} builds, each as it should be")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
