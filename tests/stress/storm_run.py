"""Runs a storm program again and again, each run a process of its own with a deadline, and adds up what became of it.

    storm_run.py PROGRAM [--runs N] [--seed FIRST] [--deadline SECONDS] [--fences KIND]
        [--housekeeping off|hectic] [--careless] [--strict | --routed]

Every run has its own seed, FIRST + i; to repeat one: PROGRAM --seed SEED. With --strict a run must end well in every
respect; with --routed no run may crash, kill a thread or keep one that looks before it attaches; without both, the runs
are only counted, and the status says whether they could be counted.
"""

import argparse
import collections
import os
import resource
import signal
import subprocess
import sys


def one_run(command, deadline):
    """What the program said, as a dict; and how it ended: a status, a negative signal, or None at its deadline."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace") as child:
        try:
            output, errors = child.communicate(timeout=deadline)
            status = child.returncode
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            output, errors = child.communicate()
            status = None
    lines = [line for line in output.splitlines() if line.startswith("seed=")]
    said = {}
    if lines:
        numbers, said["complaints"] = lines[-1].split(" complaints=")
        said.update((key, int(value)) for key, value in (pair.split("=") for pair in numbers.split()))
    return said, status, errors


def count(totals, said, status):
    """Adds one run."""
    totals["runs"] += 1
    totals["hung"] += status is None
    totals["crashed"] += status is not None and status < 0
    totals["failed"] += status is not None and status > 0
    totals["spoilt"] += status != 0 or not said or said["killed"] + said["hung"] > 0
    totals["threads_killed"] += said.get("killed", 0)
    totals["threads_hung"] += said.get("hung", 0)


def faults(said, status):
    """Why a run with the library did not end well."""
    if status is None:
        yield "hung"
    elif status < 0:
        yield "crashed: " + signal.Signals(-status).name
    elif status > 0:
        yield f"exit status {status}"
    if not said:
        return
    for key in ("killed", "hung", "outcome", "exit_timeouts"):
        if said[key] != 0:
            yield f"{key}={said[key]}"
    if said["complaints"] != "none":
        yield said["complaints"]
    # Every reference native code kept was given back, and the library says what it did with it.
    if said["kept"] != said["given_back"]:
        yield "not every reference was given back"
    if said["now"] + said["released"] + said["leaked"] != said["given_back"]:
        yield "not every reference that was given back was released or counted"
    # An object dies once its one reference was released.
    if said["died"] + said["leaked"] != said["kept"]:
        yield f"{said['kept'] - said['leaked']} objects were released and {said['died']} died"


def faults_of_routed(said, status, is_careless):
    """Why a run of routed code did not end well. A thread in a gap, and one that does not look, is parked."""
    if status is None:
        yield "hung"
    elif status < 0:
        yield "crashed: " + signal.Signals(-status).name
    elif status > 0:
        yield f"exit status {status}"
    if not said:
        return
    for key in ("killed", "outcome"):
        if said[key] != 0:
            yield f"{key}={said[key]}"
    if not is_careless and said["hung"] > said["missing"]:
        yield f"{said['hung']} threads are parked, and {said['missing']} were in a gap"
    if said["complaints"] != "none":
        yield said["complaints"]


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("program")
    options.add_argument("--runs", type=int, default=1000 if os.environ.get("PYATTACH_TEST_FULL") == "1" else 40)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--deadline", type=float, default=120)
    options.add_argument("--fences", default="membarrier")
    options.add_argument("--housekeeping", default="")
    options.add_argument("--careless", action="store_true")
    options.add_argument("--strict", action="store_true")
    options.add_argument("--routed", action="store_true")
    wanted = options.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["PYATTACH_STORM_HOUSEKEEPING"] = wanted.housekeeping
    os.environ["PYATTACH_STORM_CARELESS"] = str(int(wanted.careless))

    totals = collections.Counter()
    bad = []
    for seed in range(wanted.seed, wanted.seed + wanted.runs):
        said, status, errors = one_run([wanted.program, "--seed", str(seed), "--fences", wanted.fences], wanted.deadline)
        if status == 77:
            print(errors.strip())
            return 77
        count(totals, said, status)
        for key in ("ordered", "kept", "given_back", "died", "attaches", "now", "released", "leaked", "created", "deleted"):
            totals[key] += said.get(key, 0)
        if wanted.strict or wanted.routed:
            found = faults(said, status) if wanted.strict else faults_of_routed(said, status, wanted.careless)
            why = list(found) or ([] if said else ["it said nothing"])
            if why:
                bad.append(seed)
                print(f"seed {seed}: {'; '.join(why)}\n{errors}{said}", flush=True)
    print(" ".join(f"{key}={value}" for key, value in totals.items()))
    if bad:
        print(f"{len(bad)} runs did not end well; to repeat one: {wanted.program} --seed {bad[0]}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
