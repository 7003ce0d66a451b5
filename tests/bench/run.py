#!/usr/bin/env python3
"""Runs the benchmarks of one build, and reports.

Writes NAME.json (everything: each round of each row), NAME.md (the tables, also printed) and, if gnuplot is there,
NAME.svg. The rows run in several processes: after a first attach or a drop the heap of the process and the pools of the
peers are in another state for good.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

import plot
import report

FIRST = "first attach"
MEMORY = "bytes per thread"
DROPS = "drop|worst attach|bytes kept|nested, after drops|attach, busy heap"


def command_of(options):
    if options.mode == "embedding":
        return [options.program]
    run = f"import sys; sys.path.insert(0, {os.path.dirname(options.program)!r}); import pyattach_bench; " \
          "sys.exit(pyattach_bench.run(sys.argv))"
    return [options.python, "-c", run]


def hurry():
    """Before all other processes, if that is allowed: so they disturb less."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        pass


def run_rows(options, pattern, out, **environment):
    command = command_of(options) + [
        f"--benchmark_filter={pattern}", f"--benchmark_repetitions={options.rounds}",
        "--benchmark_enable_random_interleaving=true", f"--benchmark_out={out}", "--benchmark_out_format=json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env={**os.environ, **environment}, preexec_fn=hurry)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout}\nended with {done.returncode}")
    with open(out) as file:
        measured = json.load(file)
    os.remove(out)
    return measured


def add_rounds(rows, measured):
    for one in measured["benchmarks"]:
        if one["run_type"] != "iteration":
            continue
        job, peer = one["run_name"].split("/")[:2]
        if one.get("error_occurred"):
            sys.exit(f"{job}/{peer}: {one.get('error_message')}")
        value = one["bytes"] if "bytes" in one else one["real_time"]
        rows.setdefault(job, {}).setdefault(peer, []).append(value)


def add_load(rows, options):
    runs = [json.loads(subprocess.check_output([options.load_program, options.libpython, options.library], text=True))
            for _ in range(options.rounds)]
    for part, job in (("import", "import of atexit and threading"), ("load", "load"), ("first_attach", "first contact"),
                      ("second_attach", "second attach")):
        rows[job] = {"CPython" if part == "import" else "pyattach": [run[part] for run in runs]}
    rows["load and first attach"] = {"pyattach": [run["load"] + run["first_attach"] for run in runs]}


def stripped_size(options):
    stripped = options.out / "stripped.so"
    subprocess.run(["strip", "-o", str(stripped), options.library], check=True)
    size = stripped.stat().st_size
    stripped.unlink()
    return size


def machine():
    with open("/proc/cpuinfo") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=["embedding", "extension"], required=True)
    parser.add_argument("--program", required=True, help="the program, or the extension module")
    parser.add_argument("--load-program", required=True)
    parser.add_argument("--library", required=True, help="libpyattach.so")
    parser.add_argument("--python", required=True)
    parser.add_argument("--libpython", required=True)
    parser.add_argument("--out", type=Path, required=True, help="the directory to write to")
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("PYATTACH_BENCH_ROUNDS", 9)))
    parser.add_argument("--name", default=os.environ.get("PYATTACH_BENCH_NAME", "python"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    load = os.getloadavg()[0]
    if load > 0.5 * os.cpu_count():
        print(f"run.py: the machine is busy (load {load:.1f}): do not trust these figures", file=sys.stderr)
    rows, parts = {}, []
    # A thread's cache of freed blocks counts as memory in use, so memory is measured without it.
    for pattern, environment in ((f"-^({FIRST}|{DROPS}|{MEMORY})", {}), (f"^({FIRST})", {}), (f"^({DROPS})", {}),
                                 (f"^({MEMORY})", {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"})):
        parts.append(run_rows(options, pattern, str(options.out / "part.json"), **environment))
        add_rounds(rows, parts[-1])
    if options.mode == "embedding":
        add_load(rows, options)
    rows["size"] = {"pyattach": [stripped_size(options)]}

    context = parts[0]["context"]
    about = {key: context.get(key, "") for key in
             ("python", "kind", "python_in", "compiler", "buildtype", "pyattach", "pybind11", "nanobind", "cython", "pyo3")}
    about.update(name=options.name, mode=options.mode, machine=machine(), cpus=os.cpu_count(),
                 system=f"{platform.system()} {platform.release()}", load=f"{load:.2f}", rounds=options.rounds,
                 date=context["date"])
    results = {"about": about, "rows": {job: {peer: {"median": statistics.median(rounds), "rounds": rounds}
                                              for peer, rounds in peers.items()} for job, peers in rows.items()}}
    stem = options.out / f"{options.name}-{options.mode}"
    stem.with_name(stem.name + ".json").write_text(json.dumps(results, indent=1) + "\n")
    text = report.report(results)
    stem.with_name(stem.name + ".md").write_text(text)
    print(text)
    plot.draw(results, stem.with_name(stem.name + ".svg"))


if __name__ == "__main__":
    main()
