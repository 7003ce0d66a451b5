#!/usr/bin/env python3
"""Says what a run measured: the machine and the versions, each target and whether it is met, and all medians.

    report.py RESULTS.json...
"""

import json
import os
import sys

from targets import judge, targets


# The order in which rows are read; what is not named comes last.
JOBS = ["nested", "nested, Python thread", "nested, after drops", "token", "attach", "attach, busy heap",
        "attach and call", "first attach", "detach", "detach, Python thread", "drop attached", "drop, push only",
        "drop", "worst attach after 1000000 drops", "critical section", "critical section, Python thread",
        "critical section, 2 objects", "critical section, 2 objects, Python thread", "critical section, mutex",
        "critical section, mutex, Python thread", "critical section, 2 mutexes",
        "critical section, 2 mutexes, Python thread", "mutex", "mutex, Python thread", "work, 1 thread",
        "work, 2 threads", "nested, 1 thread", "nested, 2 threads", "attach, 1 thread", "attach, 2 threads",
        "drop, push only, 1 thread", "drop, push only, 2 threads", "bytes per thread",
        "bytes kept after 10000000 drops"]
PEERS = ["pyattach", "pyattach C++", "pyattach assume", "kept state", "C API", "C API, routed", "pybind11", "pybind11, routed",
         "nanobind", "nanobind, routed", "Cython", "Cython, routed", "PEP 788 view",
         "PEP 788 guard", "PyO3", "PyO3 in a loop", "mutex pool"]


def place(name, order):
    return order.index(name) if name in order else len(order)


def amount(value, unit="ns"):
    if value is None:
        return "-"
    if unit == "bytes":
        return f"{value:.0f}"
    if value >= 1e6:
        return f"{value / 1e6:.1f} ms"
    if value >= 1e5:
        return f"{value / 1e3:.0f} us"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def unit_of(job):
    return "bytes" if job.startswith("bytes") or job == "size" else "ns"


def table(head, body):
    widths = [max(len(str(row[i])) for row in [head] + body) for i in range(len(head))]
    lines = [head, ["-" * width for width in widths]] + body
    return "\n".join("| " + " | ".join(str(cell).ljust(width) for cell, width in zip(line, widths)) + " |"
                     for line in lines)


def heading(results):
    about = results["about"]
    peers = ", ".join(f"{name} {about[key]}" for name, key in
                      (("pybind11", "pybind11"), ("nanobind", "nanobind"), ("Cython", "cython"), ("PyO3", "pyo3")) if about.get(key))
    missing = [name for name, key in (("pybind11", "pybind11"), ("nanobind", "nanobind"), ("PyO3", "pyo3"))
               if not about.get(key)]
    lines = [f"### {about['name']}: CPython {about['python']}, {about['kind']}, {about['mode']}", "",
             f"- machine: {about['machine']}, {about['cpus']} CPUs, {about['system']}; "
             f"load at the start {about['load']}",
             f"- libpyattach {about['pyattach']}, {about['buildtype']}, {about['compiler']}; "
             f"CPython in {os.path.basename(about['python_in'])}",
             f"- peers: C API{', ' + peers if peers else ''}"
             + (f"; not here: {', '.join(missing)}" if missing else ""),
             f"- medians of {about['rounds']} rounds in random order"]
    if about["buildtype"] != "release":
        lines.append("- **not a release build: these figures say nothing**")
    return "\n".join(lines)


def limit_of(target):
    return {"times": f"<= {target.limit} x", "faster": f">= {target.limit} x faster", "scaling": f">= {target.limit} x",
            "plus": f"<= + {target.limit:g} {unit_of(target.job)}",
            "below": f"<= {target.limit:.10g} {unit_of(target.job)}"}[target.kind]


def value_of(verdict):
    if verdict.target.kind in ("times", "faster", "scaling"):
        return f"{verdict.value:.2f} x"
    if verdict.target.kind == "plus":
        return f"{verdict.value:+.1f}"
    return amount(verdict.value, unit_of(verdict.target.job))


def verdicts(results):
    about, rows = results["about"], medians(results)
    version = tuple(int(part) for part in about["python"].split(".")[:2])
    return [judge(target, rows) for target in targets(rows, about["kind"] != "GIL", version)]


def medians(results):
    return {job: {peer: results["rows"][job][peer]["median"]
                  for peer in sorted(results["rows"][job], key=lambda peer: place(peer, PEERS))}
            for job in sorted(results["rows"], key=lambda job: place(job, JOBS))}


def table_of_targets(results):
    body = []
    for verdict in verdicts(results):
        target = verdict.target
        unit = unit_of(target.job)
        met = {True: "yes", False: "NO", None: "machine busy"}[verdict.met]
        body.append([target.what, amount(verdict.ours, unit), target.against or "", amount(verdict.theirs, unit),
                     value_of(verdict), limit_of(target), met])
    return table(["job", "libpyattach", "against", "", "measured", "target", "met"], body)


def table_of_medians(results):
    rows = medians(results)
    peers = sorted({peer for row in rows.values() for peer in row}, key=lambda peer: (place(peer, PEERS), peer))
    # Rows of one peer only would be a column each.
    shared = [peer for peer in peers if sum(peer in row for row in rows.values()) > 1]
    body = [[job] + [amount(row.get(peer), unit_of(job)) if peer in row else "" for peer in shared] +
            [", ".join(f"{peer}: {amount(row[peer], unit_of(job))}" for peer in row if peer not in shared)]
            for job, row in rows.items()]
    return table(["ns per operation"] + shared + ["others"], body)


def report(results):
    return "\n\n".join([heading(results), table_of_targets(results), table_of_medians(results)]) + "\n"


if __name__ == "__main__":
    for path in sys.argv[1:]:
        with open(path) as file:
            print(report(json.load(file)))
