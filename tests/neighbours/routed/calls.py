"""What a function that native threads call has seen. The scripts beside this one print it as JSON."""

import json
import threading

from stats import stats

local = threading.local()
lock = threading.Lock()
seen = []
many = threading.Event()  # a hundred have been seen


def note(number):
    """Called by a native thread. Returns a result, which is the same whichever thread calls and however it attaches."""
    local.calls = getattr(local, "calls", 0) + 1
    with lock:
        seen.append((threading.get_native_id(), local.calls, number * number))
        if len(seen) == 100:
            many.set()
    return number * number


def summary():
    return json.dumps({"threads": len({thread for thread, _, _ in seen}), "calls": sorted(calls for _, calls, _ in seen),
                       "results": sorted(result for _, _, result in seen), "stats": stats()})
