#!/usr/bin/env python3
"""Measures a disk that a Python script keeps, behind nbdkit: how many requests of 4 KiB it answers in a second, 16 at once.

    nbdkit.py --build BUILD --out RESULTS.json [--rounds N] [--free-threaded PYTHON LIBPYTHON]
    nbdkit.py --document README EVIDENCE RESULTS.json

BUILD is a release build with the examples. Of the ways to serve it, each is measured once a round, in random order; nbdkit's Python
plugin takes the Python that it was built for, and the example the same one. --document writes the table between two marks.
"""

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import document
import report
import run as rows

MARK = "<!-- measured: written by tools/bench --nbdkit --document -->"
SECONDS = 2
SIZE = "64M"
ROOT = Path(__file__).resolve().parents[2]
DISK = ROOT / "examples/nbdkit/disk.py"
LABELS = {
    "debian": "nbdkit's Python plugin, as Debian ships it",
    "routed": "the same binaries, started with `pyattach-run`",
    "example": "[`examples/nbdkit`]({root}examples/nbdkit), a plugin in C++",
    "free-threaded": "the same plugin, with a free-threaded Python",
    "memory": "nbdkit's memory plugin: C, and no Python",
}


def said_by(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def version(name):
    return re.search(r"\d+(\.\d+)+", said_by(name, "--version"))[0]


def python_of_debian():
    """The version of the Python that nbdkit's plugin links, and its libpython."""
    dumped = dict(line.split("=", 1) for line in said_by("nbdkit", "python", "--dump-plugin").splitlines() if "=" in line)
    linked = re.search(r"libpython\S+ => (\S+)", said_by("ldd", dumped["path"]))
    ask = "import ctypes, sys; get = ctypes.CDLL(sys.argv[1]).Py_GetVersion; get.restype = ctypes.c_char_p; print(get().decode())"
    return said_by(sys.executable, "-c", ask, linked[1]).split()[0], linked[1]


def hurry():
    """Before all other processes, if that is allowed: so they disturb less."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    except OSError:
        pass


def ways(options, libpython):
    """By its label: the command that serves the disk, and what is in its environment besides."""
    build = options.build.resolve()
    plugin, size = build / "examples/nbdkit/nbdkit-pyattach-plugin.so", "size=" + SIZE
    found = {
        "memory": (["nbdkit", "memory", SIZE], {}),
        "debian": (["nbdkit", "python", DISK, size], {}),
        "example": (["nbdkit", plugin, DISK, size, f"libpython={libpython}"], {}),
    }
    router = build / "run/pyattach-run"
    if router.exists():
        preload = {"PYATTACH_PRELOAD_LIBRARY": str(build / "capi/preload/libpyattach-preload.so")}
        found["routed"] = ([router, *found["debian"][0]], preload)
    if options.free_threaded:
        python, library = options.free_threaded
        home = said_by(python, "-c", "import sys; print(sys.base_prefix)").strip()
        found["free-threaded"] = (["nbdkit", plugin, DISK, size, f"libpython={library}"], {"PYTHONHOME": home})
    return found


def requests_per_second(command, environment, folder):
    """nbdkit runs in the foreground, for as long as it is measured."""
    socket, begun = folder / "socket", folder / "pid"
    for path in (socket, begun):
        path.unlink(missing_ok=True)
    at = next(number for number, word in enumerate(command) if word == "nbdkit") + 1
    words = [str(word) for word in [*command[:at], "-f", "-U", socket, "-P", begun, *command[at:]]]
    with subprocess.Popen(words, env={**os.environ, **environment}, preexec_fn=hurry) as server:
        while not begun.exists():
            if server.poll() is not None:
                sys.exit(f"{' '.join(words)}\nended with {server.returncode}")
        try:
            done = subprocess.run(
                ["fio", "--name=read", "--ioengine=nbd", f"--uri=nbd+unix:///?socket={socket}", "--rw=randread", "--bs=4k",
                 "--iodepth=16", f"--size={SIZE}", "--time_based", f"--runtime={SECONDS}", "--ramp_time=0.3s", "--output-format=json"],
                stdout=subprocess.PIPE, check=True, preexec_fn=hurry)
        finally:
            server.terminate()
    if server.returncode != 0:
        sys.exit(f"{' '.join(words)}\nended with {server.returncode}")
    text = done.stdout.decode()  # before its JSON it says that it is connected
    return json.loads(text[text.index("{\n"):])["jobs"][0]["read"]["iops"]


def measure(options):
    python, libpython = python_of_debian()
    load = os.getloadavg()[0]
    commands = ways(options, libpython)
    rounds = {name: [] for name in LABELS if name in commands}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            for name in random.sample(sorted(rounds), len(rounds)):
                rounds[name].append(requests_per_second(*commands[name], Path(folder)))
    about = {"python": python, "machine": rows.machine(), "cpus": os.cpu_count(), "load": f"{load:.2f}", "rounds": options.rounds,
             "nbdkit": version("nbdkit"), "fio": version("fio")}
    if options.free_threaded:
        about["free-threaded"] = said_by(options.free_threaded[0], "-c", "import platform; print(platform.python_version())").strip()
    options.out.write_text(json.dumps({"about": about, "rounds": rounds}, indent=1) + "\n")


def table(results, root=""):
    about, medians = results["about"], {name: statistics.median(rounds) for name, rounds in results["rounds"].items()}
    pythons = {"memory": "", "free-threaded": about.get("free-threaded", "") + " free-threaded"}
    body = [[LABELS[name].format(root=root), pythons.get(name, about["python"]), f"{median / 1000:.0f} 000",
             f"{median / medians['debian']:.1f} x"] for name, median in medians.items()]
    head = ["a disk in Python behind nbdkit", "CPython", "requests per second", "against the first"]
    return report.table(head, body) + (
        f"\n\nRandom reads of 4 KiB, 16 at once, on one connection; the script is the same. Medians of {about['rounds']} rounds in random "
        f"order; nbdkit {about['nbdkit']}, fio {about['fio']}; {about['machine']}, {about['cpus']} CPUs, load at the start {about['load']}.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--free-threaded", nargs=2, metavar=("PYTHON", "LIBPYTHON"))
    parser.add_argument("--document", nargs=3, type=Path, metavar=("README", "EVIDENCE", "RESULTS"))
    options = parser.parse_args()
    if options.document:
        readme, evidence, results = options.document
        measured = json.loads(results.read_text())
        document.write(readme, table(measured), MARK)
        document.write(evidence, table(measured, "../"), MARK)
    else:
        measure(options)
        print(table(json.loads(options.out.read_text())))


if __name__ == "__main__":
    main()
