"""What libpyattach promises about speed, as sentences that a run can be held against.

A target compares the median of one row with that of another of the same run:
  times    ours / theirs is at most the limit
  faster   theirs / ours is at least the limit
  plus     ours - theirs is at most the limit, in nanoseconds (in bytes for memory); without a row of theirs, ours alone
  scaling  one thread's time per operation / two threads' is at least the limit; not judged (None) where the machine did
           not let two threads that share nothing run at once
  below    ours is at most the limit
"""

import collections

Target = collections.namedtuple("Target", "what kind limit job peer against_job against")
Verdict = collections.namedtuple("Verdict", "target ours theirs value met")

ROUTED = ("C API", "pybind11", "nanobind", "Cython")
NO_PEER = ("pyattach", "pyattach C++", "kept state", *(f"{peer}, routed" for peer in ROUTED))


def targets(rows, is_free_threaded, version):
    """The targets that this run has the rows for. `rows` is {job: {peer: median}}."""
    gil = not is_free_threaded
    found = []

    def add(what, kind, limit, job, peer, against, against_job=None):
        found.append(Target(what, kind, limit, job, peer, against_job or job, against))

    def if_there(job, peer):
        return peer in rows.get(job, {})

    # Up to 3.11 CPython is asked which thread has the current state. From 3.15 on its own nested attach is cheap.
    nested = 0.6 if (3, 12) <= version < (3, 15) else 1.0
    add("nested attach, C ABI", "times", nested, "nested", "pyattach", "C API")
    add("nested attach, C ABI, Python thread", "times", nested, "nested, Python thread", "pyattach", "C API")
    add("nested attach, C++ scope", "times", nested, "nested", "pyattach C++", "C API")
    add("nested attach, C++ scope, Python thread", "times", nested, "nested, Python thread", "pyattach C++", "C API")
    if if_there("nested", "PyO3"):
        add("nested attach, C ABI", "times", 1.5, "nested", "pyattach", "PyO3")
        add("assumed attach", "times", 1.0, "nested", "pyattach assume", "PyO3")
    if if_there("nested, after drops", "PyO3"):
        add("nested attach, pool in use", "times", 1.5, "nested, after drops", "pyattach", "PyO3")
    add("token handed down", "plus", 0.5, "token", "pyattach", "no token")

    add("attach, native thread", "times", 1.2 if gil else 1.4, "attach", "pyattach", "kept state")
    for peer in rows.get("attach", {}):
        if peer not in NO_PEER:
            add("attach, native thread", "faster", 10 if gil else 50, "attach", "pyattach", peer)
    if is_free_threaded:
        for peer in rows.get("attach, busy heap", {}):
            if peer not in NO_PEER:
                add("attach, native thread, busy heap", "faster", 50, "attach, busy heap", "pyattach", peer)
    for peer in ROUTED:
        add("attach, native thread, routed", "faster", 10 if gil else 50, "attach", f"{peer}, routed", peer)
        if version >= (3, 11):
            add("attach and call, routed", "faster", 45 if gil else 50, "attach and call", f"{peer}, routed", peer)
    add("nested attach, routed", "plus", 5, "nested", "C API, routed", "C API")
    add("detach and attach again, routed", "times", 1.3, "detach", "C API, routed", "C API")
    add("first attach of a thread, and its end", "times", 1.5, "first attach", "pyattach", "C API")
    add("detach and attach again", "times", 1.15 if gil else 1.3, "detach", "pyattach", "C API")
    add("detach and attach again, Python thread", "times", 1.15 if gil else 1.3, "detach, Python thread", "pyattach",
        "C API")
    add("attach and call a Python function", "times", 1.1, "attach and call", "pyattach", "kept state")
    for peer in rows.get("attach and call", {}):
        if peer not in NO_PEER and version >= (3, 11):
            add("attach and call a Python function", "faster", 45 if gil else 50, "attach and call", "pyattach", peer)

    add("drop, not attached: push", "times", 0.8, "drop, push only", "pyattach", "mutex pool")
    if if_there("drop", "PyO3"):
        add("drop, not attached: push and release", "times", 0.6, "drop", "pyattach", "PyO3")
    add("drop, 2 threads", "scaling", 1.7, "drop, push only, 2 threads", "pyattach", "pyattach",
        "drop, push only, 1 thread")
    add("worst attach after 1000000 drops", "below", 100000, "worst attach after 1000000 drops", "pyattach", None)

    for job in ("critical section", "critical section, 2 objects", "critical section, mutex",
                "critical section, 2 mutexes"):
        # CPython 3.13 has no public section on a mutex: then it is held against the one on an object.
        theirs = job if if_there(job, "C API") else job.replace(", mutex", "").replace("mutexes", "objects")
        add(job, "plus", 10, job, "pyattach", "C API", theirs)
        add(job + ", Python thread", "plus", 10, job + ", Python thread", "pyattach", "C API", theirs)
    if if_there("mutex", "C API"):
        add("mutex", "plus", 3, "mutex", "pyattach", "C API")
    if if_there("nested, 2 threads", "pyattach"):
        add("nested attach, 2 threads", "scaling", 1.9, "nested, 2 threads", "pyattach", "pyattach",
            "nested, 1 thread")

    add("bytes per thread besides CPython's", "plus", 256, "bytes per thread", "pyattach", "CPython")
    add("bytes of the pool left after a burst of 10000000", "below", 65536, "bytes kept after 10000000 drops",
        "pyattach", None)
    add("bytes of the stripped library", "below", 120 * 1024, "size", "pyattach", None)
    add("load and first attach", "below", 1000000, "load and first attach", "pyattach", None)
    return [target for target in found if if_there(target.job, target.peer)]


def judge(target, rows):
    ours = rows[target.job][target.peer]
    theirs = rows.get(target.against_job, {}).get(target.against)
    if target.kind == "times":
        value = ours / theirs if theirs else float("inf")
    elif target.kind in ("faster", "scaling"):
        value = theirs / ours if ours else float("inf")
    elif target.kind == "plus":
        value = ours - (theirs or 0)
    else:
        value = ours
    if target.kind == "scaling" and rows["work, 1 thread"]["machine"] < 1.9 * rows["work, 2 threads"]["machine"]:
        return Verdict(target, ours, theirs, value, None)
    met = value >= target.limit if target.kind in ("faster", "scaling") else value <= target.limit
    return Verdict(target, ours, theirs, value, met)
