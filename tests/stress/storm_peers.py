"""The storm with the guards of others, each as it is and routed to this library, for the Python under test.

    storm_peers.py [--runs N] [--deadline SECONDS] [--json FILE]

Builds storm_gilstate.cpp with the C API, pybind11, nanobind and Cython, as far as they are there for this Python. Runs
that are routed are judged as by `storm_run.py --routed`; the others are counted only, because what happens there is not
this library's affair. FILE gets the sums: a list of [peer, routed or not, sums], or [peer, why it is not there].

The environment is that of tests/neighbours/extensions.py, which knows how each peer is found; PYATTACH_TEST_LIBPYTHON
is the library of the Python.
"""

import argparse
import collections
import json
import os
import resource
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[1:1] = [str(HERE.parent / "neighbours"), str(HERE.parent / "abi/consumers")]
from consumers import compile_cython, cython, libpython  # noqa: E402
from extensions import BUILD, NANOBIND, PYTHON, SOURCE, Builder, Missing, command, run  # noqa: E402
import storm_run  # noqa: E402

FLAGS = ["-std=c++17", "-O1", "-w", "-fPIC", "-fvisibility=hidden", f"-I{SOURCE / 'tests'}", f"-I{SOURCE / 'include'}",
         f"-I{BUILD / 'tests'}"]


class Peers:
    def __init__(self, folder):
        self.builder = Builder(folder)
        self.folder = self.builder.folder
        self.python = ["-isystem", self.builder.python["include"]]
        self.main = self.compile("storm_main.cpp", "main")

    def compile(self, source, name, *flags):
        result = self.folder / f"{name}.o"
        run(*command("CXX", "c++"), *FLAGS, *flags, "-c", HERE / source, "-o", result)
        return result

    def c_api(self):
        """Its routed half is other code: see storm_guards.hpp."""
        return [[self.compile("storm_gilstate.cpp", f"c_api{routed}", *["-DSTORM_ROUTED"] * routed)] for routed in (0, 1)]

    def pybind11(self):
        self.builder.require_pybind11()
        return [[self.compile("storm_gilstate.cpp", "pybind11", "-DSTORM_PYBIND11", *self.python)]] * 2

    def nanobind(self):
        if not (NANOBIND / "src/nb_combined.cpp").exists():
            raise Missing("nanobind is not here")
        flags = [*self.python, "-isystem", NANOBIND / "include", "-isystem", NANOBIND / "ext/robin_map/include",
                 "-fno-strict-aliasing", *["-DNB_FREE_THREADED=1"] * self.builder.python["is_free_threaded"]]
        return [[self.compile("storm_gilstate.cpp", "nanobind", "-DSTORM_NANOBIND", *flags),
                 self.compile(NANOBIND / "src/nb_combined.cpp", "nb_combined", *flags)]] * 2

    def cython(self):
        if isinstance(cython(), str):
            raise Missing(cython())
        written = self.folder / "storm_cython.c"
        compile_cython(HERE / "storm_cython.pyx", SOURCE / "capi/cython", written)
        run(*command("CC", "cc"), "-std=gnu99", "-O1", "-w", *self.python, "-c", written, "-o", written.with_suffix(".o"))
        return [[self.compile("storm_gilstate.cpp", "cython", "-DSTORM_CYTHON", *self.python), written.with_suffix(".o")]] * 2

    def link(self, name, objects, routing):
        program = self.folder / name
        library, where = Path(libpython()), BUILD / "capi"
        run(*command("CXX", "c++"), self.main, *objects, "-o", program, *routing, library, f"-Wl,-rpath,{library.parent}",
            f"-Wl,-rpath,{where}", "-pthread", "-ldl")
        return program

    def programs(self, peer):
        """As it is, and routed."""
        found = run(*command("PKG_CONFIG", "pkg-config"), "--libs", "pyattach-gilstate",
                    env={**os.environ, "PKG_CONFIG_PATH": str(BUILD / "meson-uninstalled")})
        plain, routed = getattr(self, peer)()
        return [self.link(f"storm_{peer}", plain, []), self.link(f"storm_{peer}_routed", routed, found.split())]


PEERS = {"c_api": "C API", "pybind11": "pybind11", "nanobind": "nanobind", "cython": "Cython"}
# Its gil_scoped_acquire attaches with PyEval_AcquireThread. A PyEval_SaveThread right inside that may be its end, and
# is taken for it. So a thread in a gil_scoped_release there is outside: it is not waited for, and is parked if it comes
# back too late.
IS_OUTSIDE_IN_GAPS = {"pybind11"}


def storm(program, wanted, is_routed, may_park):
    """The sums of some runs, and why any of routed code was not well."""
    totals, found = collections.Counter(), []
    for seed in range(1, wanted.runs + 1):
        said, status, errors = storm_run.one_run([program, "--seed", str(seed)], wanted.deadline)
        storm_run.count(totals, said, status)
        totals["missing"] += said.get("missing", 0)
        why = list(storm_run.faults_of_routed(said, status, may_park)) or ([] if said else ["it said nothing"])
        if is_routed and why:
            found.append(f"seed {seed}: {'; '.join(why)}\n{errors}{said}")
    return dict(totals), found


def storms(peers, wanted):
    results, bad = [], []
    for name, title in PEERS.items():
        try:
            programs = peers.programs(name)
        except Missing as missing:
            print(f"{title}: skipped: {missing}")
            results.append([title, str(missing)])
            continue
        for is_routed, program in enumerate(programs):
            sums, found = storm(program, wanted, is_routed, name in IS_OUTSIDE_IN_GAPS)
            print(f"{title}{', routed' * is_routed}: " + " ".join(f"{key}={value}" for key, value in sums.items()), flush=True)
            results.append([title, bool(is_routed), sums])
            bad += [f"{title}: {program}: {why}" for why in found]
    if wanted.json:
        wanted.json.write_text(json.dumps(results) + "\n")
    print("\n".join(bad))
    return 1 if bad else 0


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--runs", type=int, default=100 if os.environ.get("PYATTACH_TEST_FULL") == "1" else 3)
    options.add_argument("--deadline", type=float, default=60)
    options.add_argument("--json", type=Path)
    wanted = options.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The programs are linked to it, and must not load another one.
    os.environ.update(PYATTACH_STORM_CARELESS="0", PYATTACH_TEST_PYTHON=PYTHON, PYATTACH_TEST_LIBPYTHON=libpython())
    with tempfile.TemporaryDirectory(prefix="pyattach-storms-") as folder:
        try:
            return storms(Peers(folder), wanted)
        except Missing as missing:
            print(missing)
            return 77


if __name__ == "__main__":
    sys.exit(main())
